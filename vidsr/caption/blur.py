"""How blurred a picture is: the width of its strongest edges, found by blurring it once more."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LOOKING_SIGMA = 1.0
"""Edges are looked for, and their directions taken, in a smoothed picture, in pixels."""
REBLUR_SIGMA = 0.7
STRONGEST_PERCENT = 2.0
SHARP_EDGE_SIGMA = 0.45
"""What a sharp photograph measures: the pixel's own width and the gradient filter's."""
GAIN = 0.8
"""Both calibrated on degraded photographs: wide edges are in part wide in the sharp picture too."""
MIN_EDGES = 24
MIN_GRADIENT = 1.0
"""Levels a pixel: a picture without such slopes has no edge to measure."""
BORDER = 6


def estimate_blur(lumas: Sequence[NDArray[np.float32]]) -> float | None:
    """Return the standard deviation in pixels of the Gaussian that blurs a sharp picture as much; the median.

    Zhuo and Sim (2011), "Defocus map estimation from a single image", Pattern Recognition 44: an edge of
    width s, blurred again by r, loses slope by the factor sqrt(s^2 + r^2) / s. The factor is taken over the
    strongest edges together. Differs: the slope is projected on the direction found in a smoothed picture
    and summed with its sign, so that noise adds nothing on average; their magnitudes grow with noise.

    Args:
        lumas: [H, W] each, in 0..255.

    Returns:
        None where no picture has enough edges.
    """
    found = [sigma for luma in lumas if (sigma := _of_picture(luma)) is not None]
    return float(np.median(found)) if found else None


def _of_picture(luma: NDArray[np.float32]) -> float | None:
    if min(luma.shape) < 4 * BORDER:
        return None
    across, down = _slopes(cv2.GaussianBlur(luma, (0, 0), LOOKING_SIGMA))
    strength = cv2.magnitude(across, down)
    is_edge = (strength >= cv2.dilate(strength, np.ones((3, 3), dtype=np.uint8))) & (strength > MIN_GRADIENT)
    num_edges = int(is_edge.sum())
    if num_edges < MIN_EDGES:
        return None
    num_taken = max(MIN_EDGES, round(num_edges * STRONGEST_PERCENT / 100))
    is_edge &= strength >= np.partition(strength[is_edge], num_edges - num_taken)[num_edges - num_taken]
    unit_x, unit_y = across[is_edge] / strength[is_edge], down[is_edge] / strength[is_edge]

    def slope(picture: NDArray[Any]) -> float:
        across, down = _slopes(picture)
        return float((across[is_edge] * unit_x + down[is_edge] * unit_y).sum())

    ratio = slope(luma) / slope(cv2.GaussianBlur(luma, (0, 0), REBLUR_SIGMA))
    # Noise or ringing can make the ratio of a very blurred picture touch 1, where the width has no bound.
    variance = REBLUR_SIGMA**2 / max(ratio**2 - 1, 0.01)
    return GAIN * float(np.sqrt(max(variance - SHARP_EDGE_SIGMA**2, 0)))


def _slopes(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the slopes across and down in levels a pixel (Sobel), without the border."""
    inside = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8)[inside]
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8)[inside]
    return across, down
