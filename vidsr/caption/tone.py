"""Exposure and colour cast: named only where they are plain to see."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 128
"""Longer side, in pixels, of what is looked at: tone needs no detail."""
DARK_KEY, BRIGHT_KEY = 0.025, 0.55
"""Log-average of linear light, where a photograph of ordinary exposure has 0.18."""
DARK_HIGHLIGHT = 0.2
"""Linear light that a twentieth of a well exposed picture exceeds."""
CLIPPED_SHARE = 0.15
CAST_DISTANCE, CAST_RATIO, CAST_EVERYWHERE = 10.0, 1.0, 7.0
CAST_NAMES = ("red", "yellow", "green", "cyan", "blue", "magenta")
CAST_HUES = (40.0, 100.0, 136.0, 196.0, 290.0, 328.0)
"""Degrees of the sRGB primaries and their opposites in the a*b* plane."""


def describe_exposure(pictures: Sequence[NDArray[np.uint8]]) -> str | None:
    """Return "underexposed", "overexposed" or None.

    The key of a scene is the log-average of its light (Reinhard et al. 2002, "Photographic tone reproduction
    for digital images", eq. 1). A low key alone may be a night: underexposed also lacks any bright part. A
    high key alone may be snow: overexposed has also lost detail to clipping.

    Args:
        pictures: uint8 RGB [3, H, W].
    """
    thumbnails = np.concatenate([_thumbnail(picture).reshape(-1, 3) for picture in pictures])
    light = _linear(thumbnails) @ np.array([0.2126, 0.7152, 0.0722])
    key = float(np.exp(np.log(1e-4 + light).mean()))
    if key < DARK_KEY and float(np.percentile(light, 95)) < DARK_HIGHLIGHT:
        return "underexposed"
    clipped = float((thumbnails.min(axis=1) >= 250 / 255).mean())
    if key > BRIGHT_KEY and clipped > CLIPPED_SHARE:
        return "overexposed"
    return None


def describe_cast(pictures: Sequence[NDArray[np.uint8]]) -> str | None:
    """Return such as "blue cast", or None.

    Gray world (Buchsbaum 1980) with the test of Gasparini and Schettini (2004), "Color balancing of digital
    photos using simple image statistics", Pattern Recognition 37: the mean of a*b* lies further from neutral
    than the colours spread around it. A sky is blue and a forest green without a cast, so each quarter of the
    pixels by lightness, shadows and highlights too, must be shifted the same way.

    Args:
        pictures: uint8 RGB [3, H, W].
    """
    thumbnails = np.concatenate([_thumbnail(picture).reshape(-1, 1, 3) for picture in pictures])
    lab = cv2.cvtColor(thumbnails, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    usable = lab[(lab[:, 0] > 10) & (lab[:, 0] < 95)]
    if len(usable) < 100:
        return None
    chroma = usable[:, 1:]
    mean = chroma.mean(axis=0)
    distance = float(np.hypot(*mean))
    spread = float(np.hypot(*chroma.std(axis=0)))
    if distance < CAST_DISTANCE or distance - spread < CAST_RATIO * spread:
        return None
    quartile = np.digitize(usable[:, 0], np.percentile(usable[:, 0], (25, 50, 75)))
    shifts = [
        float(chroma[quartile == index].mean(axis=0) @ mean) / distance for index in np.unique(quartile)
    ]
    if min(shifts) < CAST_EVERYWHERE:
        return None
    hue = float(np.degrees(np.arctan2(mean[1], mean[0]))) % 360
    nearest = min(range(len(CAST_HUES)), key=lambda index: abs((CAST_HUES[index] - hue + 180) % 360 - 180))
    return f"{CAST_NAMES[nearest]} cast"


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the picture as [h, w, 3] in [0, 1], its longer side at most THUMBNAIL."""
    pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
    factor = min(1.0, THUMBNAIL / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)


def _linear(encoded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Undo the transfer curve of sRGB (IEC 61966-2-1)."""
    values = encoded.astype(np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
