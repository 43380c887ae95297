"""What every restorer offers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vidsr.types import Done, LeadIn, Work


class Restorer(Protocol):
    """Restores one frame of each of several parts in a step.

    A restorer keeps nothing between steps that could change a result: all that a frame hands to the
    next travels in the Carry. One batch of eight gives the frames of eight batches of one. tests/conformance
    holds every implementation to this.
    """

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Restore the frames of `batch`, which may differ in size, part, prior and carry.

        Returns one Done for each Work, in order. Its frame keeps index, pts, time_base, colour and pixel
        format, and is `scale` times as wide and high.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerFacts:
    """What planning must know of a restorer before it is made, and how to make it."""

    name: str
    scale: int
    lead_in: LeadIn
    weights: str
    """Digest of the weights, or "none"."""
    make: Callable[[], Restorer]
    """Picklable: an executor calls it where the work is done."""
