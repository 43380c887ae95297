"""The packets of a source beside its picture, in the file's order and on one clock."""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from vidsr.media.sequence import how_to_open
from vidsr.types import Plan, Splice

_PCM = re.compile(r"pcm_[suf](8|16|24|32|64)(?:[lb]e)?")
GAP = Fraction(1)
"""Seconds that a stream may lag behind the video and still be taken to go on where its last packet ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClock:
    """How the times of a file are to be read."""

    splices: tuple[Splice, ...] = ()
    """In the order of their frames."""
    video_index: int = 0
    """Index of the stream whose frames the splices count."""

    @property
    def shifts(self) -> tuple[Fraction, ...]:
        """Seconds that the times between two splices are moved by, first to last."""
        return (Fraction(0), *(splice.shift for splice in self.splices))


STEADY = SourceClock()
"""The clock of a file without splices."""


def clock_of(plan: Plan) -> SourceClock:
    """Return the clock of a plan's source."""
    return SourceClock(splices=tuple(plan.splices), video_index=plan.info.video.stream_index)


def packets_of(
    file: InputContainer, streams: Sequence[Stream], *, clock: SourceClock = STEADY
) -> Iterator["Packet[Any]"]:
    """Yield the packets of `streams` in the file's order, flushing ones left out.

    Behind a splice, their times are moved as the video's are. A file that cannot be read any further ends
    there; the index says that it is damaged. A packet that no muxer takes is left out; see `num_broken`.
    """
    video = [file.streams[clock.video_index]] if clock.splices else []
    read = [*streams, *(stream for stream in video if stream not in streams)]
    for other in file.streams:
        if other not in read:
            other.discard = Discard.all
    packets = _whole_samples(_packets(file, read), {stream.index: _sample_bytes(stream) for stream in read})
    if not clock.splices:
        yield from packets
        return
    follower = _Follower(clock)
    wanted = {stream.index for stream in streams}
    for packet in packets:
        follower.move(packet)
        if packet.stream_index in wanted:
            yield packet


def num_broken(path: Path) -> dict[int, int]:
    """Return how many broken packets `packets_of` leaves out of each stream, by its index."""
    counts: Counter[int] = Counter()
    name, demuxer, options = how_to_open(path)
    with av.open(name, format=demuxer, options=options, metadata_errors="replace") as file:
        if framed := [stream for stream in file.streams if _is_framed(stream)]:
            deque(_packets(file, framed, counts=counts), maxlen=0)
    return dict(counts)


def _is_framed(stream: Stream) -> bool:
    """Return whether each packet has a header of its own, which no container but a transport stream keeps."""
    if not isinstance(stream, AudioStream):
        return False
    context: CodecContext | None = stream.codec_context  # there is none for a codec that FFmpeg does not know
    return context is not None and context.name == "aac" and not context.extradata


def _packets(
    file: InputContainer, streams: Sequence[Stream], *, counts: "Counter[int] | None" = None
) -> Iterator["Packet[Any]"]:
    packets = file.demux(streams)
    # What muxers take such headers off with; they give up where it fails.
    checks = {
        stream.index: BitStreamFilterContext("aac_adtstoasc", stream)
        for stream in streams
        if _is_framed(stream)
    }
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, IndexError):
            # The latter is PyAV's, at the end, of a stream that appeared in mid-file.
            return
        if packet is None:
            return
        check = checks.get(packet.stream_index)
        # Covers have no dts; only the packets that flush a decoder are empty.
        if packet.size and (check is None or _is_whole(packet, check)):
            yield packet
        elif packet.size and counts is not None:
            counts[packet.stream_index] += 1


def _is_whole(packet: "Packet[Any]", check: BitStreamFilterContext) -> bool:
    copy: Packet[Any] = Packet(bytes(packet))
    try:
        return bool(check.filter(copy))
    except av.error.FFmpegError:
        return False


def _sample_bytes(stream: Stream) -> int:
    """Return how many bytes of PCM are heard at once; 1 for everything else."""
    if not isinstance(stream, AudioStream):
        return 1
    context: CodecContext | None = stream.codec_context  # there is none for a codec that FFmpeg does not know
    bits = None if context is None else _PCM.fullmatch(context.name)
    return 1 if bits is None else max(1, stream.codec_context.channels * int(bits.group(1)) // 8)


def _whole_samples(
    packets: Iterator["Packet[Any]"], sample_bytes: Mapping[int, int]
) -> Iterator["Packet[Any]"]:
    """Yield the packets, of PCM without the sample that a file breaks off in, which no container takes."""
    for packet in packets:
        surplus = packet.size % sample_bytes.get(packet.stream_index, 1)
        if not surplus:
            yield packet
        elif packet.size > surplus:
            yield _shortened(packet, packet.size - surplus)


def _shortened(packet: "Packet[Any]", size: int) -> "Packet[Any]":
    shorter: Packet[Any] = Packet(bytes(packet)[:size])
    shorter.stream, shorter.time_base = packet.stream, packet.time_base
    shorter.pts, shorter.dts, shorter.duration = packet.pts, packet.dts, packet.duration
    shorter.is_keyframe = packet.is_keyframe
    return shorter


class _Follower:
    """Tells on which side of a splice a packet lies, packet by packet.

    The video says where in the file the splices are. The other streams cross each a little earlier or later,
    as they are interleaved: a packet lies on that side of the nearest splices where it follows best on the
    packet before it of its stream, or, after a pause, on the video around it.
    """

    def __init__(self, clock: SourceClock) -> None:
        self._shifts = clock.shifts
        self._video_index = clock.video_index
        self._passed = 0
        """Splices that the video has passed."""
        self._ends: dict[int, Fraction] = {}
        """Where the last packet of each stream ends, on one clock."""

    def move(self, packet: "Packet[Any]") -> None:
        """Put the next packet of the file on one clock, in place."""
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is None:
            return
        seconds = ticks * packet.time_base
        side = self._side(packet.stream_index, seconds)
        if packet.stream_index == self._video_index:
            self._passed = side
        shift = round(self._shifts[side] / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        end = seconds + self._shifts[side] + (packet.duration or 0) * packet.time_base
        self._ends[packet.stream_index] = end

    def _side(self, stream_index: int, seconds: Fraction) -> int:
        expected = self._expected(stream_index)
        if expected is None:
            return self._passed
        # The video itself only goes on.
        first = self._passed if stream_index == self._video_index else max(0, self._passed - 1)
        sides = range(first, min(self._passed + 2, len(self._shifts)))
        return min(sides, key=lambda side: abs(seconds + self._shifts[side] - expected))

    def _expected(self, stream_index: int) -> Fraction | None:
        video, own = self._ends.get(self._video_index), self._ends.get(stream_index)
        if own is None or video is None:
            return video if own is None else own
        return own if abs(own - video) <= GAP else video
