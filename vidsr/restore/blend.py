"""Two restorations of one frame become one."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsr.types import Frame


def blend(before: Frame, after: Frame, *, share: float) -> Frame:
    """Return the weighted mean of two frames of one format, sample by sample, rounded to the nearest.

    Args:
        before: whose time and colour the result has.
        after: of the same size and pixel format.
        share: of `after`, [0, 1].

    Raises:
        ValueError: sizes or formats differ.
    """
    shapes = [(frame.pix_fmt, frame.width, frame.height) for frame in (before, after)]
    if shapes[0] != shapes[1]:
        msg = f"only frames of one format can be blended, got {before} and {after}"
        raise ValueError(msg)
    return replace(
        before,
        planes=tuple(
            _mean(first, second, share) for first, second in zip(before.planes, after.planes, strict=True)
        ),
    )


def _mean(first: NDArray[Any], second: NDArray[Any], share: float) -> NDArray[Any]:
    # float32 holds all samples of 16 bits exactly.
    mean: NDArray[np.float32] = first + np.float32(share) * (second.astype(np.float32) - first)
    return (mean if first.dtype.kind == "f" else np.rint(mean)).astype(first.dtype)
