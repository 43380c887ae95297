"""The luma of a picture, and what of it is not the bars of a letterbox."""

import numpy as np
from numpy.typing import NDArray

BAR_LEVEL = 40.0
BAR_RANGE = 6.0
"""A line darker than BAR_LEVEL whose samples differ by less is the bar of a letterbox."""
MIN_SIDE = 16
"""Pixels that must be left without bars; otherwise the whole picture is looked at."""


def full_luma(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luma (ITU-R BT.601) of uint8 RGB [3, H, W] in 0..255, [H, W]."""
    red, green, blue = picture.astype(np.float32)
    luma: NDArray[np.float32] = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma


def content(luma: NDArray[np.float32]) -> tuple[slice, slice]:
    """Return rows and columns of the picture between the bars; all of them where too few are left.

    Args:
        luma: [H, W] in 0..255.
    """
    rows, columns = _without_bars(luma), _without_bars(luma.T)
    if rows.stop - rows.start < MIN_SIDE or columns.stop - columns.start < MIN_SIDE:
        return slice(0, luma.shape[0]), slice(0, luma.shape[1])
    return rows, columns


def _without_bars(luma: NDArray[np.float32]) -> slice:
    """Return the rows between the bars; none where every row is one."""
    is_bar = (luma.mean(axis=1) < BAR_LEVEL) & (np.ptp(luma, axis=1) < BAR_RANGE)
    found = np.flatnonzero(~is_bar)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)
