"""What the comparison is made on: held-out pictures and clips, reduced to a quarter and degraded.

A picture is a clip of one frame. What is done to each follows from the seed and its place in the list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from tests.bench.peers import to_pixels
from vidsr.degradation_words import Degradation, describe
from vidsr.evaluate.clips import read_clip, read_picture
from vidsr.evaluate.image import Pixels
from vidsr.models.compact.estimate import SCALE
from vidsr.restore.picture import measure
from vidsr.train.degradation import DegradationSet, degrade_clip
from vidsr.train.draw import Draw
from vidsr.train.settings import read_degradation
from vidsr.types import Prior

DEGRADATIONS = Path(__file__).resolve().parents[2] / "configs" / "train" / "degradation"
CLIPS = ("bird-walking.webm", "corridor.webm", "people.webm", "city.mpg")
"""The clips of tools/fetch_clips.py that training refuses."""
SIDE = 32
"""Frames of clips are cropped to multiples of this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A picture or a clip, clean and degraded."""

    name: str
    clean: Sequence[Pixels]
    degraded: Sequence[Pixels]
    truth: Degradation
    """What was done to the first frame."""

    @cached_property
    def measured(self) -> Prior:
        """What the captioner says of the frame in the middle, as in a job."""
        frame = self.degraded[len(self.degraded) // 2]
        return measure(np.ascontiguousarray(frame.transpose(2, 0, 1)))

    def beginning(self, frames: int, side: int) -> "Sample":
        """Return a sample of at most `frames` frames, degraded to `side` pixels a side and no more."""
        return Sample(
            name=self.name,
            clean=[frame[: SCALE * side, : SCALE * side] for frame in self.clean[:frames]],
            degraded=[np.ascontiguousarray(frame[:side, :side]) for frame in self.degraded[:frames]],
            truth=self.truth,
        )

    @property
    def true(self) -> Prior:
        """The words for what was really done."""
        return Prior(low_level=describe(self.truth), captioner="truth")


def read_set(name: str) -> DegradationSet:
    """Return the degradation `name` of configs/train/degradation."""
    return read_degradation(DEGRADATIONS / f"{name}.yaml")


def pictures(folder: Path, settings: DegradationSet, *, seed: int, every: int) -> Iterator[Sample]:
    """Yield every `every`-th PNG of `folder`."""
    files = sorted(folder.glob("*.png"))
    if not files:
        msg = f"{folder}: holds no PNG; wanted the crops of tools/collect_heldout.py"
        raise SystemExit(msg)
    for number in range(0, len(files), every):
        yield picture(files[number].stem, read_picture(files[number]), settings, Draw(seed, number))


def picture(name: str, clean: Pixels, settings: DegradationSet, draw: Draw) -> Sample:
    """Reduce a picture to a quarter and degrade it; its noise is of the same draw as all else."""
    return _sample(name, [clean], settings, draw, grains=[draw])


def clips(folder: Path, settings: DegradationSet, *, seed: int, frames: int, draws: int) -> Iterator[Sample]:
    """Yield the first `frames` frames of each held-out clip in `folder`, `draws` times.

    Raises:
        SystemExit: none of them is there.
    """
    found = [folder / name for name in CLIPS if (folder / name).exists()]
    if not found:
        msg = f"{folder}: holds none of {', '.join(CLIPS)}; fetch them with tools/fetch_clips.py"
        raise SystemExit(msg)
    for path in found:
        clean = [_cropped(frame) for frame in islice(read_clip(path), frames)]
        for number in range(draws):
            # Clips differ in their place, draws in the seed, so that no two share what is done to them.
            draw = Draw(seed + number, CLIPS.index(path.name))
            noise = draw.integer(2**31)
            grains = [Draw(noise, index) for index in range(len(clean))]
            name = path.stem if draws == 1 else f"{path.stem}-{number}"
            yield _sample(name, clean, settings, draw, grains=grains)


def _sample(
    name: str, clean: Sequence[Pixels], settings: DegradationSet, draw: Draw, *, grains: Sequence[Draw]
) -> Sample:
    tensors = [torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in clean]
    made = degrade_clip(tensors, draw, settings, grains=grains)
    degraded = [to_pixels(one.lr) for one in made]
    return Sample(name=name, clean=clean, degraded=degraded, truth=made[0].truth)


def _cropped(frame: Pixels) -> Pixels:
    """Return the largest upper left part whose sides are multiples of SIDE."""
    height, width = (side - side % SIDE for side in frame.shape[:2])
    return np.ascontiguousarray(frame[:height, :width])
