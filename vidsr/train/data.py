"""Training samples: crops of photographs, degraded, with a caption that mostly tells the truth.

A sample is a function of (seed, step, position in the batch) alone, so a resumed run sees the same stream.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from vidsr.degradation_words import LEVELS, Degradation, describe
from vidsr.errors import ConfigError, InputError
from vidsr.models.compact.estimate import SCALE, enlarge
from vidsr.train.degradation import DegradationSet, Degraded, degrade, filter_picture
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.settings import CaptionPolicy

ALIGNMENT = 4
"""Crops start at multiples of this, so the 8x8 lattice of the block transform never sits at one place."""


class Sample(NamedTuple):
    """One training pair."""

    lr: Tensor
    """[3, h, w], RGB in [0, 1]."""
    target: Tensor
    """[3, 4h, 4w]."""
    low_level: str


class Batch(NamedTuple):
    """Samples side by side."""

    lr: Tensor
    target: Tensor
    low_level: list[str]


def load_pack(folder: Path, *, held_out: HeldOut) -> list[Tensor]:
    """Read the photographs of a pack as uint8 [3, H, W].

    Raises:
        InputError: there is no pack, or a picture is not the one its manifest names.
        ConfigError: a picture is held out for evaluation; training on it would make the figures worthless.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder}: holds no manifest.json; make the pack with tools/collect_photographs.py"
        raise InputError(msg) from error
    pictures = []
    for entry in manifest["pictures"]:
        path = folder / entry["file"]
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry["sha256"]:
            msg = f"{path}: not the picture that manifest.json names; collect the pack again"
            raise InputError(msg)
        with Image.open(path) as image:
            if held_out.holds(image):
                msg = f"{path}: is held out for evaluation, or near to what is; take it out of the pack"
                raise ConfigError(msg)
            pixels = np.array(image.convert("RGB"))
        pictures.append(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
    return pictures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleMaker:
    """Makes any sample of a run."""

    pictures: Sequence[Tensor]
    sets: Sequence[DegradationSet]
    shares: Sequence[float]
    captions: CaptionPolicy
    crop: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse pictures that no crop can be cut from."""
        for number, picture in enumerate(self.pictures):
            height, width = picture.shape[1:]
            if min(height, width) < self.crop:
                msg = f"picture {number} of the pack is {width}x{height}: smaller than crop, {self.crop}"
                raise InputError(msg)

    def sample(self, step: int, position: int) -> Sample:
        """Make sample `position` of the batch of `step`."""
        draw = Draw(self.seed, step, position)
        clean = _crop(self._picture(draw), self.crop, draw)
        degraded = degrade(clean, draw, self.sets[draw.pick(self.shares)])
        return caption_and_target(clean, degraded, self.captions, draw)

    def batch(self, step: int, positions: Sequence[int]) -> Batch:
        """Make the samples at `positions` of the batch of `step`."""
        samples = [self.sample(step, position) for position in positions]
        return Batch(
            torch.stack([sample.lr for sample in samples]),
            torch.stack([sample.target for sample in samples]),
            [sample.low_level for sample in samples],
        )

    def _picture(self, draw: Draw) -> Tensor:
        # By area, so that every square metre of photograph is as likely as any other.
        return self.pictures[
            draw.pick([float(picture.shape[1] * picture.shape[2]) for picture in self.pictures])
        ]


class BatchStream(Dataset[Batch]):
    """The batches of a run by step, or one rank's share of them, for loading in worker processes."""

    def __init__(self, maker: SampleMaker, *, positions: Sequence[int]) -> None:
        self._maker = maker
        self._positions = positions

    def __getitem__(self, step: int) -> Batch:
        return self._maker.batch(step, self._positions)


def caption_and_target(clean: Tensor, degraded: Degraded, policy: CaptionPolicy, draw: Draw) -> Sample:
    """Say what was done to the picture, and decide what of it is to be undone.

    What the caption names, or leaves open, is restored. What it denies ("no noise") although it is there
    stays in the target: that is what gives the words their power.
    """
    truth = degraded.truth
    denied: str | None = None
    target = clean
    if draw.chance(policy.keep_probability):
        denied, target = _deny(clean, degraded, draw)
    if denied is None and draw.chance(policy.empty_probability):
        return Sample(degraded.lr, target, "")
    phrases = describe(truth).split(", ")
    if denied is not None:
        phrases = [f"{LEVELS[0]} {denied}" if phrase.endswith(denied) else phrase for phrase in phrases]
    kept = [
        phrase
        for phrase in phrases
        if phrase.endswith(denied or "?") or not draw.chance(policy.drop_probability)
    ]
    return Sample(degraded.lr, target.clamp(0, 1), ", ".join(kept))


def _deny(clean: Tensor, degraded: Degraded, draw: Draw) -> tuple[str | None, Tensor]:
    """Pick a degradation that is there; return its word and the target that keeps it."""
    is_there = [
        name
        for name, truth in (
            ("noise", Degradation(noise_sigma=degraded.truth.noise_sigma)),
            ("blur", Degradation(blur_sigma=degraded.truth.blur_sigma)),
            ("compression blocks", Degradation(jpeg_quality=degraded.truth.jpeg_quality)),
        )
        if not describe(truth).startswith(LEVELS[0])
    ]
    if not is_there:
        return None, clean
    name = is_there[draw.integer(len(is_there))]
    if name == "blur":
        return name, _blurred(clean, sigma=SCALE * (degraded.truth.blur_sigma or 0))
    before = degraded.without_noise if name == "noise" else degraded.without_compression
    return name, clean + enlarge((degraded.lr - before)[None])[0]


def _blurred(clean: Tensor, *, sigma: float) -> Tensor:
    radius = max(1, min(12, round(3 * sigma)))
    axis = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = torch.outer(line, line)
    return filter_picture(clean[None], kernel / kernel.sum())[0]


def _crop(picture: Tensor, size: int, draw: Draw) -> Tensor:
    """Cut a random square as float in [0, 1], turned and mirrored at random."""
    height, width = picture.shape[1:]
    top = ALIGNMENT * draw.integer((height - size) // ALIGNMENT + 1)
    left = ALIGNMENT * draw.integer((width - size) // ALIGNMENT + 1)
    square = picture[:, top : top + size, left : left + size].float() / 255
    square = torch.rot90(square, draw.integer(4), dims=(1, 2))
    return square.flip(2) if draw.chance(0.5) else square


def psnr(image: Tensor, target: Tensor) -> float:
    """Return the PSNR in dB over all channels of pictures in [0, 1]: for watching a run, not for reports."""
    return float(-10 * torch.log10(F.mse_loss(image.clamp(0, 1), target)))


def without_captions(policy: CaptionPolicy) -> CaptionPolicy:
    """Return the policy of validation: the whole truth, and everything restored."""
    return replace(policy, empty_probability=0.0, drop_probability=0.0, keep_probability=0.0)
