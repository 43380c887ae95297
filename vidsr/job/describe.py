"""One call of the captioner for each shot."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.protocol import Captioner
from vidsr.errors import CaptionError
from vidsr.types import Prior, Shot

Sample = Callable[[Sequence[int]], Sequence[NDArray[np.uint8]]]
"""Returns the pictures at frame indices, each uint8 RGB [3, H, W]."""


def frames_to_show(shot: Shot, count: int) -> list[int]:
    """Return up to `count` frame indices spread evenly over the shot, each from the middle of its share."""
    length = shot.stop - shot.start
    count = min(count, length)
    return [shot.start + (2 * position + 1) * length // (2 * count) for position in range(count)]


def describe_shot(shot: Shot, *, captioner: Captioner, sample: Sample) -> Prior:
    """Show the captioner frames of the shot and return what it says.

    Raises:
        CaptionError: naming the shot that could not be described.
    """
    try:
        return captioner.caption(shot, sample(frames_to_show(shot, captioner.frames_per_shot)))
    except (ValueError, ArithmeticError) as error:
        msg = f"shot {shot.index} (frames {shot.start} to {shot.stop - 1}): {captioner.name} failed: {error}"
        raise CaptionError(msg) from error
