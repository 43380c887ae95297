"""What a run is watched with: losses and restored pictures of the first pictures of its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.restorer import XpsrRestorer
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.train.losses import psnr
from vidsr.train.xpsr.encode import Encoder
from vidsr.train.xpsr.objective import TrainedPair
from vidsr.train.xpsr.pairs import VALIDATION_STEP, Sample, beside, from_unit, to_unit
from vidsr.train.xpsr.settings import Validation
from vidsr.types import Prior

NOISINGS = 4
"""Timesteps at which the losses of each picture are measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validator:
    """Measures both networks as they are at the moment."""

    samples: Sequence[Sample]
    encoder: Encoder
    settings: Validation
    constraint_weight: float

    @torch.no_grad()
    def losses(self, unet: XpsrUNet, controlnet: XpsrControlNet) -> dict[str, float]:
        """Return the means of the losses over the pictures, at timesteps that are always the same."""
        pair = TrainedPair(unet, controlnet)
        found = [
            pair(
                self.encoder.example(beside([sample], VALIDATION_STEP + noising, (position,))),
                constraint_weight=self.constraint_weight,
            )
            for position, sample in enumerate(self.samples)
            for noising in range(NOISINGS)
        ]
        return {
            "noise": _mean([float(losses.noise) for losses in found]),
            "constraint": _mean([float(losses.constraint) for losses in found]),
        }

    def restore(self, unet: XpsrUNet, controlnet: XpsrControlNet) -> list[NDArray[np.uint8]]:
        """Restore each picture with the published sampler in few steps; uint8 RGB [3, H, W]."""
        encoder = self.encoder
        networks = Networks(
            unet=unet,
            controlnet=controlnet,
            autoencoder=encoder.autoencoder,
            text=encoder.text,
            schedule=encoder.schedule,
            device=encoder.device,
            dtype=torch.float32,
        )
        settings = XpsrSettings(
            # Samples are at full size already.
            scale=1,
            process_size=1,
            steps=self.settings.steps,
            guidance_scale=self.settings.guidance_scale,
        )
        restorer = XpsrRestorer(lambda: networks, settings)
        return [
            restorer.restore_pixels(
                from_unit(sample.shown).numpy(),
                Prior(high_level=sample.high, low_level=sample.low, captioner="training"),
                seed=encoder.seed,
            ).pixels
            for sample in self.samples
        ]

    def scores(self, restored: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
        """Return the mean PSNR of restored pictures, and of what was shown, in dB."""
        pictures = [to_unit(torch.from_numpy(pixels)) for pixels in restored]
        return {
            "PSNR": _psnr(pictures, self.samples),
            "PSNR shown": _psnr([sample.shown for sample in self.samples], self.samples),
        }


def make_sheet(samples: Sequence[Sample], restored: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return RGB [3, H, W], a row for each picture: what was shown, what was made of it, what was wanted."""
    rows = [
        np.concatenate([from_unit(sample.shown).numpy(), pixels, from_unit(sample.clean).numpy()], axis=2)
        for sample, pixels in zip(samples, restored, strict=True)
    ]
    return np.concatenate(rows, axis=1)


def write_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    """Write what `make_sheet` made as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.transpose(1, 2, 0)).save(path)


def _psnr(pictures: Sequence[Tensor], samples: Sequence[Sample]) -> float:
    return _mean([psnr(mine, sample.clean) for mine, sample in zip(pictures, samples, strict=True)])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
