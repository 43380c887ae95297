"""How visible the 8x8 blocks of a codec are, said as the JPEG quality that leaves as much of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
EXCESS = (0.3, 0.5, 1.5, 2.8, 4.1, 6.0, 9.2, 14.0)
"""Median of `block_excess` over photographs ..."""
COMPRESSION = (0.0, 5.0, 15.0, 30.0, 50.0, 70.0, 85.0, 95.0)
"""... that libjpeg compressed at 100 minus this quality. Calibrated."""


def estimate_jpeg_quality(lumas: Sequence[NDArray[np.float32]]) -> float | None:
    """Return the JPEG quality, 5 to 100, that would leave blocks as visible as those of the pictures.

    Args:
        lumas: [H, W] each, in 0..255, all of one size.

    Returns:
        None where the pictures are too small to tell.
    """
    excess = block_excess(lumas)
    if excess is None:
        return None
    return 100 - float(np.interp(excess, EXCESS, COMPRESSION))


def block_excess(lumas: Sequence[NDArray[np.float32]]) -> float | None:
    """Return by how many levels the step between blocks exceeds the steps beside it, both directions added.

    After Wang, Bovik and Evans (2000), "Blind measurement of blocking artifacts in images", ICIP: the
    differences of neighbours, averaged along the other direction, have a component of period 8. Differs:
    the profile over the eight phases is formed in the picture domain and its highest phase is taken, since a
    cropped or letterboxed video does not start on a block; the pictures of a shot share one grid and are
    averaged.
    """
    if not lumas or min(lumas[0].shape) < 4 * BLOCK:
        return None
    excess = 0.0
    for axis in (0, 1):
        profile = np.mean([_phases(luma, axis) for luma in lumas], axis=0)
        excess += float(profile.max() - np.median(profile))
    return excess


def _phases(luma: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """Return by how much steps along `axis` exceed their neighbours, for each phase of the grid, [8]."""
    steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis, dtype=np.float64)
    excess = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
    whole = len(excess) // BLOCK * BLOCK
    phases: NDArray[np.float64] = excess[:whole].reshape(-1, BLOCK).mean(axis=0)
    return phases
