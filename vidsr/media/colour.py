"""Between stored samples and RGB, with the picture's own matrix, range and chroma siting.

Ranges and matrices are applied in floating point; swscale only resamples chroma. Its own conversions are not
right enough (FFmpeg 8.1): 10-bit limited white becomes 65283 of 65535, and very bright, saturated samples
overflow to black. Only 8-bit RGB to limited 4:2:0 and the like is left to it: that is exact to half a level.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import ConfigError, InputError
from vidsr.media import matrix
from vidsr.media.frames import FormatFacts, format_facts, from_av, planar_format, tag, to_av
from vidsr.media.swscale import EXACT_BICUBIC, PictureFormat, resampler
from vidsr.types import UNSPECIFIED, Colour, Frame

__all__ = [
    "convert",
    "from_av",
    "from_rgb",
    "is_hdr",
    "output_pix_fmt",
    "resolved_colour",
    "to_av",
    "to_packed",
    "to_rgb",
]

HD_HEIGHT = 720
UINT8_MAX = 255
RGB_MATRIX = 0
BT709, BT601 = 1, 6
PQ, HLG = 16, 18
RGB = Colour(matrix=RGB_MATRIX, full_range=True)

# The deepest format of each chroma step, as (rows, columns): chroma is resampled in it.
_DEEPEST = {
    (1, 1): "yuv444p16",
    (1, 2): "yuv422p16",
    (2, 2): "yuv420p16",
    (2, 1): "yuv440p12",
    (1, 4): "yuv411p",
    (4, 4): "yuv410p",
}


def resolved_colour(colour: Colour, *, pix_fmt: str, height: int) -> Colour:
    """Return `colour` with matrix and range decided where the source does not state them.

    RGB has no matrix and is full. YCbCr without a matrix is BT.709 from 720 rows on and BT.601
    below, as players assume; without a range it is limited. Gray without a range is full, as
    FFmpeg reads it.

    Args:
        colour: as the source states it.
        pix_fmt: of its samples.
        height: of the source, not of the enlarged picture: the samples were made for that.
    """
    family = format_facts(pix_fmt).family
    if family == "gbr":
        return replace(colour, matrix=RGB_MATRIX, full_range=True)
    code = colour.matrix
    if code in {UNSPECIFIED, RGB_MATRIX}:
        code = BT709 if height >= HD_HEIGHT else BT601
    full_range = colour.full_range if colour.full_range is not None else family == "gray"
    return replace(colour, matrix=code, full_range=full_range)


def is_hdr(colour: Colour) -> bool:
    """Return whether the transfer is PQ or HLG."""
    return colour.transfer in {PQ, HLG}


def to_rgb(frame: Frame) -> NDArray[Any]:
    """Return the picture as R'G'B', [3, H, W]: uint8 of an 8-bit frame, uint16 (0..65535) of a deeper one.

    Alpha is left out.

    Raises:
        InputError: the frame has a matrix that cannot be turned into RGB (YCgCo, constant luminance, ICtCp).
    """
    facts = format_facts(frame.pix_fmt)
    colour = resolved_colour(frame.colour, pix_fmt=frame.pix_fmt, height=frame.height)
    if facts.family == "gbr":
        green, blue, red = frame.planes[:3]
        return _rescaled(
            np.stack([red, green, blue]), top=facts.max_value, new_top=int(np.iinfo(facts.dtype).max)
        )
    is_full = bool(colour.full_range)
    luma = matrix.unit_of(frame.planes[0], facts, full_range=is_full)
    if facts.family == "gray":
        return np.repeat(_quantised(luma, facts)[None], 3, axis=0)
    _refuse_unknown_matrix(colour.matrix)
    blue_chroma, red_chroma = (
        matrix.unit_of(plane, facts, full_range=is_full, is_chroma=True)
        for plane in _full_chroma(frame, facts)
    )
    return _quantised(matrix.rgb_of(luma, blue_chroma, red_chroma, matrix=colour.matrix), facts)


def from_rgb(pixels: NDArray[Any], *, pix_fmt: str, colour: Colour, like: Frame) -> Frame:
    """Return R'G'B' pixels as a frame, the inverse of `to_rgb`.

    Args:
        pixels: [3, H, W], uint8 0..255 or uint16 0..65535.
        pix_fmt: of the new frame; its planar form is taken. Alpha, if it has any, is enlarged from `like`,
            opaque where `like` has none.
        colour: of the new frame; what it leaves open is decided by the height of `like`.
        like: the frame that the pixels were made from: gives index and time.
    """
    pix_fmt = planar_format(pix_fmt)
    facts = format_facts(pix_fmt)
    colour = resolved_colour(colour, pix_fmt=pix_fmt, height=like.height)
    height, width = pixels.shape[1:]
    made = replace(like, planes=(), pix_fmt=pix_fmt, width=width, height=height, colour=colour)
    alpha = (_alpha(like, facts, width=width, height=height),) if facts.has_alpha else ()
    if facts.family == "gbr":
        red, green, blue = _rescaled(pixels, top=int(np.iinfo(pixels.dtype).max), new_top=facts.max_value)
        return replace(made, planes=(green, blue, red, *alpha))
    _refuse_unknown_matrix(colour.matrix)
    is_full = bool(colour.full_range)
    if facts.family == "yuv" and facts.bits == 8 and pixels.dtype == np.uint8 and not is_full:
        red, green, blue = np.ascontiguousarray(pixels)
        source = replace(made, planes=(green, blue, red), pix_fmt="gbrp", colour=RGB)
        result = _resampled(source, RGB, pix_fmt=pix_fmt.replace("yuva", "yuv", 1), out_colour=colour)
        return replace(made, planes=(*result.planes, *alpha))
    rgb = pixels.astype(np.float32) * np.float32(1 / np.iinfo(pixels.dtype).max)
    luma = matrix.luma_of(rgb, matrix=colour.matrix)
    planes = [matrix.stored(matrix.samples_of(luma, facts, full_range=is_full), facts)]
    if facts.family == "yuv":
        chroma = (
            matrix.samples_of(plane, facts, full_range=is_full, is_chroma=True)
            for plane in matrix.chroma_of(rgb, luma, matrix=colour.matrix)
        )
        planes += [matrix.stored(plane, facts) for plane in _sited_chroma(*chroma, facts=facts, made=made)]
    return replace(made, planes=(*planes, *alpha))


def convert(frame: Frame, *, pix_fmt: str, colour: Colour) -> Frame:
    """Return the frame in another pixel format or colour; itself where both agree.

    Only what has to change does: from 4:2:0 to 4:2:2 the luma samples stay what they are.

    Args:
        frame: any.
        pix_fmt: its planar form is taken.
        colour: matrix and range of the new samples where stated, the frame's own where not.
    """
    pix_fmt = planar_format(pix_fmt)
    own = resolved_colour(frame.colour, pix_fmt=frame.pix_fmt, height=frame.height)
    wanted = resolved_colour(_filled(colour, own), pix_fmt=pix_fmt, height=frame.height)
    is_same = (own.matrix, own.full_range) == (wanted.matrix, wanted.full_range)
    if is_same and pix_fmt == frame.pix_fmt:
        return replace(frame, colour=wanted)
    before, after = format_facts(frame.pix_fmt), format_facts(pix_fmt)
    if is_same and before.family == after.family == "yuv" and not after.has_alpha:
        return replace(_resampled(frame, own, pix_fmt=pix_fmt, out_colour=wanted), colour=wanted)
    return from_rgb(to_rgb(frame), pix_fmt=pix_fmt, colour=wanted, like=frame)


def to_packed(frame: Frame, *, pix_fmt: str) -> av.VideoFrame:
    """Return the frame as FFmpeg's in `pix_fmt`, any layout of its samples (nv12 of yuv420p)."""
    picture = to_av(frame)
    if pix_fmt == frame.pix_fmt:
        return picture
    if planar_format(pix_fmt) != frame.pix_fmt:
        msg = f"{pix_fmt} is not a layout of {frame.pix_fmt}; convert the frame first"
        raise ValueError(msg)
    return picture.reformat(format=pix_fmt, threads=1)


def output_pix_fmt(source_pix_fmt: str, supported: Sequence[str]) -> str:
    """Return the cheapest of an encoder's formats that holds every sample of the source.

    Never fewer bits, never coarser chroma, colour for colour; RGB may become 4:4:4. Alpha is kept where the
    encoder can, and given up otherwise.

    Args:
        source_pix_fmt: any.
        supported: formats the encoder takes, in its own order of preference.

    Raises:
        ConfigError: none of them holds the source.
    """
    source = format_facts(source_pix_fmt)
    fitting = [name for name in supported if _holds(format_facts(name), source)]
    if not fitting:
        msg = f"no pixel format of the encoder ({', '.join(supported)}) holds {source_pix_fmt} without loss"
        raise ConfigError(msg + "; take another codec, such as ffv1")
    return min(fitting, key=lambda name: _cost(name, source))


def _holds(target: FormatFacts, source: FormatFacts) -> bool:
    is_fine = all(theirs <= ours for theirs, ours in zip(target.chroma_step, source.chroma_step, strict=True))
    if source.family == "gray":
        return target.bits >= source.bits
    return target.family != "gray" and target.bits >= source.bits and is_fine


def _cost(name: str, source: FormatFacts) -> tuple[bool, bool, bool, int, int, bool]:
    target = format_facts(name)
    rows, columns = target.chroma_step
    return (
        name.startswith("yuvj"),  # says what the range tag says, and only 8 bits know it
        source.has_alpha and not target.has_alpha,
        source.family != target.family,
        target.bits,
        # A finer grid than needed costs.
        -rows * columns,
        planar_format(name) != name,
    )


def _filled(colour: Colour, own: Colour) -> Colour:
    code = own.matrix if colour.matrix == UNSPECIFIED else colour.matrix
    full_range = own.full_range if colour.full_range is None else colour.full_range
    return replace(colour, matrix=code, full_range=full_range)


def _refuse_unknown_matrix(code: int) -> None:
    if code not in matrix.LUMA_SHARES:
        known = ", ".join(map(str, matrix.LUMA_SHARES))
        msg = f"colour matrix {code} (H.273) cannot be turned into RGB; known are {known}"
        raise InputError(msg + "; convert the input first, or take restorer bicubic")


def _resampled(frame: Frame, colour: Colour, *, pix_fmt: str, out_colour: Colour) -> Frame:
    """Change layout and colour through swscale; `colour` is the frame's, resolved."""
    source = PictureFormat(width=frame.width, height=frame.height, pix_fmt=frame.pix_fmt, colour=colour)
    target = replace(source, pix_fmt=pix_fmt, colour=out_colour)
    picture = to_av(frame)
    tag(picture, colour)
    result = resampler(source, target, flags=EXACT_BICUBIC).convert(picture)
    return from_av(result, index=frame.index, pts=frame.pts, time_base=frame.time_base, colour=out_colour)


def _full_chroma(frame: Frame, facts: FormatFacts) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the frame's Cb and Cr at every luma sample, on the scale of its depth."""
    if facts.chroma_step == (1, 1):
        return frame.planes[1], frame.planes[2]
    deep = planar_format(_DEEPEST[facts.chroma_step])
    shift = format_facts(deep).bits - facts.bits
    wide = (np.left_shift(plane.astype(np.uint16), shift) for plane in frame.planes[1:3])
    planes = tuple(plane.astype(format_facts(deep).dtype) for plane in wide)
    return _chroma(frame, planes, pix_fmt=deep, out_pix_fmt=planar_format(_DEEPEST[1, 1]), bits=facts.bits)


def _sited_chroma(
    blue: NDArray[np.float32], red: NDArray[np.float32], *, facts: FormatFacts, made: Frame
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return chroma that is known at every luma sample at the places where `made` has it."""
    if facts.chroma_step == (1, 1):
        return blue, red
    full = planar_format(_DEEPEST[1, 1])
    scale = np.float32(1 << (16 - facts.bits))
    planes = tuple(matrix.stored(plane * scale, format_facts(full)) for plane in (blue, red))
    out_pix_fmt = planar_format(_DEEPEST[facts.chroma_step])
    return _chroma(made, planes, pix_fmt=full, out_pix_fmt=out_pix_fmt, bits=facts.bits)


def _chroma(
    like: Frame, planes: tuple[NDArray[Any], ...], *, pix_fmt: str, out_pix_fmt: str, bits: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Resample two chroma planes from the grid of one format to that of another, on the scale of `bits`."""
    luma = np.zeros((like.height, like.width), dtype=planes[0].dtype)
    # Without a range swscale leaves samples as they are, up to the shift between two depths.
    siting = Colour(chroma_location=like.colour.chroma_location)
    source = replace(like, planes=(luma, *planes), pix_fmt=pix_fmt, colour=siting)
    result = _resampled(source, siting, pix_fmt=out_pix_fmt, out_colour=siting)
    scale = np.float32(2.0 ** (bits - format_facts(out_pix_fmt).bits))
    return result.planes[1].astype(np.float32) * scale, result.planes[2].astype(np.float32) * scale


def _quantised(unit: NDArray[np.float32], facts: FormatFacts) -> NDArray[Any]:
    """Round 0..1 to uint8 for 8-bit sources, to uint16 for deeper ones."""
    top = np.float32(np.iinfo(facts.dtype).max)
    pixels: NDArray[Any] = np.clip(np.rint(unit * top), 0, top).astype(facts.dtype)
    return pixels


def _rescaled(samples: NDArray[Any], *, top: int, new_top: int) -> NDArray[Any]:
    """Return full-range samples, 0..top, on the scale 0..new_top."""
    if top == new_top:
        return np.ascontiguousarray(samples)
    # Double precision: float32 holds 24 bits, and the product of two depths may need more.
    return np.rint(samples * (new_top / top)).astype(np.uint8 if new_top == UINT8_MAX else np.uint16)


def _alpha(like: Frame, facts: FormatFacts, *, width: int, height: int) -> NDArray[Any]:
    """Return the opacity of `like` at another size and depth; opaque where it has none."""
    own = format_facts(like.pix_fmt)
    if not own.has_alpha:
        return np.full((height, width), facts.max_value, dtype=facts.dtype)
    name = planar_format("gray" if own.bits == 8 else f"gray{own.bits}le")
    opacity = replace(like, planes=(like.planes[-1],), pix_fmt=name, colour=Colour(full_range=True))
    source = PictureFormat(width=like.width, height=like.height, pix_fmt=name, colour=opacity.colour)
    target = replace(source, width=width, height=height)
    picture = resampler(source, target, flags=EXACT_BICUBIC).convert(to_av(opacity))
    enlarged = from_av(picture, index=0, pts=0, time_base=like.time_base, colour=opacity.colour).planes[0]
    return _rescaled(enlarged, top=own.max_value, new_top=facts.max_value)
