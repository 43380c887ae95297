"""Training samples: crops of photographs, degraded, with a caption that mostly tells the truth.

A sample is a function of (seed, step, position in the batch) alone, so a resumed run sees the same stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidsr.degradation_words import NEGATIVE_HIGH_LEVEL, describe
from vidsr.errors import InputError
from vidsr.models.compact.estimate import enlarge
from vidsr.train.captions import told
from vidsr.train.degradation import DegradationSet, degrade, degrade_clip
from vidsr.train.draw import Draw
from vidsr.train.motion import margin_of, move
from vidsr.train.pack import Photograph
from vidsr.train.settings import CaptionPolicy, DiffusionPolicy, MotionPolicy

TAG_DROPOUT = 0.5
ALIGNMENT = 4
"""Crops start at multiples of this, so the 8x8 lattice of the block transform never sits at one place."""


class Previous(NamedTuple):
    """The frame before a sample."""

    lr: Tensor
    """[3, h, w]."""
    flow: Tensor
    """From the sample's pixels to this frame's, [2, 4h, 4w], in large pixels."""
    inside: Tensor
    """Where it ends inside of this frame, [1, 4h, 4w], 0 or 1."""


class Sample(NamedTuple):
    """One training pair."""

    lr: Tensor
    """[3, h, w], RGB in [0, 1]."""
    target: Tensor
    """[3, 4h, 4w]."""
    low_level: str
    high_level: str = ""
    previous: Previous | None = None


class PreviousBatch(NamedTuple):
    """Previous frames side by side, for those samples of a batch that have one."""

    rows: Tensor
    """[P] int64: whose they are."""
    lr: Tensor
    flow: Tensor
    inside: Tensor


class Batch(NamedTuple):
    """Samples side by side."""

    lr: Tensor
    target: Tensor
    low_level: list[str]
    high_level: list[str]
    previous: PreviousBatch | None

    def to(self, device: str) -> "Batch":
        """Return the batch on `device`."""
        previous = self.previous and PreviousBatch(*(tensor.to(device) for tensor in self.previous))
        return self._replace(lr=self.lr.to(device), target=self.target.to(device), previous=previous)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleMaker:
    """Makes any sample of a run."""

    pictures: Sequence[Photograph]
    sets: Sequence[DegradationSet]
    shares: Sequence[float]
    captions: CaptionPolicy
    crop: int
    crop_choices: int
    seed: int
    diffusion: DiffusionPolicy | None = None

    def __post_init__(self) -> None:
        """Refuse pictures that no crop can be cut from."""
        side = self.crop + (0 if self.diffusion is None else 2 * margin_of(self.diffusion.motion))
        for number, picture in enumerate(self.pictures):
            height, width = picture.pixels.shape[1:]
            if min(height, width) < side:
                what = "crop" if side == self.crop else "crop and motion"
                msg = f"picture {number} of the pack is {width}x{height}: smaller than {what}, {side}"
                raise InputError(msg)

    def sample(self, step: int, position: int) -> Sample:
        """Make sample `position` of the batch of `step`."""
        draw = Draw(self.seed, step, position)
        policy = self.diffusion
        if policy is not None and draw.chance(policy.previous_probability):
            return self._moving(draw, policy.motion)
        clean, tags = self._crop(draw, margin=0)
        degraded = degrade(clean, draw, self.sets[draw.pick(self.shares)])
        if policy is not None and draw.chance(policy.negative_probability):
            low_level = describe(degraded.truth)
            return Sample(degraded.lr, enlarge(degraded.lr[None])[0], low_level, NEGATIVE_HIGH_LEVEL)
        target, low_level = told(clean, degraded, self.captions, draw)
        return Sample(degraded.lr, target, low_level, self._content(tags, draw))

    def _moving(self, draw: Draw, motion: MotionPolicy) -> Sample:
        """Make a sample with the frame before it: both are degraded alike but for their noise."""
        square, tags = self._crop(draw, margin=margin_of(motion))
        pair = move(square, self.crop, motion, draw)
        settings, number = self.sets[draw.pick(self.shares)], draw.integer(2**31)
        grains = [Draw(number, frame) for frame in range(2)]
        previous, degraded = degrade_clip([pair.previous, pair.clean], draw, settings, grains=grains)
        target, low_level = told(pair.clean, degraded, self.captions, draw)
        before = Previous(previous.lr, pair.flow, pair.inside)
        return Sample(degraded.lr, target, low_level, self._content(tags, draw), before)

    def _content(self, tags: list[str], draw: Draw) -> str:
        """Return the high-level prior: half of the time nothing, so that it is no crutch."""
        return "" if self.diffusion is None or draw.chance(TAG_DROPOUT) else ", ".join(tags)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """Make the samples at `positions` of the batch of `step`."""
        samples = [self.sample(step, position) for position in positions]
        rows = [row for row, sample in enumerate(samples) if sample.previous is not None]
        previous = None
        if rows:
            columns = zip(*(samples[row].previous or () for row in rows), strict=True)
            previous = PreviousBatch(torch.tensor(rows), *(torch.stack(column) for column in columns))
        return Batch(
            torch.stack([sample.lr for sample in samples]),
            torch.stack([sample.target for sample in samples]),
            [sample.low_level for sample in samples],
            [sample.high_level for sample in samples],
            previous,
        )

    def _crop(self, draw: Draw, *, margin: int) -> tuple[Tensor, list[str]]:
        """Return a square of the crop's side and `margin` pixels around it, and its tags."""
        # Half of all photographs is sky and blur, where nothing can be learnt that bicubic does not know.
        choices = (
            _cut(self._picture(draw), self.crop + 2 * margin, draw)
            for _ in range(1 + draw.integer(self.crop_choices))
        )
        square, tags = max(choices, key=lambda choice: _detail(choice[0]))
        return _turned(square, draw), tags

    def _picture(self, draw: Draw) -> Photograph:
        # By area, so that every square metre of photograph is as likely as any other.
        return self.pictures[draw.pick([float(picture.pixels[0].numel()) for picture in self.pictures])]


class BatchStream(Dataset[Batch]):
    """The batches of a run by step, or one rank's share of them, for loading in worker processes."""

    def __init__(self, maker: SampleMaker, *, positions: Sequence[int]) -> None:
        self._maker = maker
        self._positions = positions

    def __getitem__(self, step: int) -> Batch:
        return self._maker.batch(step, self._positions)


def _cut(picture: Photograph, size: int, draw: Draw) -> tuple[Tensor, list[str]]:
    """Cut a random square, [3, size, size]; return it with its tags."""
    height, width = picture.pixels.shape[1:]
    top = ALIGNMENT * draw.integer((height - size) // ALIGNMENT + 1)
    left = ALIGNMENT * draw.integer((width - size) // ALIGNMENT + 1)
    square = picture.pixels[:, top : top + size, left : left + size]
    return square, picture.tags_at(top + size / 2, left + size / 2)


def _detail(square: Tensor) -> float:
    """Return the mean absolute Laplacian of the green samples: how much there is to see in a crop."""
    green = square[1].float()
    around = green[:-2, 1:-1] + green[2:, 1:-1] + green[1:-1, :-2] + green[1:-1, 2:]
    return float((around - 4 * green[1:-1, 1:-1]).abs().mean())


def _turned(square: Tensor, draw: Draw) -> Tensor:
    """Return the crop as float in [0, 1], turned and mirrored at random."""
    square = torch.rot90(square.float() / 255, draw.integer(4), dims=(1, 2))
    return square.flip(2) if draw.chance(0.5) else square
