"""How much noise a picture has: the spread of luma in its flattest blocks."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 12
"""Of a block, in pixels. The deviation of smaller ones scatters; photographs run out of larger flat ones."""
STRIDE = 6
FLATTEST_PERCENT = 2.0
CORRECTION = 1.3
"""The flattest blocks are those where noise happened to be low. Calibrated on photographs of known noise."""
MIN_BLOCKS = 20


def estimate_noise(lumas: Sequence[NDArray[np.float32]]) -> float | None:
    """Return the standard deviation of noise in 8-bit levels, the median over pictures.

    Block method (Olsen 1993, "Estimation of noise in images: an evaluation", CVGIP 55): the standard
    deviation within the blocks that vary least, here after subtracting a plane from each block (facet
    model, Haralick 1984), so that a smooth sky counts as flat. Unlike the Laplacian of Immerkaer (1996) or
    the finest wavelet (Donoho 1994) it also sees noise that scaling or compression has smoothed.

    Args:
        lumas: [H, W] each, in 0..255.

    Returns:
        None where no picture has enough blocks free of clipped samples.
    """
    found = [sigma for luma in lumas if (sigma := _of_picture(luma)) is not None]
    return float(np.median(found)) if found else None


def _of_picture(luma: NDArray[np.float32]) -> float | None:
    deviations = block_deviations(luma)
    if deviations.size < MIN_BLOCKS:
        return None
    return CORRECTION * float(np.percentile(deviations, FLATTEST_PERCENT))


def block_deviations(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the standard deviation around a fitted plane of every block without clipped samples, [n]."""
    if min(luma.shape) < SIDE:
        return np.zeros(0, dtype=np.float32)
    # Float32 sums of squares stay exact enough only around zero.
    centred = luma - np.float32(128)
    ones = np.ones(SIDE, dtype=np.float32)
    ramp = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    total = _block_sums(centred, ones, ones)
    squares = _block_sums(centred * centred, ones, ones)
    slope = _block_sums(centred, ramp, ones) ** 2 + _block_sums(centred, ones, ramp) ** 2
    residual = squares - total**2 / SIDE**2 - slope / (SIDE * float(ramp @ ramp))
    deviations = np.sqrt(np.maximum(residual, 0) / (SIDE**2 - 3))
    # A clipped sample has lost its noise.
    clipped = ((luma <= 0.5) | (luma >= 254.5)).astype(np.float32)
    usable: NDArray[np.float32] = deviations[_block_sums(clipped, ones, ones) < 0.5]
    return usable


def _block_sums(
    values: NDArray[np.float32], columns: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Weigh and add every block at STRIDE."""
    filtered = cv2.sepFilter2D(
        values, cv2.CV_32F, columns, rows, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )
    height, width = values.shape
    return cast(NDArray[np.float32], filtered[: height - SIDE + 1 : STRIDE, : width - SIDE + 1 : STRIDE])
