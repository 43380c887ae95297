"""Streams that are copied: how each is added to the output, and where its packets go in time.

The muxer and the check of its work both ask here what a packet's time should be; where a source's times rise,
as they should, the answer is the source's own time plus the one offset.
"""

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from vidsr.media.clock import rescale
from vidsr.media.packets import STEADY, SourceClock, packets_of
from vidsr.media.sequence import how_to_open

MATROSKA_FAMILY = frozenset({"matroska", "webm"})
MP4_FAMILY = frozenset({"mp4", "mov"})

PRIMING = Fraction(1, 10)
"""Encoders of sound begin with at most this much that is not heard (AAC 48 ms, Opus 80 ms). More is a cut."""

PICTURE_TYPES = {
    "png": "image/png",
    "mjpeg": "image/jpeg",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "webp": "image/webp",
}
PICTURE_SUFFIXES = {"png": ".png", "mjpeg": ".jpg", "bmp": ".bmp", "gif": ".gif", "webp": ".webp"}

HEAD_SECONDS = 5
"""How far into a file its streams are expected to begin."""


def open_for_copying(path: Path) -> InputContainer:
    """Open a file whose tags come out byte for byte as they are, in whatever encoding."""
    name, demuxer, options = how_to_open(path)
    return av.open(name, format=demuxer, options=options, metadata_errors="surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a stream begins."""

    packet: "Packet[Any]"
    """The first one that is copied."""
    is_trimmed: bool
    """Packets before it are left out."""


def heads_of(
    path: Path, *, muxer: str, clock: SourceClock = STEADY, only: Collection[int] | None = None
) -> dict[int, Head]:
    """Return how each stream begins that begins in the file's first seconds, by stream index.

    Args:
        path: of the file.
        muxer: of the output.
        clock: of the file.
        only: indices of the streams that are asked for; None asks for all.
    """
    found: dict[int, Head] = {}
    with open_for_copying(path) as file:
        wanted = [stream for stream in file.streams if only is None or stream.index in only]
        if not wanted:
            return {}
        trims = {stream.index: Trim(muxer) for stream in wanted}
        start: Fraction | None = None
        for packet in packets_of(file, wanted, clock=clock):
            trim = trims[packet.stream_index]
            if trim.leaves_out(packet):
                continue
            found.setdefault(packet.stream_index, Head(packet=packet, is_trimmed=trim.is_cut))
            seconds = None if packet.dts is None else packet.dts * packet.time_base
            start = seconds if start is None else start
            is_late = seconds is not None and start is not None and seconds > start + HEAD_SECONDS
            if is_late or len(found) == len(wanted):
                break
    return found


def ticks_of(seconds: Fraction, tick: Fraction) -> int:
    """Return `seconds` in ticks of `tick` seconds, rounding half to even."""
    return rescale(1, seconds, tick)


def is_cover(stream: Stream) -> bool:
    """Return whether `stream` is a picture attached to the file."""
    return bool(stream.type == "video" and stream.disposition & Disposition.attached_pic)


def is_chapter_track(stream: Stream) -> bool:
    """Return whether `stream` only repeats the chapters: mp4 and mov keep their titles as a track."""
    is_text = stream.type == "data" and stream.discard == Discard.all
    return is_text or bool(stream.disposition & Disposition.timed_thumbnails)


def is_timecode_track(stream: Stream) -> bool:
    """Return whether `stream` is the timecode of a QuickTime file, which its muxer writes from a tag."""
    return stream.type == "data" and "timecode" in stream.metadata


def codec_of(stream: Stream) -> str:
    """Return FFmpeg's name of the codec: h264, aac, subrip; "unknown" where it has none."""
    context: CodecContext | None = stream.codec_context  # PyAV's types promise one that data does not have
    if context is not None:
        return str(context.codec.canonical_name)
    return (stream.name if stream.type == "data" else None) or "unknown"


def title_of(metadata: dict[str, str]) -> str:
    """Return a stream's title; mp4 and mov call it `name`."""
    return metadata.get("title") or metadata.get("name") or ""


def language_of(metadata: dict[str, str]) -> str:
    """Return a stream's language, empty where it is not stated."""
    language = metadata.get("language", "")
    return "" if language == "und" else language


def copied_metadata(stream: Stream) -> dict[str, str]:
    """Return the tags of a copied stream, as a muxer of any container expects them."""
    metadata = {key: value for key, value in stream.metadata.items() if key not in {"name", "DURATION"}}
    if title := title_of(stream.metadata):
        metadata["title"] = title
    return metadata


def add_copy(file: OutputContainer, source: Stream, *, muxer: str, picture: bytes = b"") -> Stream:
    """Add to `file` a stream that takes the packets of `source` as they are.

    Args:
        file: the output, its header not written yet.
        source: the stream to copy.
        muxer: FFmpeg's name of the output's container.
        picture: payload of the picture where `source` is a cover.

    Raises:
        ValueError, av.error.FFmpegError: the container does not take this codec.
    """
    if is_cover(source) and muxer in MATROSKA_FAMILY:
        codec = codec_of(source)
        name = source.metadata.get("filename") or f"cover{PICTURE_SUFFIXES.get(codec, '')}"
        mimetype = source.metadata.get("mimetype") or PICTURE_TYPES.get(codec, "application/octet-stream")
        return file.add_attachment(name, mimetype, picture)
    stream = file.add_stream_from_template(source, opaque=True)
    stream.metadata.update(copied_metadata(source))
    stream.disposition = source.disposition
    return stream


class Trim:
    """Which packets of a stream are left out: the source never plays them and the output cannot hide them.

    An edit list of mp4 or mov hides what lies before it. Matroska has no edit lists: copied, the hidden
    sound would be heard, and would push everything else back. An encoder's priming is kept.
    """

    def __init__(self, muxer: str) -> None:
        self._can_hide = muxer in MP4_FAMILY
        self._is_first = True
        self.is_cut = False
        """The stream begins with more than an encoder's priming."""

    def leaves_out(self, packet: "Packet[Any]") -> bool:
        """Return whether the stream's next packet is left out."""
        if self._can_hide or packet.pts is None:
            return False
        if self._is_first:
            self.is_cut = packet.is_discard and packet.pts * packet.time_base < -PRIMING
            self._is_first = False
        return self.is_cut and packet.is_discard and packet.pts + (packet.duration or 0) <= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a packet goes, in ticks of the output's stream."""

    pts: int
    dts: int
    duration: int


class Placement:
    """Turns the times of one stream's packets into the output's, packet by packet, in the source's order."""

    @classmethod
    def of(cls, source: Stream, *, tick: Fraction, offset: Fraction, muxer: str) -> "Placement":
        """Return the placement of the packets of `source`; the arguments are those of the class."""
        depth = source.codec_context.reorder_depth if isinstance(source, VideoStream) else 0
        return cls(tick=tick, offset=offset, muxer=muxer, reorder_depth=depth)

    def __init__(self, *, tick: Fraction, offset: Fraction, muxer: str, reorder_depth: int = 0) -> None:
        """Start before the first packet.

        Args:
            tick: seconds per tick of the output's stream.
            offset: seconds that are added to every stream of the output.
            muxer: mp4 and mov want dts that rise, Matroska dts that do not fall.
            reorder_depth: packets by which a video stream's dts lag behind its pts. Matroska keeps no dts,
                and the demuxer knows none for the first packets.
        """
        self._tick = tick
        self._offset = offset
        self._trim = Trim(muxer)
        self._least_step = 1 if muxer in MP4_FAMILY else 0
        self._num_lagging = reorder_depth
        self._last_dts: int | None = None
        self._first = Fraction(0)
        self._next = Fraction(0)

    def place(self, packet: "Packet[Any]") -> Placed | None:
        """Return the place of the next packet, None if it is left out.

        A packet without a time follows the one before it. One whose dts falls behind is moved up to where the
        container can take it.
        """
        if self._trim.leaves_out(packet):
            return None
        duration = (packet.duration or 0) * packet.time_base
        pts, dts = self._source_times(packet, duration)
        self._next = pts + duration
        out_pts = ticks_of(pts + self._offset, self._tick)
        out_dts = ticks_of(min(dts, pts) + self._offset, self._tick)
        if self._last_dts is not None:
            out_dts = max(out_dts, self._last_dts + self._least_step)
        self._last_dts = out_dts
        return Placed(
            pts=max(out_pts, out_dts),
            dts=out_dts,
            duration=ticks_of(pts + duration + self._offset, self._tick) - out_pts,
        )

    def _source_times(self, packet: "Packet[Any]", duration: Fraction) -> tuple[Fraction, Fraction]:
        if packet.dts is not None:
            self._num_lagging = 0
            dts = packet.dts * packet.time_base
            return (dts if packet.pts is None else packet.pts * packet.time_base), dts
        pts = self._next if packet.pts is None else packet.pts * packet.time_base
        if not self._num_lagging:
            return pts, pts
        if self._last_dts is None:
            self._first = pts
        dts = self._first - self._num_lagging * duration
        self._num_lagging -= 1
        return pts, dts


def payload_of(packet: "Packet[Any]", codec: str) -> bytes:
    """Return what a packet holds, without the framing that muxers add and take away.

    Before each AAC packet of a transport stream, and nowhere else, is an ADTS header: 7 bytes, or 9 with a
    checksum.
    """
    payload = bytes(packet)
    if codec == "aac" and len(payload) > 7 and payload[0] == 0xFF and payload[1] & 0xF0 == 0xF0:
        return payload[7 if payload[1] & 1 else 9 :]
    return payload


def is_blank(payload: bytes, codec: str) -> bool:
    """Return whether a packet says that nothing is shown: mp4 fills gaps between subtitles with these."""
    return codec == "mov_text" and payload == b"\0\0"
