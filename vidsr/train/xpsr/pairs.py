"""Pairs of a degraded and a clean picture with their captions, and batches of them.

A sample is a function of (seed, step, position in the batch) alone, so a resumed run sees the same stream,
whatever the number of processes and passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

from vidsr.errors import ConfigError, InputError
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.xpsr.settings import SampleOdds

PAIR, NOISE = 0, 1
"""What is drawn of a sample: numbers that keep the draws apart."""
VALIDATION_STEP = 2**40
"""Far from any training step."""
CAPTIONS_OF_NOTHING = ("", "")


class Pair(NamedTuple):
    """A picture before and after it was degraded, of one size."""

    clean: Tensor
    """RGB [3, H, W] in [0, 1]."""
    degraded: Tensor
    high: str
    """What is seen."""
    low: str
    """How `degraded` is degraded."""
    low_of_clean: str


class Pairs(Protocol):
    """A folder of pairs."""

    def __len__(self) -> int:
        """Return how many pictures there are."""
        ...

    def pair(self, index: int, draw: Draw) -> Pair:
        """Return a pair; what is random about it comes from `draw`."""
        ...


class Sample(NamedTuple):
    """What the networks are shown, and what they are to make of it."""

    clean: Tensor
    shown: Tensor
    high: str
    low: str


class Batch(NamedTuple):
    """Samples side by side."""

    step: int
    positions: tuple[int, ...]
    """Of the samples in the batch of `step`, all passes and processes together."""
    clean: Tensor
    """RGB [B, 3, H, W] in [0, 1]."""
    shown: Tensor
    high: list[str]
    low: list[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Makes any sample of a run, and those that it is watched with."""

    pairs: Pairs
    odds: SampleOdds
    seed: int
    num_validation: int
    """The first pictures of `pairs`, which are not trained on."""
    with_captions: bool = True

    def __post_init__(self) -> None:
        """Refuse data of which nothing is left to train on."""
        if len(self.pairs) <= self.num_validation:
            msg = f"--data: {len(self.pairs)} pictures, and validation takes {self.num_validation}; add more"
            raise InputError(msg)

    def sample(self, step: int, position: int) -> Sample:
        """Make sample `position` of the batch of `step`."""
        draw = Draw(self.seed, step, position, PAIR)
        index = self.num_validation + draw.integer(len(self.pairs) - self.num_validation)
        pair = self.pairs.pair(index, draw)
        shown, low = pair.degraded, pair.low
        if draw.chance(self.odds.show_original):
            shown, low = pair.clean, pair.low_of_clean
        is_silent = draw.chance(self.odds.drop_captions) or not self.with_captions
        high, low = CAPTIONS_OF_NOTHING if is_silent else (pair.high, low)
        return Sample(pair.clean, shown, high, low)

    def validation(self) -> list[Sample]:
        """Make the samples for validation: degraded, and described where captions are used at all."""
        pairs = [
            self.pairs.pair(index, Draw(self.seed, VALIDATION_STEP, index, PAIR))
            for index in range(self.num_validation)
        ]
        texts = [(pair.high, pair.low) if self.with_captions else CAPTIONS_OF_NOTHING for pair in pairs]
        return [Sample(pair.clean, pair.degraded, *text) for pair, text in zip(pairs, texts, strict=True)]


class BatchStream(Dataset[Batch]):
    """Batches by step and positions, for loading in worker processes."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __getitem__(self, key: tuple[int, tuple[int, ...]]) -> Batch:
        step, positions = key
        return beside([self._samples.sample(step, position) for position in positions], step, positions)


def beside(samples: Sequence[Sample], step: int, positions: tuple[int, ...]) -> Batch:
    """Put samples side by side."""
    return Batch(
        step=step,
        positions=positions,
        clean=torch.stack([sample.clean for sample in samples]),
        shown=torch.stack([sample.shown for sample in samples]),
        high=[sample.high for sample in samples],
        low=[sample.low for sample in samples],
    )


def read_picture(path: Path, held_out: HeldOut) -> Tensor:
    """Return a picture as uint8 RGB [3, H, W].

    Raises:
        InputError: it cannot be read.
        ConfigError: it is held out for evaluation; training on it would make the figures worthless.
    """
    try:
        with Image.open(path) as image:
            if held_out.holds(image):
                msg = f"{path}: is held out for evaluation, or near to what is; take it out of the data"
                raise ConfigError(msg)
            pixels = np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        msg = f"{path}: cannot be read as a picture ({type(error).__name__}); replace it or take it out"
        raise InputError(msg) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def to_unit(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [0, 1]."""
    return pixels.float() / 255


def from_unit(picture: Tensor) -> Tensor:
    """Return a picture in [0, 1] as uint8 pixels."""
    return (255 * picture.clamp(0, 1)).round().byte()
