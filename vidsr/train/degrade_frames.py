"""Pictures and clips degraded as training degrades them, for people to look at and to measure with."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.models.compact.estimate import SCALE
from vidsr.train.degradation import DegradationSet, degrade_clip
from vidsr.train.draw import Draw
from vidsr.train.settings import SMALLEST_CROP

CHUNK = 48
"""Frames that are in memory at a time. A codec begins a group of pictures with each chunk."""
GRID = 2 * SCALE
"""Sides are cut to a multiple of this, at the right and the bottom: 4:2:0 wants even sides of the result."""

Pixels = NDArray[np.uint8]


def degraded_size(height: int, width: int, *, where: str) -> tuple[int, int]:
    """Return the size of the result, a quarter of what is cut to the grid.

    Raises:
        InputError: a side is too short for the widest kernels.
    """
    if min(height, width) < SMALLEST_CROP:
        msg = f"{where}: is {width}x{height}; wanted at least {SMALLEST_CROP} pixels a side"
        raise InputError(msg)
    return height // GRID * GRID // SCALE, width // GRID * GRID // SCALE


def degrade_frames(
    frames: Iterable[Pixels], degradation: DegradationSet, *, seed: tuple[int, ...]
) -> Iterator[Pixels]:
    """Yield the frames of a clip degraded alike but for their noise; a picture is a clip of one frame.

    Args:
        frames: uint8 RGB [3, H, W], all of one size, from 96 pixels a side on.
        degradation: the ranges to draw from.
        seed: all that is drawn follows from it and from the frame's number.

    Yields:
        uint8 RGB [3, h, w] of `degraded_size`.
    """
    remaining = map(_clean, frames)
    start = 0
    # One more than is yielded: combing looks at the frame that follows.
    chunk = list(islice(remaining, CHUNK + 1))
    while chunk:
        # The same draw for each chunk, so that what is done to a clip does not change within it.
        grains = [Draw(*seed, 1, start + offset) for offset in range(len(chunk))]
        degraded = degrade_clip(chunk, Draw(*seed, 0), degradation, grains=grains)
        yield from ((255 * one.lr).round().byte().numpy() for one in degraded[:CHUNK])
        start += CHUNK
        chunk = [*chunk[CHUNK:], *islice(remaining, CHUNK)]


def _clean(pixels: Pixels) -> torch.Tensor:
    height, width = (side // GRID * GRID for side in pixels.shape[1:])
    return torch.from_numpy(np.ascontiguousarray(pixels[:, :height, :width])).float() / 255
