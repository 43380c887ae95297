"""PSNR and SSIM on luma, as the super-resolution literature reports them."""

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 RGB, [H, W, 3]."""

PEAK = 255.0
SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
K1, K2 = 0.01, 0.03
BT601 = np.array([65.481, 128.553, 24.966])
"""Levels of luma that full red, green and blue add, of 219."""


def luma(pixels: Pixels) -> NDArray[np.float64]:
    """Return BT.601 luma in [16, 235], not rounded: what MATLAB's rgb2ycbcr gives, and every table since."""
    values: NDArray[np.float64] = pixels.astype(np.float64) / PEAK @ BT601 + 16
    return values


def psnr(pixels: Pixels, reference: Pixels) -> float:
    """Return the PSNR of luma in dB; infinite for equal pictures."""
    error = float(np.mean((luma(pixels) - luma(reference)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(pixels: Pixels, reference: Pixels) -> float:
    """Return the mean SSIM of luma (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, no padding.

    Raises:
        ValueError: a side is shorter than the window.
    """
    x, y = luma(pixels), luma(reference)
    if min(x.shape) <= 2 * SSIM_RADIUS:
        msg = f"SSIM needs at least {2 * SSIM_RADIUS + 1} pixels a side, got {x.shape[1]}x{x.shape[0]}"
        raise ValueError(msg)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    score = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(score.mean())


def _window(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average under the Gaussian window where it lies inside the picture; separable."""
    axis = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-(axis**2) / (2 * SSIM_SIGMA**2))
    weights /= weights.sum()
    for dimension in (0, 1):
        length = plane.shape[dimension] - 2 * SSIM_RADIUS
        plane = sum(
            weight * np.take(plane, range(start, start + length), axis=dimension)
            for start, weight in enumerate(weights)
        )
    return plane
