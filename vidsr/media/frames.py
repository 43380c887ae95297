"""Frames between FFmpeg's buffers and plain arrays.

A `Frame` is always planar, in native byte order, with the range in its colour and not in its format's name
(yuv420p, never yuvj420p). What a decoder gives in another layout (packed RGB, semi-planar, a palette, the
other byte order) is turned into the planar format of the same samples first, which loses nothing.
"""

import functools
import sys
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.format import names as pix_fmt_names  # type: ignore[attr-defined]  # PyAV has it, its stub has not
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vidsr.media.swscale import range_code
from vidsr.types import Colour, Frame

_DEPTHS = (8, 9, 10, 12, 14, 16)
_SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "411", (4, 4): "410", (1, 2): "440"}
_NATIVE = "le" if sys.byteorder == "little" else "be"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatFacts:
    """What a planar pixel format holds."""

    family: str
    """gray, yuv or gbr."""
    bits: int
    """Of one sample: 8 to 16."""
    chroma_step: tuple[int, int]
    """(rows, columns) of luma that share one chroma sample: (2, 2) is 4:2:0. (1, 1) for gray and gbr."""
    has_alpha: bool

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of a sample."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def num_planes(self) -> int:
        """Planes of a picture, alpha last."""
        return (1 if self.family == "gray" else 3) + self.has_alpha

    @property
    def max_value(self) -> int:
        """Largest sample."""
        return (1 << self.bits) - 1

    def plane_shape(self, index: int, *, height: int, width: int) -> tuple[int, int]:
        """Return (rows, columns) of plane `index`."""
        rows, columns = self.chroma_step if index in {1, 2} else (1, 1)
        return -(-height // rows), -(-width // columns)


@functools.cache
def planar_format(pix_fmt: str) -> str:
    """Return the name of the planar format that holds the samples of `pix_fmt` without loss.

    Floating point, which no codec of this package writes, becomes 16 bits.
    """
    described = VideoFormat(pix_fmt)
    samples = [component for component in described.components if not component.is_alpha]
    has_alpha = len(samples) < len(described.components)
    bits = min(depth for depth in _DEPTHS if depth >= min(max(component.bits for component in samples), 16))
    if described.is_bayer:
        return _existing("gbrp", 16)
    if described.is_rgb or pix_fmt.startswith("xyz") or (len(samples) == 1 and has_alpha):
        return _existing("gbrap" if has_alpha else "gbrp", bits)
    if len(samples) == 1:
        return _existing("gray", bits)
    # 16 divides by every chroma step there is.
    step = (16 // described.chroma_width(16), 16 // described.chroma_height(16))
    return _existing(f"yuv{'a' if has_alpha else ''}{_SUBSAMPLING[step]}p", bits)


@functools.cache
def format_facts(pix_fmt: str) -> FormatFacts:
    """Describe a pixel format, planar or not, by its planar form."""
    planar = planar_format(pix_fmt)
    described = VideoFormat(planar)
    family = "gray" if planar.startswith("gray") else "gbr" if planar.startswith("gbr") else "yuv"
    has_alpha = any(component.is_alpha for component in described.components)
    step = (1, 1)
    if family == "yuv":
        step = (16 // described.chroma_height(16), 16 // described.chroma_width(16))
    bits = described.components[0].bits
    return FormatFacts(family=family, bits=bits, chroma_step=step, has_alpha=has_alpha)


def to_planar(picture: av.VideoFrame) -> av.VideoFrame:
    """Return `picture` in its planar format: itself where it is planar already."""
    name = picture.format.name
    planar = planar_format(name)
    if name in {planar, planar.replace("yuv", "yuvj", 1)}:
        return picture
    return VideoReformatter().reformat(picture, format=planar, threads=1)


def luma_crc(picture: av.VideoFrame) -> int:
    """Return the CRC-32 of the first plane of a planar picture, row padding left out."""
    plane = picture.planes[0]
    row_bytes = plane.width * (1 if format_facts(picture.format.name).bits == 8 else 2)
    if plane.line_size == row_bytes:
        return zlib.crc32(plane)
    return zlib.crc32(_samples(picture, 0).data)


def colour_of(picture: av.VideoFrame) -> Colour:
    """Return the colour that a decoder states, `UNSPECIFIED` where it states nothing."""
    is_full = {1: False, 2: True}.get(picture.color_range)
    return Colour(
        matrix=picture.colorspace,
        primaries=picture.color_primaries,
        transfer=picture.color_trc,
        full_range=True if picture.format.name.startswith("yuvj") else is_full,
    )


def from_av(picture: av.VideoFrame, *, index: int, pts: int, time_base: Fraction, colour: Colour) -> Frame:
    """Copy a decoded picture out of FFmpeg's buffers.

    Args:
        picture: in any software format.
        index: its row in the frame table.
        pts: its sanitised time in ticks of `time_base`.
        time_base: seconds per tick.
        colour: what the samples mean; `picture` is not asked.
    """
    planar = to_planar(picture)
    pix_fmt = planar_format(picture.format.name)
    return Frame(
        planes=tuple(_samples(planar, plane) for plane in range(format_facts(pix_fmt).num_planes)),
        pix_fmt=pix_fmt,
        width=picture.width,
        height=picture.height,
        colour=colour,
        index=index,
        pts=pts,
        time_base=time_base,
    )


def to_av(frame: Frame) -> av.VideoFrame:
    """Return the frame as FFmpeg's, with its time and colour tags. The samples are copied."""
    picture = av.VideoFrame(frame.width, frame.height, frame.pix_fmt)
    for plane, samples in zip(picture.planes, frame.planes, strict=True):
        rows = np.frombuffer(memoryview(plane), dtype=samples.dtype).reshape(plane.height, -1)
        rows[:, : plane.width] = samples
    picture.pts, picture.time_base = frame.pts, frame.time_base
    tag(picture, frame.colour)
    return picture


def tag(picture: av.VideoFrame, colour: Colour) -> None:
    """Write `colour` on a picture; its samples stay as they are. PyAV gives no access to chroma siting."""
    picture.colorspace, picture.color_range = colour.matrix, range_code(colour)
    picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer


def _samples(picture: av.VideoFrame, index: int) -> NDArray[Any]:
    """Return a copy of one plane without row padding, [rows, columns]."""
    plane = picture.planes[index]
    rows = np.frombuffer(memoryview(plane), dtype=format_facts(picture.format.name).dtype).reshape(
        plane.height, -1
    )
    # FFmpeg stores pictures that were written bottom up with a negative line size.
    upright = rows[::-1] if plane.line_size < 0 else rows
    return np.array(upright[:, : plane.width], order="C")


def _existing(stem: str, bits: int) -> str:
    """Return the shallowest format of a family that FFmpeg has and that holds `bits`."""
    names = [stem if depth == 8 else f"{stem}{depth}{_NATIVE}" for depth in _DEPTHS if depth >= bits]
    return next(name for name in names if name in pix_fmt_names)
