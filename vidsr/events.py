"""What happens while a job runs, as values, and the listeners that show it.

A listener is any function of one event. It runs in the job's main thread and must be quick.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TextIO

from vidsr.terminal import printable
from vidsr.types import Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""

    name: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing(Event):
    """The index pass has decoded `num_frames` so far; the total is not known yet."""

    name: ClassVar[str] = "indexing"
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The plan is made; restoring can start."""

    name: ClassVar[str] = "planned"
    input: str
    output: str
    num_frames: int
    num_shots: int
    num_parts: int
    num_parts_finished: int
    """Parts of an earlier run that are kept."""
    is_plan_reused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something the user should know; the job goes on."""

    name: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned(Event):
    """A shot has its prior."""

    name: ClassVar[str] = "captioned"
    shot_index: int
    prior: Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Event):
    """Frames have been restored, counted over the whole video; lead-in frames do not count."""

    name: ClassVar[str] = "restored"
    num_frames: int
    num_frames_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFinished(Event):
    """A part is encoded and in the journal."""

    name: ClassVar[str] = "part_finished"
    part_index: int
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembling(Event):
    """All parts are there; the output is being written and verified."""

    name: ClassVar[str] = "assembling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The output is verified and in its place."""

    name: ClassVar[str] = "finished"
    output: str
    seconds: float
    steps_per_frame: Mapping[int, int] = field(default_factory=dict)
    """How many frames took how many denoising steps, in the order in which to say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The job is over, well or not; nothing follows."""

    name: ClassVar[str] = "ended"


Listener = Callable[[Event], None]
PROGRESS_STYLES = ("auto", "plain", "json", "none")


def ignore(event: Event) -> None:
    """Listen to nothing."""
    del event


def listener_for(style: str, *, stream: TextIO | None = None) -> Listener:
    """Return the listener that `--progress` names; all of them write to standard error.

    auto is a bar on a terminal and plain lines elsewhere; json is one JSON object a line; none shows
    warnings only. `style` is one of PROGRESS_STYLES.
    """
    stream = sys.stderr if stream is None else stream
    if style == "none":
        return WarningLines(stream)
    if style == "json":
        return JsonLines(stream)
    if style == "auto" and stream.isatty():
        return Bar()
    return PlainLines(stream)


def to_json(event: Event) -> str:
    """Return the event as one line of JSON in ASCII, with its name under "event"."""
    return json.dumps({"event": event.name, **dataclasses.asdict(event)})


class WarningLines:
    """Writes warnings only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write `event` if it is a warning."""
        if isinstance(event, Warned):
            self._stream.write(f"vidsr: warning: {printable(event.message)}\n")


class JsonLines:
    """One JSON object a line, for programs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write `event` at once."""
        self._stream.write(to_json(event) + "\n")
        self._stream.flush()


class PlainLines:
    """Lines for logs: every stage, and progress every few seconds."""

    interval_seconds = 5.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Write a line if there is something new to say."""
        is_progress = isinstance(event, Restored | Indexing)
        if is_progress and time.monotonic() - self._last < self.interval_seconds:
            return
        if line := describe(event):
            self._last = time.monotonic()
            self._stream.write(f"vidsr: {printable(line)}\n")
            self._stream.flush()


def describe(event: Event) -> str:
    """Return the event as one line for a person; empty where there is nothing worth a line."""
    line = ""
    match event:
        case Indexing():
            line = f"reading: {event.num_frames} frames so far"
        case Planned():
            kept = f", {event.num_parts_finished} done before" if event.num_parts_finished else ""
            line = f"{count(event.num_frames, 'frame')} in {count(event.num_shots, 'shot')}"
            line += f", {count(event.num_parts, 'part')}{kept}"
        case Warned():
            line = f"warning: {event.message}"
        case Captioned():
            words = "; ".join(filter(None, (event.prior.high_level, event.prior.low_level)))
            line = f"shot {event.shot_index}: {words}" if words else ""
        case Restored():
            line = f"restored {event.num_frames} of {event.num_frames_total} frames"
        case Assembling():
            line = "writing and verifying the output"
        case Finished():
            line = f"done in {event.seconds:.1f} s{_describe_steps(event.steps_per_frame)}"
    return line


def _describe_steps(steps_per_frame: Mapping[int, int]) -> str:
    """Return ", steps per frame: 2 at 3 frames, 1 at 45"; nothing where no frame took a step."""
    if not any(steps_per_frame):
        return ""
    (most, num_frames), *others = steps_per_frame.items()
    shares = [
        f"{most} at {count(num_frames, 'frame')}",
        *(f"{steps} at {number}" for steps, number in others),
    ]
    return f", steps per frame: {', '.join(shares)}"


def count(number: int, noun: str) -> str:
    """Return "1 frame" or "2 frames"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Bar:
    """A progress bar on the terminal."""

    def __init__(self) -> None:
        # rich is imported when a terminal is there to draw on.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("reading", total=None, speed="")
        self._started = time.monotonic()
        self._offset = 0

    def __call__(self, event: Event) -> None:
        """Draw what `event` changes."""
        match event:
            case Indexing():
                self._progress.start()
                self._progress.update(self._task, completed=event.num_frames)
            case Restored():
                self._show_frames(event)
            case Ended():
                self._progress.stop()
        if isinstance(event, Planned | Warned | Captioned | Assembling | Finished) and (
            line := describe(event)
        ):
            self._progress.console.print(printable(line), highlight=False, markup=False)

    def _show_frames(self, event: Restored) -> None:
        if self._progress.tasks[0].total is None:
            self._started, self._offset = time.monotonic(), event.num_frames
        elapsed = time.monotonic() - self._started
        rate = (event.num_frames - self._offset) / elapsed if elapsed > 0 else 0.0
        self._progress.update(
            self._task,
            description="restoring",
            total=event.num_frames_total,
            completed=event.num_frames,
            speed=f"{rate:.1f} frames/s",
        )
