"""What a container really holds of a stream: a little of it is written to memory and read back.

Tables of what goes into which container age, and are wrong in the corners (a title that mp4 keeps under
another name, a flag that mov forgets). FFmpeg itself is not.
"""

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from vidsr.media.codecs import CODECS
from vidsr.media.convert import add_converted, specimen
from vidsr.media.copies import add_copy, codec_of, is_cover, language_of, title_of
from vidsr.media.encode import add_encoder

MUXER_OPTIONS = MappingProxyType({"fflags": "+bitexact"})
"""Of every output: without it Matroska's ids are random, and the same job writes another file each time."""

EARLY = Fraction(-10)
"""Seconds at which the trial's packet is put, to see where it lands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a container makes of one stream."""

    refusal: str = ""
    """Why it takes none of it; empty where it takes it."""
    earliest: Fraction | None = None
    """The smallest time in seconds that it can give a packet of the stream; None if there is no limit."""
    dispositions: int = -1
    """Flags that are still set when it is read back; -1, all of them, where that was not seen."""
    has_language: bool = True
    has_title: bool = True


NOTHING_LOST = Held()


@functools.cache
def takes_codec(muxer: str, encoder: str) -> bool:
    """Return whether `muxer` writes a header for the video of `encoder`, one of FFmpeg's."""
    facts = next(facts for facts in CODECS if facts.encoder == encoder)
    if muxer not in facts.muxers:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as file:
            stream = add_encoder(file, facts, rate=Fraction(25), options=facts.options)
            stream.width, stream.height, stream.pix_fmt = 64, 64, facts.pix_fmts[0]
            file.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def try_stream(stream: Stream, packet: "Packet[Any] | None", *, muxer: str) -> Held:
    """Return what `muxer` makes of `stream`.

    Args:
        stream: of an open input.
        packet: one of its packets if one is at hand; a cover's picture.
        muxer: FFmpeg's name of a container.
    """
    if is_cover(stream) and packet is None:
        return Held(refusal="its picture is missing")
    memory = io.BytesIO()
    try:
        has_packet = _write(memory, stream, packet, muxer=muxer)
    except (ValueError, av.error.FFmpegError):
        return Held(refusal=_cannot(muxer, stream))
    if packet is None or not has_packet:
        # A file without a packet cannot be opened again.
        return Held()
    memory.seek(0)
    try:
        with av.open(memory, "r") as file:
            # A stream that the muxer swallowed without an error leaves no first stream, or no packet.
            return _compare(file, stream, packet, muxer=muxer)
    except (av.error.FFmpegError, IndexError, StopIteration):
        return Held(refusal=_cannot(muxer, stream))


def try_conversion(stream: Stream, codec: str, *, muxer: str) -> Held:
    """Return what `muxer` makes of `stream` when it is converted to `codec`.

    Args:
        stream: of an open input.
        codec: FFmpeg's name.
        muxer: FFmpeg's name of a container.
    """
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format=muxer, container_options=dict(MUXER_OPTIONS)) as file:
            converted = add_converted(file, stream, codec=codec)
            file.start_encoding()
            for packet in specimen(stream, converted):
                file.mux_one(packet)
    except (ValueError, av.error.FFmpegError):
        return Held(refusal=_cannot(muxer, stream))
    memory.seek(0)
    with av.open(memory, "r") as file:
        return _kept(file.streams[0], stream)


def _write(memory: io.BytesIO, source: Stream, packet: "Packet[Any] | None", *, muxer: str) -> bool:
    with av.open(memory, "w", format=muxer, container_options=dict(MUXER_OPTIONS)) as file:
        stream = add_copy(file, source, muxer=muxer, picture=b"" if packet is None else bytes(packet))
        file.start_encoding()
        if packet is None or stream.type == "attachment":
            return False
        _mux_copy(file, stream, packet, seconds=Fraction(0) if is_cover(source) else EARLY)
        return True


def _mux_copy(file: OutputContainer, stream: Stream, packet: "Packet[Any]", *, seconds: Fraction) -> None:
    copy = Packet(bytes(packet))
    for side_data in packet.iter_sidedata():
        copy.set_sidedata(side_data)
    copy.stream = stream
    copy.time_base = packet.time_base
    copy.is_keyframe = True
    copy.pts = copy.dts = round(seconds / packet.time_base)
    copy.duration = packet.duration
    file.mux_one(copy)


def _compare(file: InputContainer, source: Stream, packet: "Packet[Any]", *, muxer: str) -> Held:
    back = file.streams[0]
    if is_cover(source):
        same = is_cover(back) and bytes(next(file.demux(back))) == bytes(packet)
        return Held() if same else Held(refusal=_cannot(muxer, source))
    pts = next(p.pts * p.time_base for p in file.demux(back) if p.size and p.pts is not None)
    # Half a millisecond is Matroska's rounding.
    is_limited = pts - EARLY > Fraction(1, 1000)
    return replace(_kept(back, source), earliest=pts if is_limited else None)


def _kept(back: Stream, source: Stream) -> Held:
    """Return which tags of `source` are still there in what was read back."""
    return Held(
        dispositions=int(back.disposition),
        has_language=language_of(back.metadata) == language_of(source.metadata),
        has_title=title_of(_plain(back.metadata)) == title_of(source.metadata),
    )


def _plain(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in metadata.items()}


def _cannot(muxer: str, stream: Stream) -> str:
    if is_cover(stream):
        return f"{muxer} cannot hold a cover picture"
    if stream.type == "attachment":
        return f"{muxer} cannot hold attachments"
    return f"{muxer} cannot hold {'data ' if stream.type == 'data' else ''}{codec_of(stream)}"
