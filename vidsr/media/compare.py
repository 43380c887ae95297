"""Compares the copied streams of a source and an output, packet by packet."""

import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from vidsr.media.chapters import placed_chapters
from vidsr.media.copies import (
    MP4_FAMILY,
    Placement,
    codec_of,
    is_blank,
    is_chapter_track,
    is_cover,
    is_timecode_track,
    language_of,
    payload_of,
    title_of,
)
from vidsr.media.packets import SourceClock, packets_of
from vidsr.media.tags import file_tags, kept_tags
from vidsr.media.trial import Held
from vidsr.types import StreamPlan

Kind = Literal[
    "frames", "time", "stream", "payload", "language", "title", "disposition",
    "chapter", "attachment", "cover", "duration", "geometry", "colour", "decode", "tag",
]  # fmt: skip

IMPLIED = Disposition.default | Disposition.captions | Disposition.descriptions
"""Flags that mp4 and mov set of themselves: on the first of a kind, and beside those for the impaired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which an output is not what it should be."""

    kind: Kind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A stream of the source and what it became; None where nothing did."""

    source: Stream
    output: Stream | None
    is_restored: bool
    target: str = ""
    """Codec that it is converted to; empty where it is not."""


def pair_streams(
    streams: tuple[StreamPlan, ...], source: InputContainer, output: InputContainer
) -> tuple[list[Pair], list[Stream]]:
    """Match the streams that are kept with the output's, each kind in order; return what is left over too.

    Containers put covers and attachments last, so positions alone say nothing.
    """
    waiting: dict[str, list[Stream]] = {}
    for stream in output.streams:
        # Muxers write these two of themselves, from the chapters and from a tag.
        if not is_chapter_track(stream) and not is_timecode_track(stream):
            waiting.setdefault(_group(stream), []).append(stream)
    pairs = []
    for entry in streams:
        if entry.action != "drop":
            stream = source.streams[entry.source_index]
            queue = waiting.get(_group(stream), [])
            found = queue.pop(0) if queue else None
            pairs.append(
                Pair(source=stream, output=found, is_restored=entry.action == "restore", target=entry.target)
            )
    return pairs, [stream for queue in waiting.values() for stream in queue]


def compare_tags(pair: Pair, held: Held, *, muxer: str) -> Iterator[Difference]:
    """Yield the differences of language, title and flags, of those that the container can hold."""
    source, output = pair.source, cast(Stream, pair.output)
    language, wanted = language_of(output.metadata), language_of(source.metadata)
    if held.has_language and language != wanted:
        yield _differs(
            "language", source, f"its language is {language or 'not stated'}, not {wanted or 'not stated'}"
        )
    title, wanted = title_of(output.metadata), title_of(source.metadata)
    if held.has_title and title != wanted:
        yield _differs("title", source, f"its title is {title!r}, not {wanted!r}")
    implied = int(IMPLIED) if muxer in MP4_FAMILY else 0
    before, after = int(source.disposition), int(output.disposition)
    if wrong := (before & held.dispositions & ~after) | (after & ~before & ~implied):
        names = " and ".join(str(flag.name) for flag in Disposition if flag & wrong)
        yield _differs("disposition", source, f"the flag {names} is {'not ' if before & wrong else ''}set")


def compare_timecode(pair: Pair) -> Iterator[Difference]:
    """Yield whether the picture has lost its timecode, a tag that mp4 and mov make a track of."""
    timecode, wanted = _timecode(cast(Stream, pair.output)), _timecode(pair.source)
    if wanted and timecode != wanted:
        yield _differs("tag", pair.source, f"its timecode is {timecode or 'not stated'}, not {wanted}")


def _timecode(stream: Stream) -> str:
    # Matroska writes names of tags in capitals.
    return {key.lower(): value for key, value in stream.metadata.items()}.get("timecode", "")


def compare_attachment(pair: Pair) -> Iterator[Difference]:
    """Yield the differences of an attached file."""
    source, output = cast(AttachmentStream, pair.source), cast(AttachmentStream, pair.output)
    if (source.name, source.mimetype) != (output.name, output.mimetype):
        yield _differs("attachment", source, f"is {output.name} ({output.mimetype}), not {source.name}")
    if source.data != output.data:
        yield _differs("attachment", source, "its content is another one")


@dataclass(slots=True, kw_only=True)
class Packets:
    """What is kept of a stream's packets: 12 bytes each."""

    is_subtitle: bool
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    """In ticks of the output's stream."""
    crc: "array[int]" = field(default_factory=lambda: array("I"))
    """CRC-32 of each payload."""
    end: int = 0
    """Of the last packet, in ticks of the output's stream."""
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    """In the same ticks: of every subtitle, which is shown as long as it says; else of the last packet."""

    def add(self, *, pts: int, duration: int, payload: bytes, is_continuous: bool) -> None:
        """Note the next packet; where the codec has no packets of its own (PCM), all are one."""
        if is_continuous and self.crc:
            self.crc[0] = zlib.crc32(payload, self.crc[0])
        else:
            self.pts.append(pts)
            self.crc.append(zlib.crc32(payload))
        if not self.is_subtitle:
            del self.durations[:]
        self.durations.append(duration)
        self.end = max(self.end, pts + duration)


def compare_packets(
    pairs: list[Pair],
    source: InputContainer,
    output: InputContainer,
    *,
    clock: SourceClock,
    offset: Fraction,
    muxer: str,
) -> Iterator[Difference]:
    """Yield the differences in number, payload and time of the copied streams' packets."""
    copied = {pair.source.index: pair for pair in pairs if pair.output is not None and not pair.is_restored}
    copied = {
        index: pair for index, pair in copied.items() if pair.source.type != "attachment" and not pair.target
    }
    if not copied:
        return
    expected = _expected(copied, source, clock=clock, offset=offset, muxer=muxer)
    found = _found({cast(Stream, pair.output).index: index for index, pair in copied.items()}, output)
    for index, pair in copied.items():
        yield from _compare(pair, expected[index], found[index])


def compare_chapters(
    source: InputContainer, output: InputContainer, *, offset: Fraction
) -> Iterator[Difference]:
    """Yield the differences of the chapters' starts and titles. mp4 keeps no ends."""
    wanted, got = placed_chapters(source, offset=offset), output.chapters()
    if len(wanted) != len(got):
        yield Difference(kind="chapter", message=f"there are {len(got)} chapters, not {len(wanted)}")
        return
    for number, (before, after) in enumerate(zip(wanted, got, strict=True), start=1):
        source_tick, tick = cast(Fraction, before["time_base"]), cast(Fraction, after["time_base"])
        start = before["start"] * source_tick
        if abs(after["start"] * tick - start) > max(tick, source_tick):
            message = (
                f"chapter {number} starts at {float(after['start'] * tick):.3f} s, not {float(start):.3f} s"
            )
            yield Difference(kind="chapter", message=message)
        if title_of(before["metadata"]) != title_of(after["metadata"]):
            yield Difference(kind="chapter", message=f"chapter {number} has another title")


def compare_file_tags(source: InputContainer, output: InputContainer, *, muxer: str) -> Iterator[Difference]:
    """Yield the tags of the file that the container can keep and the output has not."""
    found = {key.lower(): value for key, value in output.metadata.items()}
    for key, value in kept_tags(file_tags(source), muxer=muxer).items():
        if found.get(key.lower()) != value:
            got = found.get(key.lower())
            yield Difference(kind="tag", message=f"the file's tag {key} is {got!r}, not {value!r}")


def describe(stream: Stream) -> str:
    """Return how messages name a stream of the source."""
    return f"stream {stream.index} ({stream.type} {codec_of(stream)})"


def _expected(
    copied: Mapping[int, Pair],
    source: InputContainer,
    *,
    clock: SourceClock,
    offset: Fraction,
    muxer: str,
) -> dict[int, Packets]:
    packets = {index: _none_yet(pair.source) for index, pair in copied.items()}
    places = {
        index: Placement.of(pair.source, tick=_tick(pair.output), offset=offset, muxer=muxer)
        for index, pair in copied.items()
    }
    for packet in packets_of(source, [pair.source for pair in copied.values()], clock=clock):
        stream = source.streams[packet.stream_index]
        place = places[packet.stream_index].place(packet)
        if place is not None:
            _note(packets[packet.stream_index], packet, stream, pts=place.pts, duration=place.duration)
    return packets


def _found(sources: Mapping[int, int], output: InputContainer) -> dict[int, Packets]:
    """Read the output's packets; `sources` maps its streams to the source's."""
    packets = {index: _none_yet(output.streams[found]) for found, index in sources.items()}
    for packet in output.demux([output.streams[index] for index in sources]):
        if packet.size:
            # A packet that comes back without a time is off by more than any tolerance.
            pts = packet.pts if packet.pts is not None else -(2**62)
            stream = output.streams[packet.stream_index]
            _note(
                packets[sources[packet.stream_index]], packet, stream, pts=pts, duration=packet.duration or 0
            )
    return packets


def _none_yet(stream: Stream) -> Packets:
    return Packets(is_subtitle=stream.type == "subtitle")


def _note(into: Packets, packet: "Packet[Any]", stream: Stream, *, pts: int, duration: int) -> None:
    codec = codec_of(stream)
    payload = payload_of(packet, codec)
    if not is_blank(payload, codec):
        # A cover has no time.
        into.add(
            pts=0 if is_cover(stream) else pts,
            duration=duration,
            payload=payload,
            is_continuous=codec.startswith("pcm_"),
        )


def _compare(pair: Pair, expected: Packets, found: Packets) -> Iterator[Difference]:
    stream = pair.source
    kind: Kind = "cover" if is_cover(stream) else "payload"
    if len(expected.crc) != len(found.crc):
        message = f"{len(found.crc)} packets, not {len(expected.crc)}"
        yield _differs(kind, stream, message)
    else:
        wrong = [i for i, (want, got) in enumerate(zip(expected.crc, found.crc, strict=True)) if want != got]
        if wrong:
            yield _differs(
                kind, stream, f"{len(wrong)} packets hold other bytes, the first is packet {wrong[0]}"
            )
    # One tick: the container's rounding is half of one, and the source's own may add to it.
    late = [
        i for i, (want, got) in enumerate(zip(expected.pts, found.pts, strict=False)) if abs(want - got) > 1
    ]
    if late:
        first = late[0]
        shift = float((found.pts[first] - expected.pts[first]) * _tick(pair.output))
        yield _differs("time", stream, f"{len(late)} packets are moved, packet {first} by {shift:+.6f} s")
    if expected.is_subtitle:
        yield from _compare_durations(stream, expected, found)
    elif not is_cover(stream) and abs(expected.end - found.end) > 1 + max(
        [0, *expected.durations, *found.durations]
    ):
        # One packet and the rounding: how much of the last one is heard, mp4 knows and Matroska does not.
        shift = float((found.end - expected.end) * _tick(pair.output))
        yield _differs("duration", stream, f"it ends {shift:+.3f} s from where it should")


def _compare_durations(stream: Stream, expected: Packets, found: Packets) -> Iterator[Difference]:
    both = zip(expected.durations, found.durations, strict=False)
    if wrong := [number for number, (want, got) in enumerate(both) if abs(want - got) > 1]:
        yield _differs("duration", stream, f"packet {wrong[0]} is not shown as long as in the source")


def _differs(kind: Kind, stream: Stream, what: str) -> Difference:
    return Difference(kind=kind, message=f"{describe(stream)}: {what}")


def _tick(stream: Stream | None) -> Fraction:
    assert stream is not None  # only matched streams are compared
    assert stream.time_base is not None  # FFmpeg gives every stream of an opened file one
    return stream.time_base


def _group(stream: Stream) -> str:
    return "cover" if is_cover(stream) else str(stream.type)
