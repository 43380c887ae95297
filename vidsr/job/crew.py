"""The threads around the restorer: they decode, encode, and say what they failed at."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vidsr.errors import VidsrError
from vidsr.job.channel import POLL_SECONDS, Cancelled, Channel
from vidsr.job.failures import of_one_part
from vidsr.media.decode import VideoSource
from vidsr.media.encode import VideoSink
from vidsr.types import Done, Frame, Part, Prior, ShotSettings

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
    check: Callable[[], None] = lambda: None
    """Called now and then by all who wait; what it raises ends everything."""


Decoded = tuple[Part, Frame | VidsrError]
"""The next frame of a part, or why none follows."""


class Crew:
    """The threads around the restorer, and what they have to say."""

    def __init__(self, work: PartWork, *, num_lanes: int) -> None:
        self.failures: dict[Part, VidsrError] = {}
        self._work = work
        self._num_lanes = num_lanes
        self._threads: list[threading.Thread] = []
        self._encoders: list[threading.Thread] = []
        self._channels: list[Channel[Decoded] | Channel[Done]] = []
        self._finished: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._failed: queue.SimpleQueue[tuple[Part, Exception]] = queue.SimpleQueue()
        # One encoder a lane at work, and one more that is flushing.
        self._encoder_places = threading.Semaphore(num_lanes + 1)

    def start_decoders(self, parts: Sequence[Part]) -> list[Channel[Decoded]]:
        """Start a decoder for each lane; together they decode all `parts`."""
        waiting = iter(parts)
        lock = threading.Lock()
        lanes = []
        for _ in range(self._num_lanes):
            channel: Channel[Decoded] = Channel(DECODED_FRAMES, while_waiting=self._work.check)
            self._channels.append(channel)
            self._start(self._threads, self._decode, waiting, lock, channel)
            lanes.append(channel)
        return lanes

    def start_encoder(self, part: Part) -> Channel[Done]:
        """Start the encoder of a part, when there is a place for one."""
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
        """Wait until all segments are written, or it is called off."""
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
        channel: Channel[Decoded],
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
