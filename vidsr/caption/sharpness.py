"""Which of several pictures of a shot is the sharpest, and so worth a model's look."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vidsr.caption.letterbox import content, full_luma


def sharpest(pictures: Sequence[NDArray[np.uint8]]) -> int:
    """Return the position of the sharpest picture, the first of equal ones.

    Args:
        pictures: at least one, of one shot and one size, each uint8 RGB [3, H, W].
    """
    return int(np.argmax([sharpness(picture) for picture in pictures]))


def sharpness(picture: NDArray[np.uint8]) -> float:
    """Return the mean squared slope of the luma, without letterbox bars: the Tenengrad measure.

    Krotkov (1988), "Focusing", International Journal of Computer Vision 1, after Tenenbaum. It compares
    pictures of one scene: it grows with contrast, so that a frame of a fade loses, and with noise, which
    pictures of a shot share. The variance of the Laplacian weighs that noise more. Differs: no threshold.
    """
    luma = full_luma(picture)
    luma = np.ascontiguousarray(luma[content(luma)])
    across = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
    return float(np.mean(across**2 + down**2, dtype=np.float64))
