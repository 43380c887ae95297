"""Frames as networks are shown them: R'G'B' that looks like SDR, and back.

Networks are trained on SDR pictures. HLG was made to look right where it is taken for SDR, and is shown as it
is. PQ is not: half of its codes are what SDR calls black, and diffuse white lies at 58 %. It is shown through
a curve that does what HLG does, for all of PQ's range: up to diffuse white (203 cd/m2, BT.2408) a gamma of
2.2, which takes three quarters of the signal as in HLG; above it a logarithm that goes on in the same slope,
up to 10 000 cd/m2. The curve is applied to each of R', G' and B', and undone exactly.

Primaries stay what they are: BT.2020 looks a little pale when it is taken for BT.709, and a conversion would
clip what BT.709 cannot hold.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsr.media.colour import PQ, from_rgb, to_rgb
from vidsr.types import Frame

TOP = 65535

PEAK = 10_000.0
"""cd/m2 of the highest code of PQ."""
DIFFUSE_WHITE = 203.0
"""cd/m2, ITU-R BT.2408."""
WHITE_SHARE = 0.75
"""Of the signal that is shown, up to diffuse white."""
GAMMA = 2.2
LOG_SLOPE = 8.150_845
"""Makes the two halves of the curve meet in one slope."""

# SMPTE ST 2084.
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def to_shown(frame: Frame) -> NDArray[Any]:
    """Return a frame as a network is shown it: R'G'B', uint8 or uint16, [3, H, W]."""
    pixels = to_rgb(frame)
    return pixels if frame.colour.transfer != PQ else _through(pixels, _shown_of_pq())


def from_shown(pixels: NDArray[Any], *, like: Frame) -> Frame:
    """Return what a network made of a frame, in the frame's own format and colour; undoes `to_shown`.

    Args:
        pixels: [3, H, W], of the type that `to_shown` gives.
        like: the frame; the result may have another size.
    """
    if like.colour.transfer == PQ:
        pixels = _through(pixels, _pq_of_shown())
    return from_rgb(pixels, pix_fmt=like.pix_fmt, colour=like.colour, like=like)


def shown_of_light(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the signal, 0..1, that shows light of 0 to 10 000 cd/m2."""
    relative = light / DIFFUSE_WHITE
    span = np.log1p(LOG_SLOPE * (PEAK / DIFFUSE_WHITE - 1))
    below = WHITE_SHARE * np.minimum(relative, 1) ** (1 / GAMMA)
    above = (1 - WHITE_SHARE) * np.log1p(LOG_SLOPE * np.maximum(relative - 1, 0)) / span
    return np.asarray(below + above)


def light_of_pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light in cd/m2 of a PQ signal, 0..1 (ST 2084, eq. 4.1)."""
    root = signal ** (1 / M2)
    return np.asarray(PEAK * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1))


@functools.cache
def _shown_of_pq() -> NDArray[np.float64]:
    """Return the curve as a table over 16-bit codes, [65536], values 0..65535."""
    return TOP * shown_of_light(light_of_pq(np.linspace(0, 1, TOP + 1)))


@functools.cache
def _pq_of_shown() -> NDArray[np.float64]:
    """Return the inverse, found in the table of the curve, which rises all the way."""
    codes = np.arange(TOP + 1, dtype=np.float64)
    return np.interp(codes, _shown_of_pq(), codes)


def _through(pixels: NDArray[Any], curve: NDArray[np.float64]) -> NDArray[Any]:
    """Look up every sample; of 8 bits, every 257th entry."""
    top = np.iinfo(pixels.dtype).max
    table = np.rint(curve[:: TOP // top] * (top / TOP)).astype(pixels.dtype)
    return np.asarray(table[pixels])
