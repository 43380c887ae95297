"""Ringing beside edges and banding in smooth areas: named only where they are plain to see."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

RINGING_THRESHOLD = 0.05
"""Overshoot as a share of the edge. Of 48 photographs, sharp, blurred, noisy or JPEG-40, under 5 % reach it;
sharpened by an unsharp mask of 1.5 pixels and strength 1, three in four do."""
BANDING_THRESHOLD = 3e-4
"""Band edges a pixel. No photograph of 48 exceeds a third; smoothed and cut to 6 bits, three in four do."""

EDGE_SIGMA = 1.4
EDGE_GRADIENT = 4.0
STRONGEST_PERCENT = 20.0
MIN_EDGE_HEIGHT = 25.0
"""8-bit levels."""
FLAT_SIDES = 0.1
"""Standard deviation beyond the ringing, both sides added, as a share of the edge's height."""
MIN_EDGES = 15
REACH = 8
"""Pixels on either side of an edge that its profile covers."""

BAND_RUN = 10
"""Pixels of one level on either side of a band's edge; the blocks of a codec are 8 wide."""
BAND_STEPS = (2, 8)
"""8-bit levels. A step of one is what any 8-bit gradient has."""


def has_ringing(lumas: Sequence[NDArray[np.float32]]) -> bool:
    """Say whether edges overshoot on both sides, as sharpening and cut-off bandwidth leave them."""
    found = [overshoot for luma in lumas if (overshoot := edge_overshoot(luma)) is not None]
    return bool(found) and float(np.median(found)) > RINGING_THRESHOLD


def edge_overshoot(luma: NDArray[np.float32]) -> float | None:
    """Return the overshoot of strong edges between flat sides as a share of their height, the median.

    After Marziliano et al. (2004), "Perceptual blur and ringing metrics", Signal Processing: Image
    Communication 19: the oscillation beside an edge, outside of its width. Differs: the profile follows the
    gradient and not the row, and the weaker of the two sides counts, since thin lines have one.
    """
    profiles = _edge_profiles(luma)
    if profiles is None:
        return None
    distance = _distances()
    high, low = profiles[:, distance >= 5], profiles[:, distance <= -5]
    height = high.mean(axis=1) - low.mean(axis=1)
    is_isolated = (height > MIN_EDGE_HEIGHT) & (high.std(axis=1) + low.std(axis=1) < FLAT_SIDES * height)
    if int(is_isolated.sum()) < MIN_EDGES:
        return None
    profiles, height = profiles[is_isolated], height[is_isolated]
    above = profiles[:, (distance >= 1) & (distance <= 4)].max(axis=1) - high[is_isolated].mean(axis=1)
    below = low[is_isolated].mean(axis=1) - profiles[:, (distance <= -1) & (distance >= -4)].min(axis=1)
    return float(np.median(np.minimum(above, below) / height))


def _distances() -> NDArray[np.float32]:
    return np.arange(-REACH, REACH + 0.25, 0.5, dtype=np.float32)


def _edge_profiles(luma: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return luma across the strongest edges, dark side first, averaged along three pixels, [n, 33]."""
    margin = REACH + 2
    if min(luma.shape) < 4 * margin:
        return None
    smooth = cv2.GaussianBlur(luma, (0, 0), EDGE_SIGMA)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    strength = cv2.magnitude(across, down)
    is_edge = (strength >= cv2.dilate(strength, np.ones((3, 3), dtype=np.uint8))) & (strength > EDGE_GRADIENT)
    inside = np.zeros_like(is_edge)
    inside[margin:-margin, margin:-margin] = True
    is_edge &= inside
    if int(is_edge.sum()) < MIN_EDGES:
        return None
    is_edge &= strength >= np.percentile(strength[is_edge], 100 - STRONGEST_PERCENT)
    edge_rows, edge_columns = np.nonzero(is_edge)
    unit_x, unit_y = across[is_edge] / strength[is_edge], down[is_edge] / strength[is_edge]
    x = edge_columns[:, None] + unit_x[:, None] * _distances()
    y = edge_rows[:, None] + unit_y[:, None] * _distances()
    along = [(x + unit_y[:, None] * step, y - unit_x[:, None] * step) for step in (-1, 0, 1)]
    profiles = [
        cv2.remap(luma, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
        for map_x, map_y in along
    ]
    mean: NDArray[np.float32] = np.mean(profiles, axis=0, dtype=np.float32)
    return mean


def has_banding(lumas: Sequence[NDArray[np.float32]]) -> bool:
    """Say whether smooth areas are broken into visible bands."""
    return bool(lumas) and float(np.median([band_edges(luma) for luma in lumas])) > BANDING_THRESHOLD


def band_edges(luma: NDArray[np.float32]) -> float:
    """Return how many band edges there are a pixel: small steps between long runs of one level.

    After Tu et al. (2020), "BBAND index: a no-reference banding artifact predictor", ICASSP: flat pixels and
    the weak edges between them. Differs: edges on the grid of an 8x8 codec are left out, as those are blocks.
    """
    levels = np.round(luma)
    num_edges = sum(_band_edges_along_rows(np.ascontiguousarray(picture)) for picture in (levels, levels.T))
    return num_edges / luma.size


def _band_edges_along_rows(levels: NDArray[np.float32]) -> float:
    """Return how many steps of BAND_STEPS have BAND_RUN pixels of one level before and after them."""
    steps = np.abs(np.diff(levels, axis=1))
    width = steps.shape[1]
    if width < 2 * BAND_RUN + 8:
        return 0.0
    # At each step, what it and the next BAND_RUN - 1 steps add up to.
    border = cv2.BORDER_CONSTANT
    total = cv2.boxFilter(steps, -1, (BAND_RUN, 1), normalize=False, anchor=(0, 0), borderType=border)
    here = steps[:, BAND_RUN:-BAND_RUN]
    before, after = total[:, : -2 * BAND_RUN], total[:, BAND_RUN + 1 : width - BAND_RUN + 1]
    is_band = (before < 0.5) & (after < 0.5) & (here >= BAND_STEPS[0]) & (here <= BAND_STEPS[1])
    per_column = is_band.sum(axis=0)
    whole = len(per_column) // 8 * 8
    # Bands lie anywhere; blocks lie on one phase of eight, which the median leaves out.
    return 8 * float(np.median(per_column[:whole].reshape(-1, 8).sum(axis=0)))
