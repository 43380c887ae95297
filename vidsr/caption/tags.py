"""Tags of what is seen: the labels that a picture classifier is sure of. They are words, not a caption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidsr.caption.letterbox import content, full_luma
from vidsr.models import mobilenet
from vidsr.models.mobilenet import SIDE, Classifier

THRESHOLD = 0.4
"""Mean probability. On 48 photographs of landscapes, animals and cities 22 tags reach it; 18 name what is
there or its near relative. Of those between 0.3 and 0.4 every other one is wrong."""
MAX_TAGS = 5
"""What a lower threshold may give; THRESHOLD leaves room for two."""
SHORTER_SIDE = 256
"""Pixels, before cropping: with SIDE the published evaluation of the weights."""
LONGEST = 4
"""Of a picture longer than this many times its shorter side, only the middle is looked at."""


class Tagger:
    """Names what a classifier is sure to see in the pictures of a shot."""

    def __init__(self, classifier: Classifier, *, threshold: float = THRESHOLD) -> None:
        self._classifier = classifier
        self._threshold = threshold

    @classmethod
    def load(cls, path: Path) -> "Tagger":
        """Read the classifier at `path`.

        Raises:
            MissingWeightsError, CheckpointError: the file is not there, or is another.
        """
        return cls(mobilenet.load(path))

    def tags(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
        """Return at most MAX_TAGS labels, the likeliest first; none where nothing is likely enough.

        Args:
            pictures: of one shot, each uint8 RGB [3, H, W].
        """
        # The mean over the crops, not the greatest: that takes the loudest mistake of three. On the same
        # photographs 24 tags had a greatest probability above 0.7, and 7 of them were wrong.
        found = [self._classifier.probabilities(crops(picture)).mean(axis=0) for picture in pictures]
        likely = np.mean(found, axis=0)
        # Stable, so that equal ones keep the order of the labels.
        order = np.argsort(-likely, kind="stable")[:MAX_TAGS]
        return [self._classifier.labels[index] for index in order if likely[index] >= self._threshold]


def crops(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return squares of a picture as the classifier wants them, [n, SIDE, SIDE, 3].

    Bars are left out, the shorter side is resized to 256 pixels (bilinear with antialiasing), and squares of
    224 are cut: the centre, as in the published evaluation of the weights, and both ends of the longer side.
    A square picture has the centre alone.
    """
    rows, columns = content(full_luma(picture))
    pixels = picture[:, rows, columns].transpose(1, 2, 0)
    reach = LONGEST * min(pixels.shape[:2])
    pixels = np.ascontiguousarray(pixels[_middle(pixels.shape[0], reach), _middle(pixels.shape[1], reach)])
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    # Rounded down, as torchvision does.
    size = (SHORTER_SIDE * width // shorter, SHORTER_SIDE * height // shorter)
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    squares = [resized[rows, columns] for rows in _parts(size[1]) for columns in _parts(size[0])]
    return np.stack(squares)


def _parts(length: int) -> list[slice]:
    """Return where the squares lie along a side."""
    middle = _middle(length, SIDE)
    return [middle] if length <= SHORTER_SIDE else [slice(0, SIDE), middle, slice(length - SIDE, length)]


def _middle(length: int, size: int) -> slice:
    size = min(size, length)
    start = round((length - size) / 2)
    return slice(start, start + size)
