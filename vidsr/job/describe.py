"""What is asked of the captioner, a prior for each shot, and where its words are kept for the user."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.file import format_priors
from vidsr.caption.protocol import Captioner, ModelCaptioner, ShownShot
from vidsr.errors import CaptionError
from vidsr.files import write_whole
from vidsr.types import Prior, Shot

Sample = Callable[[Sequence[int]], Sequence[NDArray[np.uint8]]]
"""Returns the pictures at frame indices, each uint8 RGB [3, H, W]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A shot and what was said of it."""

    shot: Shot
    prior: Prior
    failure: str = ""
    """Why the stand-in said it and not the captioner; empty where the captioner did."""

    @property
    def warning(self) -> str:
        """What the user should know of it; empty where all is well."""
        return f"{self.failure}; {self.prior.captioner} stands in for it" if self.failure else ""


def frames_to_show(shot: Shot, count: int) -> list[int]:
    """Return up to `count` frame indices spread evenly over the shot, each from the middle of its share."""
    length = shot.stop - shot.start
    count = min(count, length)
    return [shot.start + (2 * position + 1) * length // (2 * count) for position in range(count)]


def describe_shots(
    shots: Sequence[Shot], *, captioner: Captioner, sample: Sample, stand_in: Captioner | None = None
) -> Iterator[Described]:
    """Show the captioner frames of each shot and yield what it says, in order.

    Args:
        shots: of one video.
        captioner: asked about as many shots at once as it wants.
        sample: gives pictures of that video.
        stand_in: describes a shot from the same pictures where the captioner fails.

    Raises:
        CaptionError: naming a shot that nobody could describe.
    """
    batch_shots = captioner.batch_shots if isinstance(captioner, ModelCaptioner) else 1
    for first in range(0, len(shots), batch_shots):
        shown = [
            ShownShot(shot=shot, pictures=sample(frames_to_show(shot, captioner.frames_per_shot)))
            for shot in shots[first : first + batch_shots]
        ]
        for item, told in zip(shown, _ask(captioner, shown), strict=True):
            if isinstance(told, Prior):
                yield Described(shot=item.shot, prior=told)
            elif stand_in is None and isinstance(captioner, ModelCaptioner):
                msg = f"{told}; with --set caption.on_error=measured measured words stand in"
                raise CaptionError(msg) from told
            elif stand_in is None:
                raise told
            else:
                yield Described(shot=item.shot, prior=_caption(stand_in, item), failure=str(told))


def recall_shots(shots: Sequence[Shot], priors: Sequence[Prior], *, captioner: Captioner) -> list[Described]:
    """Return what an earlier run was told of the shots."""
    return [
        Described(
            shot=shot,
            prior=prior,
            failure=""
            if prior.captioner == captioner.name
            else f"shot {shot.index}: {captioner.name} failed in an earlier run",
        )
        for shot, prior in zip(shots, priors, strict=True)
    ]


def keep_priors(output: Path, shots: Sequence[Shot], priors: Sequence[Prior]) -> str:
    """Write the priors as YAML beside `output`, to be edited and given to `vidsr run --priors`.

    Returns:
        A warning where a file with other words is there, which is left alone: they may be the user's. Empty
        otherwise.

    Raises:
        UnwritableError, DiskFullError: naming the file.
    """
    path = output.with_name(output.name + ".priors.yaml")
    text = format_priors(shots, priors)
    if not path.exists():
        write_whole(path, text)
        return ""
    if path.read_bytes() == text.encode():
        return ""
    return f"{path}: holds other words than this run's, and is left as it is; use them with --priors"


def describe_shot(shot: Shot, *, captioner: Captioner, sample: Sample) -> Prior:
    """Show the captioner frames of the shot and return what it says.

    Raises:
        CaptionError: naming the shot that could not be described.
    """
    (described,) = describe_shots([shot], captioner=captioner, sample=sample)
    return described.prior


def _ask(captioner: Captioner, shown: Sequence[ShownShot]) -> Sequence[Prior | CaptionError]:
    if isinstance(captioner, ModelCaptioner):
        return captioner.caption_shots(shown)
    told: list[Prior | CaptionError] = []
    for item in shown:
        try:
            told.append(_caption(captioner, item))
        except CaptionError as error:
            told.append(error)
    return told


def _caption(captioner: Captioner, item: ShownShot) -> Prior:
    try:
        return captioner.caption(item.shot, item.pictures)
    except (ValueError, ArithmeticError) as error:
        shot = item.shot
        msg = f"shot {shot.index} (frames {shot.start} to {shot.stop - 1}): {captioner.name} failed: {error}"
        raise CaptionError(msg) from error
