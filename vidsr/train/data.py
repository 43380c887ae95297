"""Training samples: crops of photographs, degraded, with a caption that mostly tells the truth.

A sample is a function of (seed, step, position in the batch) alone, so a resumed run sees the same stream.
"""

import hashlib
import json
import math
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

from vidsr.degradation_words import LEVELS, NEGATIVE_HIGH_LEVEL, Degradation, describe
from vidsr.errors import ConfigError, InputError
from vidsr.models.compact.estimate import SCALE, enlarge
from vidsr.train.degradation import DegradationSet, Degraded, degrade, degrade_clip
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.kernels import filter_picture
from vidsr.train.motion import margin_of, move
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


class Tile(NamedTuple):
    """A square of a photograph and what a classifier sees there."""

    top: int
    left: int
    size: int
    tags: list[str]


class Photograph(NamedTuple):
    """One picture of a pack."""

    pixels: Tensor
    """uint8 [3, H, W]."""
    tiles: list[Tile]
    """Empty where the pack has no tags."""

    def tags_at(self, row: float, column: float) -> list[str]:
        """Return the tags of the tile whose centre is nearest."""
        if not self.tiles:
            return []
        return min(
            self.tiles,
            key=lambda tile: math.hypot(tile.top + tile.size / 2 - row, tile.left + tile.size / 2 - column),
        ).tags


def load_pack(folder: Path, *, held_out: HeldOut) -> list[Photograph]:
    """Read the photographs of a pack, with the tags of tools/tag_pack.py where there are any.

    Raises:
        InputError: there is no pack, or a picture is not the one its manifest names.
        ConfigError: a picture is held out for evaluation; training on it would make the figures worthless.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder}: holds no manifest.json; make the pack with tools/collect_photographs.py"
        raise InputError(msg) from error
    tags = _read_tags(folder / "tags.json")
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
        planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        pictures.append(Photograph(planes, tags.get(entry["file"], [])))
    return pictures


def _read_tags(path: Path) -> dict[str, list[Tile]]:
    if not path.exists():
        return {}
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return {name: [Tile(**tile) for tile in tiles] for name, tiles in tree.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path}: not the tags of a pack ({type(error).__name__}); make them with tools/tag_pack.py"
        raise InputError(msg) from error


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
        sample = caption_and_target(clean, degraded, self.captions, draw)
        return sample._replace(high_level=self._content(tags, draw))

    def _moving(self, draw: Draw, motion: MotionPolicy) -> Sample:
        """Make a sample with the frame before it: both are degraded alike but for their noise."""
        square, tags = self._crop(draw, margin=margin_of(motion))
        pair = move(square, self.crop, motion, draw)
        settings, number = self.sets[draw.pick(self.shares)], draw.integer(2**31)
        grains = [Draw(number, frame) for frame in range(2)]
        previous, degraded = degrade_clip([pair.previous, pair.clean], draw, settings, grains=grains)
        sample = caption_and_target(pair.clean, degraded, self.captions, draw)
        return sample._replace(
            previous=Previous(previous.lr, pair.flow, pair.inside), high_level=self._content(tags, draw)
        )

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
    if draw.chance(policy.misjudge_probability):
        truth = _misjudged(truth, draw)
    phrases = describe(truth).split(", ")
    if denied is not None:
        phrases = [f"{LEVELS[0]} {denied}" if phrase.endswith(denied) else phrase for phrase in phrases]
    kept = [
        phrase
        for phrase in phrases
        if phrase.endswith(denied or "?") or not draw.chance(policy.drop_probability)
    ]
    return Sample(degraded.lr, target.clamp(0, 1), ", ".join(kept))


def _misjudged(truth: Degradation, draw: Draw) -> Degradation:
    """Return the truth as the measuring captioner would have it.

    Its errors on degraded photographs of the pack: noise off by a factor of 1.35, and three times as much
    where all of a picture is texture; blur by 0.16; the losses of compression by a factor of four.
    """
    noise, blur, losses = draw.normal(3).tolist()
    texture = 0.8 if draw.chance(0.15) else 0.0
    lost = 100.5 - (100.0 if truth.jpeg_quality is None else truth.jpeg_quality)
    return Degradation(
        noise_sigma=(truth.noise_sigma or 0.0) * math.exp(0.3 * noise + texture),
        blur_sigma=max(0.0, (truth.blur_sigma or 0.0) + 0.16 * blur),
        jpeg_quality=min(100.0, max(1.0, 100.5 - lost * math.exp(0.4 + 1.3 * losses))),
    )


def _deny(clean: Tensor, degraded: Degraded, draw: Draw) -> tuple[str | None, Tensor]:
    """Pick a degradation that is there; return its word and the target that keeps it."""
    is_there = [
        name
        for name, truth in (
            ("noise", Degradation(noise_sigma=degraded.truth.noise_sigma)),
            ("blur", Degradation(blur_sigma=degraded.truth.blur_sigma)),
            ("compression blocks", Degradation(jpeg_quality=degraded.truth.jpeg_quality)),
        )
        if describe(truth) and not describe(truth).startswith(LEVELS[0])
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


def psnr(image: Tensor, target: Tensor) -> float:
    """Return the PSNR in dB over all channels of pictures in [0, 1]: for watching a run, not for reports."""
    return float(-10 * torch.log10(F.mse_loss(image.clamp(0, 1), target)))


def without_captions(policy: CaptionPolicy) -> CaptionPolicy:
    """Return the policy of validation: the whole truth, and everything restored.

    A network that is never told a word in training is told none here either.
    """
    return replace(
        policy,
        empty_probability=float(policy.empty_probability == 1),
        drop_probability=0.0,
        keep_probability=0.0,
        misjudge_probability=0.0,
    )
