"""The arithmetic of stored samples: ranges and matrices of ITU-T H.273, in single precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsr.media.frames import FormatFacts

# Shares of red and blue in luma by the matrix's code point: H.273, table 4.
LUMA_SHARES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def unit_of(
    samples: NDArray[Any], facts: FormatFacts, *, full_range: bool, is_chroma: bool = False
) -> NDArray[np.float32]:
    """Map stored samples to 0..1, chroma to -0.5..0.5. What is whiter than white stays beyond 1."""
    offset, span = _range_of(facts, full_range=full_range, is_chroma=is_chroma)
    return (samples.astype(np.float32) - np.float32(offset)) * np.float32(1 / span)


def samples_of(
    values: NDArray[np.float32], facts: FormatFacts, *, full_range: bool, is_chroma: bool = False
) -> NDArray[np.float32]:
    """Undo `unit_of`, without rounding."""
    offset, span = _range_of(facts, full_range=full_range, is_chroma=is_chroma)
    return values * np.float32(span) + np.float32(offset)


def stored(samples: NDArray[np.float32], facts: FormatFacts) -> NDArray[Any]:
    """Round to the nearest sample that the format has."""
    rounded: NDArray[Any] = np.clip(np.rint(samples), 0, facts.max_value).astype(facts.dtype)
    return rounded


def rgb_of(
    luma: NDArray[np.float32],
    blue_chroma: NDArray[np.float32],
    red_chroma: NDArray[np.float32],
    *,
    matrix: int,
) -> NDArray[np.float32]:
    """Turn Y in 0..1, Cb and Cr in -0.5..0.5 into RGB, [3, H, W]."""
    red_share, blue_share = LUMA_SHARES[matrix]
    green_share = 1 - red_share - blue_share
    rgb = np.empty((3, *luma.shape), dtype=np.float32)
    rgb[0] = luma + np.float32(2 - 2 * red_share) * red_chroma
    rgb[2] = luma + np.float32(2 - 2 * blue_share) * blue_chroma
    rgb[1] = luma - np.float32((2 - 2 * red_share) * red_share / green_share) * red_chroma
    rgb[1] -= np.float32((2 - 2 * blue_share) * blue_share / green_share) * blue_chroma
    return rgb


def luma_of(rgb: NDArray[np.float32], *, matrix: int) -> NDArray[np.float32]:
    """Return Y of RGB [3, H, W], both in 0..1."""
    red_share, blue_share = LUMA_SHARES[matrix]
    luma: NDArray[np.float32] = np.float32(red_share) * rgb[0]
    luma += np.float32(1 - red_share - blue_share) * rgb[1]
    luma += np.float32(blue_share) * rgb[2]
    return luma


def chroma_of(
    rgb: NDArray[np.float32], luma: NDArray[np.float32], *, matrix: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return Cb and Cr, -0.5..0.5, of RGB and its Y."""
    red_share, blue_share = LUMA_SHARES[matrix]
    blue_chroma = (rgb[2] - luma) * np.float32(1 / (2 - 2 * blue_share))
    red_chroma = (rgb[0] - luma) * np.float32(1 / (2 - 2 * red_share))
    return blue_chroma, red_chroma


def _range_of(facts: FormatFacts, *, full_range: bool, is_chroma: bool) -> tuple[float, float]:
    """Return (sample of zero, samples per unit): H.273, section 8.3."""
    step = 1 << (facts.bits - 8)
    if full_range:
        return (float(128 * step if is_chroma else 0), float(facts.max_value))
    return (128.0 * step, 224.0 * step) if is_chroma else (16.0 * step, 219.0 * step)
