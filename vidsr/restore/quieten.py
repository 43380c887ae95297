"""Noise is averaged away along the motion before a frame is restored.

A recursive filter over time, as of Kalman with one variance for a whole frame: noise differs from frame to
frame, what is shown does not. The restorer then has less noise to mistake for texture, or texture for noise.
How far it goes was found on clips that no figure is reported of (docs/experiments.md).
"""

import numpy as np
from numpy.typing import NDArray

from vidsr.flow import fading_trust

CLEAN_SIGMA = 2.0
"""8-bit levels by which clean video differs along its motion: texture between pixels, and light."""
MOTION_SIGMA = 8.0
"""8-bit levels of noise at which the frame before, errors of motion counted, is worth as much as this one."""
MAX_SHARE = 0.5
FADE = 3
"""Pixels over which the filter fades out where the motion cannot be trusted, odd."""


def quieten(
    frame: NDArray[np.float32], before: NDArray[np.float32], trusted: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the frame with less noise, [3, H, W].

    Args:
        frame: RGB in [0, 1], [3, H, W].
        before: the frame before, as it was returned from here and as it is seen from this one.
        trusted: where both show the same, [H, W], somewhere True.
    """
    share = share_of_before(noise_sigma(frame, before, trusted))
    return frame + np.float32(share) * fading_trust(trusted, FADE) * (before - frame)


def noise_sigma(frame: NDArray[np.float32], before: NDArray[np.float32], trusted: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the noise in 8-bit levels of gray, from what two frames differ by.

    By the median, which what has moved otherwise than it seems does not reach. `before` has less noise than
    the frame, which is taken to be equally noisy: the result is too small by up to a fifth.
    """
    change = np.abs(frame.mean(axis=0) - before.mean(axis=0))
    # Of normal noise: the median of its size is 0.6745 of its deviation, that of a difference larger by the
    # square root of 2.
    return 255 * float(np.median(change[trusted])) / 0.6745 / 2**0.5


def share_of_before(sigma: float) -> float:
    """Return the frame before's share in the mean, for noise of so many 8-bit levels."""
    variance = max(0.0, sigma**2 - CLEAN_SIGMA**2)
    return min(MAX_SHARE, variance / (variance + MOTION_SIGMA**2))
