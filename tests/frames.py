"""Frames of pictures in memory, as a decoder would give them."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsr.types import Colour, Frame


def rgb_frame(pixels: NDArray[np.uint8] | NDArray[np.uint16], index: int) -> Frame:
    """Return RGB [3, H, W] as frame `index` of a video of 25 frames a second."""
    red, green, blue = np.ascontiguousarray(pixels)
    return Frame(
        planes=(green, blue, red),
        pix_fmt="gbrp" if pixels.dtype == np.uint8 else "gbrp16le",
        width=pixels.shape[2],
        height=pixels.shape[1],
        colour=Colour(matrix=0, full_range=True),
        index=index,
        pts=index,
        time_base=Fraction(1, 25),
    )
