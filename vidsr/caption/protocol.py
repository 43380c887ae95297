"""What every captioner offers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vidsr.types import Prior, Shot


class Captioner(Protocol):
    """Says in words what is seen in a shot and how it is degraded.

    It is called exactly once a shot. The same pictures give the same words: nothing is remembered from one
    shot to the next. tests/conformance holds every implementation to this.
    """

    @property
    def name(self) -> str:
        """With the version that changes when the words do: "measured/1"."""
        ...

    @property
    def frames_per_shot(self) -> int:
        """How many pictures of a shot it wants to be shown; 0 where it looks at none."""
        ...

    @property
    def is_cacheable(self) -> bool:
        """False where what it says can change between two runs with the same configuration."""
        ...

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Describe `shot` from pictures of it.

        Args:
            shot: which frames the pictures are from.
            pictures: at most `frames_per_shot`, all of one size, each uint8 RGB [3, H, W].

        Raises:
            ConfigError: what it was told to say does not fit this shot.
        """
        ...


@runtime_checkable
class InformedCaptioner(Captioner, Protocol):
    """A captioner that was told of the shots beforehand, and perhaps of others than the video has."""

    def check(self, shots: Sequence[Shot]) -> None:
        """Refuse the shots of the video, all of them in order, if they are not those it was told of.

        Called once, before `caption`.

        Raises:
            ConfigError: naming a shot that only one side has.
        """
        ...
