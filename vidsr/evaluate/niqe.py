"""NIQE (Mittal et al. 2013): how far a picture's statistics lie from those of good photographs."""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsr.errors import CheckpointError
from vidsr.evaluate.image import Pixels, gaussian_weights, luma, weighted

Plane = NDArray[np.float64]

BLOCK = 96
"""Side of the blocks that statistics are taken of, in pixels."""
NUM_FEATURES = 36
"""18 at each of two scales."""
_RADIUS, _SIGMA = 3, 7 / 6
"""Of the Gaussian window that means and contrasts are local to."""
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Niqe:
    """Distance of a picture from good photographs, lower is better.

    Args:
        parameters: niqe.safetensors of tools/fetch_metric_weights.py: mean [1, 36] and covariance [36, 36] of
            the features of good photographs.

    Raises:
        MissingWeightsError, CheckpointError: the file is not there, or is another.
    """

    def __init__(self, parameters: Path) -> None:
        # It brings torch, which only reads the file here.
        from vidsr.models.files import read_tensors

        read = {
            name: tensor.double().numpy() for name, tensor in read_tensors(parameters, ["mu", "cov"]).items()
        }
        self._mean, self._covariance = read["mu"].reshape(-1), read["cov"]
        if self._mean.shape != (NUM_FEATURES,) or self._covariance.shape != (NUM_FEATURES, NUM_FEATURES):
            msg = (
                f"{parameters}: mu is {read['mu'].shape} and cov {read['cov'].shape}; wanted {NUM_FEATURES} "
                "features"
            )
            raise CheckpointError(msg)

    def __call__(self, pixels: Pixels) -> float | None:
        """Return the distance; None where the picture has fewer than two blocks that are not flat."""
        if (pixels.shape[0] // BLOCK) * (pixels.shape[1] // BLOCK) < 2:
            return None
        features = _block_features(np.rint(luma(pixels)))
        whole = features[np.isfinite(features).all(axis=1)]
        if len(whole) < 2:
            return None
        distance = self._mean - np.nanmean(features, axis=0)
        spread = np.linalg.pinv((self._covariance + np.cov(whole, rowvar=False)) / 2)
        return math.sqrt(float(distance @ spread @ distance))


def _block_features(plane: Plane) -> Plane:
    """Return the features of each block, [blocks, 36]; nan where a block has no contrast."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    plane = plane[: rows * BLOCK, : columns * BLOCK]
    scales = []
    for scale in (1, 2):
        size = BLOCK // scale
        normal = _normalized(plane)
        blocks = (
            normal[top : top + size, left : left + size]
            for top in range(0, rows * size, size)
            for left in range(0, columns * size, size)
        )
        scales.append(np.array([list(_features(block)) for block in blocks]))
        if scale == 1:
            plane = _halved(plane)
    return np.concatenate(scales, axis=1)


def _normalized(plane: Plane) -> Plane:
    """Return what differs from the local mean, in units of the local contrast."""
    weights = gaussian_weights(_RADIUS, _SIGMA)

    def local(values: Plane) -> Plane:
        return weighted(np.pad(values, _RADIUS, mode="edge"), weights)

    mean = local(plane)
    contrast = np.sqrt(np.abs(local(plane * plane) - mean * mean))
    normal: Plane = (plane - mean) / (contrast + 1)
    return normal


def _features(block: Plane) -> Iterator[float]:
    shape, left, right = _asymmetric_gaussian(block)
    yield from (shape, (left + right) / 2)
    for shift in _NEIGHBOURS:
        shape, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        yield from (shape, mean, left, right)


def _asymmetric_gaussian(values: Plane) -> tuple[float, float, float]:
    """Return shape and both widths of the generalised Gaussian that has the moments of `values`."""
    negative, positive = values[values < 0], values[values > 0]
    if not negative.size or not positive.size:
        return 1.0, math.nan, math.nan
    left, right = (math.sqrt(float(np.mean(side**2))) for side in (negative, positive))
    ratio = left / right
    moment = float(np.mean(np.abs(values))) ** 2 / float(np.mean(values**2))
    moment *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, moments = _shapes_and_moments()
    shape = float(shapes[np.argmin((moments - moment) ** 2)])
    width = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * width, right * width


@cache
def _shapes_and_moments() -> tuple[Plane, Plane]:
    """Return shapes of the distribution, and E|x|^2 / E x^2 of each where it is symmetric."""
    shapes = np.arange(0.2, 10.001, 0.001)
    moments = [
        math.gamma(2 / shape) ** 2 / (math.gamma(1 / shape) * math.gamma(3 / shape)) for shape in shapes
    ]
    return shapes, np.array(moments)


def _halved(plane: Plane) -> Plane:
    """Reduce to half by the bicubic kernel, widened so that nothing aliases and mirrored at the edges."""
    distance = np.abs(np.arange(-3, 5) - 0.5) / 2
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, far)
    filtered = weighted(np.pad(plane, 3, mode="symmetric"), weights / weights.sum())
    half: Plane = filtered[::2, ::2]
    return half
