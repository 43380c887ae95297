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
    weights = gaussian_weights(SSIM_RADIUS, SSIM_SIGMA)
    mean_x, mean_y = weighted(x, weights), weighted(y, weights)
    var_x, var_y = weighted(x * x, weights) - mean_x**2, weighted(y * y, weights) - mean_y**2
    covariance = weighted(x * y, weights) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    score = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(score.mean())


def gaussian_weights(radius: int, sigma: float) -> NDArray[np.float64]:
    """Return a line of 2 * radius + 1 weights that sum to one."""
    axis = np.arange(-radius, radius + 1)
    weights = np.exp(-(axis**2) / (2 * sigma**2))
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


def weighted(plane: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sums of `plane` along both axes, where the window lies inside of it."""
    for dimension in (0, 1):
        length = plane.shape[dimension] - len(weights) + 1
        plane = sum(
            weight * np.take(plane, range(start, start + length), axis=dimension)
            for start, weight in enumerate(weights)
        )
    return plane
