"""The decoder that the index and all later passes share, so that both see the same pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self, cast

import av
from av.format import Flags as ContainerFlags
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from vidsr.media.damage import Counts
from vidsr.media.frames import to_planar
from vidsr.media.h264 import FrameNumbers
from vidsr.media.limits import bound_pixels
from vidsr.media.probe import decoded, opacity_decoder, open_input, pick_video
from vidsr.types import MediaInfo

THREAD_TYPE = "SLICE"
"""Frame threads are faster, and on damaged input give other pixels from run to run (FFmpeg 8.1, 4 threads:
four results in 25 runs of one file); slice threads gave one."""
NUM_THREADS = 4
"""Fixed, since what is salvaged of damaged input may depend on it."""
# With several slice threads the H.264 decoder conceals less: it marks 3 frames of a file corrupt, not 13.
_SINGLE_THREADED = frozenset({"h264"})


class Pictures:
    """Decodes the pictures of one stream in presentation order. For one thread at a time.

    A packet that cannot be decoded is counted, and decoding goes on with the next one.
    """

    def __init__(self, path: Path, info: MediaInfo) -> None:
        self._container = open_input(path, frame_rate=info.frame_rate)
        self._stream = pick_video(self._container, path, index=info.video.stream_index)
        self.num_errors = 0
        """Packets that the decoder refused since the file was opened, and reads that failed."""
        self._num_packets = 0
        self._num_before_key: int | None = None
        self._numbers = (
            FrameNumbers(self._stream.codec_context.extradata) if info.video.codec == "h264" else None
        )
        self.may_restart = bool(self._container.format.flags & cast(int, ContainerFlags.ts_discont.value))
        """Whether the container's clock may jump: transport streams are spliced and cut."""
        for other in self._container.streams:
            if other.index != self._stream.index:
                other.discard = Discard.all
        bound_pixels(self._stream.codec_context)
        self._opacity_decoder = opacity_decoder(self._stream)
        self._stream.thread_type = THREAD_TYPE
        self._stream.thread_count = 1 if info.video.codec in _SINGLE_THREADED else NUM_THREADS

    def __enter__(self) -> Self:
        """Return the open decoder."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        self.close()

    def __iter__(self) -> Iterator[av.VideoFrame]:
        """Yield the pictures, planar, from where the decoder is to the end, those in its delay included."""
        packets = self._container.demux(self._stream)
        while (packet := self._read(packets)) is not None:
            try:
                pictures = decoded(packet, self._opacity_decoder)
            except av.error.FFmpegError:
                self.num_errors += 1
                continue
            for picture in pictures:
                yield to_planar(picture)

    @property
    def counts(self) -> Counts:
        """What was met since the file was opened; of use where nobody sought."""
        num_before_key = self._num_packets if self._num_before_key is None else self._num_before_key
        return Counts(
            num_packets=self._num_packets,
            num_before_key=num_before_key,
            num_errors=self.num_errors,
            num_holes=0 if self._numbers is None else self._numbers.num_holes,
            num_missing=0 if self._numbers is None else self._numbers.num_missing,
        )

    def seek(self, pts: int) -> None:
        """Go to the last key frame at or before `pts`, as far as the file knows. Iterate anew afterwards.

        Raises:
            av.error.FFmpegError: the container cannot be sought in.
        """
        self._container.seek(pts, stream=self._stream)
        if self._opacity_decoder is not None:
            self._opacity_decoder.flush_buffers()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._container.close()

    def _read(self, packets: "Iterator[Packet[VideoStream]]") -> "Packet[VideoStream] | None":
        """Return the next packet; where reading ends or fails, an empty one that flushes, then None."""
        try:
            packet = next(packets, None)
        except IndexError:
            # PyAV stumbles at the end over a stream that appeared in mid-file; ours is flushed by then.
            return None
        except av.error.FFmpegError:
            self.num_errors += 1
            flush = cast("Packet[VideoStream]", Packet())
            flush.stream = self._stream
            return flush
        if packet is not None and self._numbers is not None:
            self._numbers.feed(bytes(packet))
        if packet is not None and packet.size and not packet.is_discard:
            if packet.is_keyframe and self._num_before_key is None:
                self._num_before_key = self._num_packets
            self._num_packets += 1
        return packet
