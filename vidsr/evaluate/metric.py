"""What a metric is: a figure for a picture, for a clip, or for a step from one frame to the next."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidsr.evaluate.image import Pixels
from vidsr.flow import Flow, consistency_mask, estimate_flow


class PictureMetric(Protocol):
    """Compares a picture with its reference. It remembers nothing and leaves both alone."""

    def __call__(self, pixels: Pixels, reference: Pixels, /) -> float:
        """Return the figure for two pictures of one size."""
        ...


class PictureScore(Protocol):
    """Judges a picture by itself, without a reference. It remembers nothing and leaves it alone."""

    def __call__(self, pixels: Pixels, /) -> float | None:
        """Return the figure; None where the picture is too small to judge."""
        ...


class ClipMetric(Protocol):
    """Compares a whole clip with its reference; a picture is a clip of one frame."""

    def __call__(self, pairs: Iterable[tuple[Pixels, Pixels]], /) -> float | None:
        """Return the figure for (restored, clean) frames of one size; None where they are too small."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """Two frames that follow on each other, restored and clean, all of one size."""

    before: Pixels
    after: Pixels
    reference_before: Pixels
    reference_after: Pixels

    @cached_property
    def motion(self) -> tuple[Flow, NDArray[np.bool_]]:
        """The clean video's flow from the frame before to the one after, and where it can be trusted.

        Found once, however many metrics ask: the result that is judged has no say in it.
        """
        return motion_between(self.reference_before, self.reference_after)


def motion_between(before: Pixels, after: Pixels) -> tuple[Flow, NDArray[np.bool_]]:
    """Return the flow from one frame to the next, and where it can be trusted."""
    here, there = (np.ascontiguousarray(picture.transpose(2, 0, 1)) for picture in (before, after))
    forward, backward = estimate_flow(here, there), estimate_flow(there, here)
    return forward, consistency_mask(forward, backward, motion_boundaries=True)


class StepMetric(Protocol):
    """Judges a step in time. It remembers nothing: all that it compares is in the step."""

    def __call__(self, step: Step, /) -> float | None:
        """Return the figure for `step`; None where there is nothing to measure."""
        ...


class StepScore(Protocol):
    """Judges a step in time by itself, without a reference. It remembers nothing."""

    def __call__(self, before: Pixels, after: Pixels, /) -> float | None:
        """Return the figure for two frames of one size; None where there is nothing to measure."""
        ...
