r"""Restores parts: decode, restore and encode run beside each other and hand frames over bounded queues.

    lane 0:  decode (thread) -> channel -\                     /-> channel -> encode (thread, one a part)
    lane 1:  decode (thread) -> channel --> Restorer.step(batch) --> channel -> encode
                                             (this thread)

A lane takes the next part from the list whenever it has decoded its last one, so decoding of the next part
begins while the current one is still being restored, and encoding of the last one ends while the next
is already being restored. Which lane takes which part changes nothing in the result.

A part that fails is given up, and the others go on. An error that is not of one part alone, such as a full
disk, ends them all.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vidsr.errors import VidsrError
from vidsr.job.channel import POLL_SECONDS, Cancelled, Channel
from vidsr.job.failures import of_one_part
from vidsr.job.parts import seed_of
from vidsr.media.decode import VideoSource
from vidsr.media.encode import VideoSink
from vidsr.restore.protocol import Restorer
from vidsr.types import Carry, Done, Frame, Part, Prior, ShotSettings, Work

DECODED_FRAMES = 8
"""Frames that a lane decodes ahead: enough to ride out a keyframe, few enough for 4K."""
RESTORED_FRAMES = 4
"""Restored frames that wait for each encoder."""
DISMISS_SECONDS = 8.0
"""Given to all threads together to end. One that a native call holds for longer is left behind."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of a part's frames."""

    num_frames: int = 0
    """As the segment counted them."""
    steps_per_frame: Counter[int] = field(default_factory=Counter)
    """How many frames took how many denoising steps; the lead-in does not count."""
    notes: list[str] = field(default_factory=list)
    """What the restorer had to say, the lead-in included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartWork:
    """The surroundings of a part's frames."""

    open_source: Callable[[], VideoSource]
    """Opens the input; called in each decoding thread."""
    open_sink: Callable[[Part], VideoSink]
    """Opens the segment of a part; called in its encoding thread."""
    finish: Callable[[Part, Tally], object]
    """Enters a written segment into the journal; called in the encoding thread."""
    prior_of: Callable[[Part], Prior]
    settings_of: Callable[[Part], ShotSettings]
    seed: int
    check: Callable[[], None] = lambda: None
    """Called now and then by all who wait; what it raises ends everything."""


def restore_parts(
    parts: Sequence[Part],
    *,
    work: PartWork,
    restorer: Restorer,
    batch_parts: int,
    on_frames: Callable[[int], None],
    on_part: Callable[[Part], None],
    on_note: Callable[[str], None],
) -> dict[Part, VidsrError]:
    """Restore all `parts`, up to `batch_parts` of them side by side.

    Args:
        parts: to be restored, in the order in which lanes take them.
        work: where frames come from and go to.
        restorer: is stepped in the calling thread only.
        batch_parts: lanes, at least 1.
        on_frames: called with the number of delivered frames after each step.
        on_part: called, in the calling thread, when a part is in the journal.
        on_note: called with what the restorer has to say, as soon as it says it; with what it says of several
            frames of a step, once.

    Returns:
        The parts that failed, and why.

    Raises:
        VidsrError: what no other part would escape; all threads are stopped, finished parts stay.
    """
    crew = _Crew(work, num_lanes=min(batch_parts, len(parts)))
    try:
        lanes = crew.start_lanes(parts)
        while lanes:
            lanes = _step(lanes, restorer=restorer, work=work, on_frames=on_frames, on_note=on_note)
            crew.report(on_part)
        crew.wait_for_encoders()
        crew.report(on_part)
    finally:
        crew.dismiss()
    return crew.failures


class _Lane:
    """One open part at a time: its incoming frames, its carry and its encoder."""

    def __init__(self, frames: Channel[tuple[Part, Frame | VidsrError]], crew: "_Crew") -> None:
        self._incoming = iter(frames)
        self._crew = crew
        self._sink: Channel[Done] | None = None
        self._early_notes: tuple[str, ...] = ()
        self.carry: Carry | None = None

    def next(self) -> tuple[Part, Frame] | None:
        """Return the next frame of a part that has not failed."""
        for part, item in self._incoming:
            if isinstance(item, VidsrError):
                self.give_up(part, item)
            elif part not in self._crew.failures:
                return part, item
        return None

    def deliver(self, part: Part, done: Done) -> bool:
        """Keep the carry and pass the rest on; return whether the frame belongs to the output."""
        is_last = done.frame.index == part.stop - 1
        self.carry = None if is_last else done.carry
        notes = self._early_notes + done.notes
        is_lead_in = done.frame.index < part.start
        self._early_notes = notes if is_lead_in else ()
        if is_lead_in:
            return False
        if self._sink is None:
            self._sink = self._crew.start_encoder(part)
        try:
            self._sink.put(replace(done, carry=None, notes=notes))
        except Cancelled:
            # By the encoder, which has failed and said why.
            self._crew.collect_failures()
            self._close()
            return False
        if is_last:
            self._sink.close()
            self._sink = None
        return True

    def give_up(self, part: Part, error: VidsrError) -> None:
        """Drop what there is of `part`."""
        self._crew.failures[part] = error
        self._close()

    def _close(self) -> None:
        if self._sink is not None:
            self._sink.cancel()
        self._sink, self._early_notes, self.carry = None, (), None


def _step(
    lanes: Sequence[_Lane],
    *,
    restorer: Restorer,
    work: PartWork,
    on_frames: Callable[[int], None],
    on_note: Callable[[str], None],
) -> list[_Lane]:
    """Advance every lane that still has frames by one; return those lanes."""
    entries = [(lane, item) for lane in lanes if (item := lane.next()) is not None]
    if not entries:
        return []
    batch = [
        Work(
            part_index=part.index,
            frame=frame,
            prior=work.prior_of(part),
            carry=lane.carry,
            seed=seed_of(part, job_seed=work.seed),
            settings=work.settings_of(part),
        )
        for lane, (part, frame) in entries
    ]
    try:
        results = restorer.step(batch)
    except Exception as error:  # noqa: BLE001  # judged by of_one_part
        # Whose frame it was, nobody knows.
        for lane, (part, _) in entries:
            lane.give_up(part, of_one_part(error, part, doing="restoring"))
        return [lane for lane, _ in entries]
    for note in dict.fromkeys(note for done in results for note in done.notes):
        on_note(note)
    delivered = [lane.deliver(part, done) for (lane, (part, _)), done in zip(entries, results, strict=True)]
    on_frames(sum(delivered))
    return [lane for lane, _ in entries]


class _Crew:
    """The threads around the restorer, and what they have to say."""

    def __init__(self, work: PartWork, *, num_lanes: int) -> None:
        self.failures: dict[Part, VidsrError] = {}
        self._work = work
        self._num_lanes = num_lanes
        self._threads: list[threading.Thread] = []
        self._encoders: list[threading.Thread] = []
        self._channels: list[Channel[tuple[Part, Frame | VidsrError]] | Channel[Done]] = []
        self._finished: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._failed: queue.SimpleQueue[tuple[Part, Exception]] = queue.SimpleQueue()
        # One encoder a lane at work, and one more that is flushing.
        self._encoder_places = threading.Semaphore(num_lanes + 1)

    def start_lanes(self, parts: Sequence[Part]) -> list[_Lane]:
        waiting = iter(parts)
        lock = threading.Lock()
        lanes = []
        for _ in range(self._num_lanes):
            channel: Channel[tuple[Part, Frame | VidsrError]] = Channel(
                DECODED_FRAMES, while_waiting=self._work.check
            )
            self._channels.append(channel)
            self._start(self._threads, self._decode, waiting, lock, channel)
            lanes.append(_Lane(channel, self))
        return lanes

    def start_encoder(self, part: Part) -> Channel[Done]:
        while not self._encoder_places.acquire(timeout=POLL_SECONDS):
            self.collect_failures()
            self._work.check()
        channel: Channel[Done] = Channel(RESTORED_FRAMES, while_waiting=self._work.check)
        self._channels.append(channel)
        self._start(self._encoders, self._encode, part, channel)
        return channel

    def report(self, on_part: Callable[[Part], None]) -> None:
        """Pass on what the encoders finished, and note what they failed at."""
        self.collect_failures()
        while not self._finished.empty():
            on_part(self._finished.get())
        self._channels = [channel for channel in self._channels if not channel.is_over]
        self._encoders = [thread for thread in self._encoders if thread.is_alive()]

    def wait_for_encoders(self) -> None:
        for thread in self._encoders:
            while thread.is_alive():
                thread.join(POLL_SECONDS)
                self._work.check()

    def collect_failures(self) -> None:
        """Note which parts could not be encoded.

        Raises:
            VidsrError: it is not of that part alone.
        """
        while not self._failed.empty():
            part, error = self._failed.get()
            self.failures[part] = of_one_part(error, part, doing="encoding")

    def dismiss(self) -> None:
        """Stop all threads and wait for them; what they had written of unfinished parts is removed."""
        for channel in self._channels:
            channel.cancel()
        deadline = time.monotonic() + DISMISS_SECONDS
        for thread in [*self._threads, *self._encoders]:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, group: list[threading.Thread], target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name=f"vidsr-{target.__name__}")
        group.append(thread)
        thread.start()

    def _decode(
        self,
        waiting: Iterator[Part],
        lock: threading.Lock,
        channel: Channel[tuple[Part, Frame | VidsrError]],
    ) -> None:
        source: VideoSource | None = None
        try:
            while (part := _take(waiting, lock)) is not None:
                try:
                    source = self._work.open_source() if source is None else source
                    for frame in source.frames(part.lead_in, part.stop):
                        channel.put((part, frame))
                except Cancelled:
                    raise
                except Exception as error:  # noqa: BLE001  # judged by of_one_part
                    channel.put((part, of_one_part(error, part, doing="decoding")))
                    if source is not None:
                        # Nobody knows in what state it is.
                        source.close()
                        source = None
            channel.close()
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001  # handed to the calling thread, which raises it
            channel.fail(error)
        finally:
            if source is not None:
                source.close()

    def _encode(self, part: Part, channel: Channel[Done]) -> None:
        tally = Tally()
        try:
            sink = self._work.open_sink(part)
            try:
                for done in channel:
                    sink.write(done.frame)
                    tally.steps_per_frame[done.steps] += 1
                    tally.notes.extend(done.notes)
                tally.num_frames = sink.close()
            except BaseException:
                sink.abort()
                raise
            self._work.finish(part, tally)
            self._finished.put(part)
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001  # handed to the calling thread, which judges it
            self._failed.put((part, error))
            channel.cancel()
        finally:
            self._encoder_places.release()


def _take(waiting: Iterator[Part], lock: threading.Lock) -> Part | None:
    with lock:
        return next(waiting, None)
