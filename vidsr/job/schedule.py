r"""Restores parts: decode, restore and encode run beside each other and hand frames over bounded queues.

    lane 0:  decode (thread) -> channel -\                     /-> channel -> encode (thread, one a part)
    lane 1:  decode (thread) -> channel --> Restorer.step(batch) --> channel -> encode
                                             (this thread)

A lane takes the next part from the list whenever it has decoded its last one, so decoding of the next part
begins while the current one is still being restored, and encoding of the last one ends while the next
is already being restored. Which lane takes which part changes nothing in the result.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vidsr.errors import PartError, VidsrError
from vidsr.job.channel import Cancelled, Channel
from vidsr.job.parts import seed_of
from vidsr.media.decode import VideoSource
from vidsr.media.encode import VideoSink
from vidsr.restore.blend import blend
from vidsr.restore.protocol import Restorer
from vidsr.types import Carry, Done, Frame, Part, Prior, ShotSettings, Work

DECODED_FRAMES = 8
"""Frames that a lane decodes ahead: enough to ride out a keyframe, few enough for 4K."""
RESTORED_FRAMES = 4
"""Restored frames that wait for each encoder."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of a part's frames."""

    num_frames: int = 0
    """As the segment counted them."""
    steps_per_frame: Counter[int] = field(default_factory=Counter)
    """How many frames took how many denoising steps, at a part's end those for the next part's too; the
    lead-in does not count."""
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


def restore_parts(
    parts: Sequence[Part],
    *,
    work: PartWork,
    restorer: Restorer,
    batch_parts: int,
    on_frames: Callable[[int], None],
    on_part: Callable[[Part], None],
    on_note: Callable[[str], None],
) -> None:
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

    Raises:
        VidsrError: the first failure of any thread; the others are stopped, finished parts stay.
    """
    crew = _Crew(work, num_lanes=min(batch_parts, len(parts)))
    try:
        lanes = crew.start_lanes(parts)
        while lanes:
            lanes = _step(lanes, restorer=restorer, work=work, on_frames=on_frames, on_note=on_note)
            crew.report(on_part)
        crew.wait_for_encoders()
        crew.report(on_part)
    except Cancelled:
        # An encoder failed and cancelled the channel that a frame was being put into.
        crew.raise_failure()
        raise
    finally:
        crew.dismiss()


class _Lane:
    """One open part at a time: its incoming frames, its carry and its encoder."""

    def __init__(self, frames: Channel[tuple[Part, Frame]], crew: "_Crew") -> None:
        self._incoming = iter(frames)
        self._crew = crew
        self._sink: Channel[Done] | None = None
        self._early_notes: tuple[str, ...] = ()
        self._carry: Carry | None = None
        self._carry_of_next: Carry | None = None

    def next(self) -> tuple[Part, Frame] | None:
        return next(self._incoming, None)

    def works(self, part: Part, frame: Frame, surroundings: PartWork) -> list[Work]:
        """Return what is to be done for a frame: at a part's end also what the next part will make of it.

        The next part does that again. So each part is a function of itself, whoever makes it and when.
        """
        own = Work(
            part_index=part.index,
            frame=frame,
            prior=surroundings.prior_of(part),
            carry=self._carry,
            seed=seed_of(part.lead_in, job_seed=surroundings.seed),
            settings=surroundings.settings_of(part),
        )
        if part.fade is None or frame.index < part.fade.lead_in:
            return [own]
        seed = seed_of(part.fade.lead_in, job_seed=surroundings.seed)
        return [own, replace(own, part_index=part.index + 1, carry=self._carry_of_next, seed=seed)]

    def deliver(self, part: Part, results: Sequence[Done]) -> bool:
        """Keep the carries and pass the rest on; return whether the frame belongs to the output."""
        is_last = results[0].frame.index == part.stop - 1
        self._carry = None if is_last else results[0].carry
        self._carry_of_next = None if is_last or len(results) == 1 else results[1].carry
        done = _faded(part, results)
        notes = self._early_notes + done.notes
        is_lead_in = done.frame.index < part.start
        self._early_notes = notes if is_lead_in else ()
        if is_lead_in:
            return False
        if self._sink is None:
            self._sink = self._crew.start_encoder(part)
        self._sink.put(replace(done, carry=None, notes=notes))
        if is_last:
            self._sink.close()
            self._sink = None
        return True


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
    works = [lane.works(part, frame, work) for lane, (part, frame) in entries]
    results = iter(restorer.step([one for of_lane in works for one in of_lane]))
    by_lane = [[next(results) for _ in of_lane] for of_lane in works]
    for note in dict.fromkeys(note for of_lane in by_lane for done in of_lane for note in done.notes):
        on_note(note)
    delivered = [
        lane.deliver(part, of_lane) for (lane, (part, _)), of_lane in zip(entries, by_lane, strict=True)
    ]
    on_frames(sum(delivered))
    return [lane for lane, _ in entries]


def _faded(part: Part, results: Sequence[Done]) -> Done:
    """Return a frame of `part` with its share of what the next part makes of it."""
    own = results[0]
    if part.fade is None or len(results) == 1:
        return own
    return replace(
        own,
        frame=blend(own.frame, results[1].frame, share=part.fade.share(own.frame.index)),
        steps=own.steps + results[1].steps,
        notes=tuple(dict.fromkeys(own.notes + results[1].notes)),
    )


class _Crew:
    """The threads around the restorer, and what they have to say."""

    def __init__(self, work: PartWork, *, num_lanes: int) -> None:
        self._work = work
        self._num_lanes = num_lanes
        self._threads: list[threading.Thread] = []
        self._encoders: list[threading.Thread] = []
        self._channels: list[Channel[tuple[Part, Frame]] | Channel[Done]] = []
        self._finished: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._failures: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
        # One encoder a lane at work, and one more that is flushing.
        self._encoder_places = threading.Semaphore(num_lanes + 1)

    def start_lanes(self, parts: Sequence[Part]) -> list[_Lane]:
        waiting = iter(parts)
        lock = threading.Lock()
        lanes = []
        for _ in range(self._num_lanes):
            channel: Channel[tuple[Part, Frame]] = Channel(DECODED_FRAMES)
            self._channels.append(channel)
            self._start(self._threads, self._decode, waiting, lock, channel)
            lanes.append(_Lane(channel, self))
        return lanes

    def start_encoder(self, part: Part) -> Channel[Done]:
        while not self._encoder_places.acquire(timeout=0.2):
            self.raise_failure()
        channel: Channel[Done] = Channel(RESTORED_FRAMES)
        self._channels.append(channel)
        self._start(self._encoders, self._encode, part, channel)
        return channel

    def report(self, on_part: Callable[[Part], None]) -> None:
        """Pass on what the encoders finished; raise what they failed with."""
        self.raise_failure()
        while not self._finished.empty():
            on_part(self._finished.get())
        self._channels = [channel for channel in self._channels if not channel.is_over]
        self._encoders = [thread for thread in self._encoders if thread.is_alive()]

    def wait_for_encoders(self) -> None:
        for thread in self._encoders:
            thread.join()

    def raise_failure(self) -> None:
        if not self._failures.empty():
            raise self._failures.get()

    def dismiss(self) -> None:
        """Stop all threads and wait for them; what they had written of unfinished parts is removed."""
        for channel in self._channels:
            channel.cancel()
        for thread in [*self._threads, *self._encoders]:
            thread.join()

    def _start(self, group: list[threading.Thread], target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True, name=f"vidsr-{target.__name__}")
        group.append(thread)
        thread.start()

    def _decode(
        self, waiting: Iterator[Part], lock: threading.Lock, channel: Channel[tuple[Part, Frame]]
    ) -> None:
        part: Part | None = None
        try:
            source = self._work.open_source()
            try:
                while (part := _take(waiting, lock)) is not None:
                    for frame in source.frames(part.lead_in, part.stop):
                        channel.put((part, frame))
            finally:
                source.close()
            channel.close()
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001  # handed to the calling thread, which raises it
            channel.fail(_with_part(error, part, doing="decoding"))

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
        except BaseException as error:  # noqa: BLE001  # handed to the calling thread, which raises it
            self._failures.put(_with_part(error, part, doing="encoding"))
            channel.cancel()
        finally:
            self._encoder_places.release()


def _take(waiting: Iterator[Part], lock: threading.Lock) -> Part | None:
    with lock:
        return next(waiting, None)


def _with_part(error: BaseException, part: Part | None, *, doing: str) -> BaseException:
    """Return errors of ours as they are, others as the cause of a PartError that names the part."""
    if isinstance(error, VidsrError) or not isinstance(error, Exception):
        return error
    where = "the input" if part is None else f"part {part.index} (frames {part.start} to {part.stop - 1})"
    wrapped = PartError(f"{where}: {doing} failed with {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
