"""Sound from one codec into another: decoded to samples in one run, and encoded from them."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from vidsr.media.copies import open_for_copying, ticks_of
from vidsr.media.packets import SourceClock, packets_of

HOLE = Fraction(1, 50)
"""Seconds without sound that are filled with silence; less is the rounding of a container's clock."""
LOSSLESS = frozenset({"alac", "flac"})
_DEEP_BITS = 24
"""What ALAC and FLAC keep of samples of more than 16 bits."""
_OPUS_RATE = 48_000
_USUAL = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Layouts by their number of channels, for sources that say only that ("2 channels")."""
_BEHIND = {"5.1(side)": "5.1", "5.0(side)": "5.0", "quad(side)": "quad"}
"""Layouts whose speakers at the sides ALAC and Opus know as those behind."""
_FRAME_SAMPLES = 4096
"""In a packet, where the codec leaves it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFormat:
    """What an encoder is fed with."""

    samples: str
    """FFmpeg's name of the sample format."""
    rate_hz: int
    layout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some samples and when the first of them is heard."""

    seconds: Fraction
    frame: AudioFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a stream lets hear, in three numbers."""

    start: Fraction
    num_samples: int
    crc: int
    """CRC-32 of the samples, down to the bits that lossless codecs keep."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """Samples one after the other."""

    start: Fraction
    rate_hz: int
    count: int = 0

    @property
    def end(self) -> Fraction:
        return self.start + Fraction(self.count, self.rate_hz)

    def take(self, frame: AudioFrame) -> Piece:
        """Return the next samples with their time."""
        piece = Piece(seconds=self.end, frame=frame)
        self.count += frame.samples
        return piece


class _Resampling:
    """Brings samples into one format, also where broadcasts change theirs on the way."""

    def __init__(self, wanted: SoundFormat) -> None:
        self._wanted = wanted
        self._resampler: AudioResampler | None = None
        self._given: tuple[str, str, int] | None = None

    def take(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Yield what `frame` becomes, behind what was left of another format."""
        given = (frame.format.name, frame.layout.name, frame.sample_rate)
        if given != self._given:
            yield from self.rest()
            self._given = given
            self._resampler = AudioResampler(
                format=self._wanted.samples, layout=self._wanted.layout, rate=self._wanted.rate_hz
            )
        assert self._resampler is not None  # made with the first format
        yield from self._resampler.resample(frame)

    def rest(self) -> Iterator[AudioFrame]:
        """Yield what is left in the end."""
        if self._resampler is not None:
            yield from self._resampler.resample(None)


def sound_format(source: AudioStream, codec: str) -> SoundFormat:
    """Return what the encoder of `codec` is fed with, which loses as little of `source` as it can hold."""
    context = source.codec_context
    name = _USUAL.get(context.layout.nb_channels, context.layout.name)
    layout = name if "channels" in context.layout.name else context.layout.name
    layout = layout if codec == "flac" else _BEHIND.get(layout, layout)
    if codec == "opus":
        return SoundFormat(samples="flt", rate_hz=_OPUS_RATE, layout=layout)
    name = f"s{32 if context.format.bytes > 2 else 16}{'p' if codec == 'alac' else ''}"
    return SoundFormat(samples=name, rate_hz=context.sample_rate, layout=layout)


def silence(wanted: SoundFormat, count: int) -> AudioFrame:
    """Return `count` samples without sound."""
    frame = AudioFrame(format=wanted.samples, layout=wanted.layout, samples=count)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate = wanted.rate_hz
    return frame


def samples_of(path: Path, index: int, *, clock: SourceClock, wanted: SoundFormat) -> Iterator[Piece]:
    """Decode audio stream `index` of a file into one run of samples without holes.

    A packet that cannot be decoded leaves a hole, and holes are filled with silence, so that what comes after
    keeps its time.
    """
    resampling = _Resampling(wanted)
    run: _Run | None = None
    with open_for_copying(path) as file:
        for frame in _decoded(file, file.streams[index], clock):
            seconds = None if frame.pts is None else frame.pts * cast(Fraction, frame.time_base)
            if run is None:
                run = _Run(start=seconds or Fraction(0), rate_hz=wanted.rate_hz)
            hole = Fraction(0) if seconds is None else seconds - run.end
            frame.pts = None
            if hole > HOLE:
                yield run.take(silence(wanted, round(hole * wanted.rate_hz)))
            for piece in resampling.take(frame):
                yield run.take(piece)
        if run is not None:
            for piece in resampling.rest():
                yield run.take(piece)


def encode_sound(
    pieces: Iterator[Piece], stream: AudioStream, *, offset: Fraction
) -> Iterator["Packet[Any]"]:
    """Yield the packets of `stream`, whose encoder is open, `offset` seconds behind the pieces' times."""
    context = stream.codec_context
    tick = cast(Fraction, stream.time_base)
    first: Fraction | None = None
    for frame, start in _framed(pieces, context.frame_size or _FRAME_SAMPLES):
        first = start if first is None else first
        for packet in context.encode(frame):
            yield _stamped(packet, stream, first + offset, tick)
    if first is not None:
        for packet in context.encode(None):
            yield _stamped(packet, stream, first + offset, tick)


def heard(pieces: Iterator[Piece], wanted: SoundFormat) -> Heard:
    """Sum up what is heard."""
    start, count, crc = Fraction(0), 0, 0
    for piece in pieces:
        start = start if count else piece.seconds
        samples: NDArray[Any] = piece.frame.to_ndarray()
        # Planar samples have a row a channel, packed ones a single row.
        samples = samples.T if wanted.samples.endswith("p") else samples
        if samples.dtype == np.int32:
            samples = samples >> (32 - _DEEP_BITS)
        crc = zlib.crc32(samples.tobytes(), crc)
        count += piece.frame.samples
    return Heard(start=start, num_samples=count, crc=crc)


def _decoded(file: av.container.InputContainer, stream: Stream, clock: SourceClock) -> Iterator[AudioFrame]:
    decoder = cast(AudioStream, stream).codec_context
    for packet in packets_of(file, [stream], clock=clock):
        try:
            yield from decoder.decode(packet)
        except av.error.InvalidDataError:
            # What cannot be decoded is silent; players of the source have nothing to play there either.
            continue
    yield from decoder.decode(None)


def _framed(pieces: Iterator[Piece], size: int) -> Iterator[tuple[AudioFrame, Fraction]]:
    """Yield frames of `size` samples, the last one perhaps shorter, and when the first of all is heard."""
    fifo = AudioFifo()
    start: Fraction | None = None
    count = 0
    for piece in pieces:
        start = piece.seconds if start is None else start
        piece.frame.pts = None
        fifo.write(piece.frame)
        while (frame := fifo.read(size)) is not None:
            yield _counted(frame, count), start
            count += frame.samples
    if start is not None and (frame := fifo.read(0, partial=True)) is not None:
        yield _counted(frame, count), start


def _counted(frame: AudioFrame, count: int) -> AudioFrame:
    frame.pts, frame.time_base = count, Fraction(1, frame.sample_rate)
    return frame


def _stamped(packet: "Packet[Any]", stream: Stream, start: Fraction, tick: Fraction) -> "Packet[Any]":
    pts = start + cast(int, packet.pts) * packet.time_base
    stop = pts + (packet.duration or 0) * packet.time_base
    packet.stream = stream
    packet.time_base = tick
    packet.pts = packet.dts = ticks_of(pts, tick)
    packet.duration = ticks_of(stop, tick) - ticks_of(pts, tick)
    return packet
