"""What every captioner offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vidsr.errors import CaptionError
from vidsr.types import Prior, Shot


class Captioner(Protocol):
    """Says in words what is seen in a shot and how it is degraded.

    It is asked exactly once about each shot. The same pictures give the same words: nothing is remembered
    from one shot to the next. tests/conformance holds every implementation to this.
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownShot:
    """A shot and the pictures of it that a captioner is shown."""

    shot: Shot
    pictures: Sequence[NDArray[np.uint8]]
    """As in Captioner.caption."""


@runtime_checkable
class ModelCaptioner(Captioner, Protocol):
    """A captioner that runs a large model: it is asked about several shots at once, and closed in the end.

    What it says is dear, so it is also kept for the user beside the output.
    """

    @property
    def batch_shots(self) -> int:
        """How many shots it wants at once, at most."""
        ...

    def caption_shots(self, shown: Sequence[ShownShot]) -> Sequence[Prior | CaptionError]:
        """Describe several shots; called in place of `caption`.

        Returns:
            For each of `shown`, in order, the prior, or what kept this one shot from being described.
        """
        ...

    def close(self) -> None:
        """Free the model's memory. A later call may take it again."""
        ...
