"""Training the estimate: Charbonnier, PSNR, the degradation-free constraint, and LPIPS in a second stage."""

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vidsr.models.compact.estimate import EstimateNet, FreeHeads, enlarge
from vidsr.models.compact.weights import CompactModel, WeightsInfo
from vidsr.models.device import has_fast_bfloat16
from vidsr.train.captions import without_captions
from vidsr.train.data import Batch, SampleMaker
from vidsr.train.draw import Draw
from vidsr.train.grow import grown
from vidsr.train.losses import at_random_phase, charbonnier, lattice, negative_psnr, psnr
from vidsr.train.settings import TrainSettings
from vidsr.train.task import Losses, Perceptual, read_priors

VALIDATION_BATCHES = 2
VALIDATION_SEED = 2**40
"""Far from any training step, so that validation samples are never trained on."""


class EstimateTask:
    """Implements `vidsr.train.task.Task`.

    Raises:
        CheckpointError: the estimate of `start` cannot become one of `settings.network`.
    """

    def __init__(
        self,
        settings: TrainSettings,
        *,
        start: CompactModel | None,
        perceptual: Perceptual | None,
        device: str,
    ) -> None:
        self.network = (
            EstimateNet(settings.network) if start is None else grown(start.estimate, settings.network)
        )
        self.helpers = FreeHeads(settings.network)
        self._settings = settings
        self._perceptual = perceptual
        self._device = device

    def prepare(self, maker: SampleMaker) -> None:
        """Nothing is measured first."""

    def losses(self, batch: Batch, step: int) -> Losses:
        """Return Charbonnier, the constraint, and PSNR and LPIPS where they are wanted."""
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device, torch.bfloat16, enabled=has_fast_bfloat16(self._device)):
            estimate = self.network(lr, read_priors(self.network, batch))
            constraint = self.helpers(estimate.features, batch.target, self.network.transform)
        parts: dict[str, Tensor] = {
            "charbonnier": charbonnier(
                estimate.image, batch.target, epsilon=self._settings.charbonnier_epsilon
            ),
            "constraint": constraint,
        }
        total = parts["charbonnier"] + self._settings.constraint_weight * constraint
        if self._settings.psnr_weight:
            parts["negative_psnr"] = negative_psnr(estimate.image, batch.target)
            total = total + self._settings.psnr_weight * parts["negative_psnr"]
        if self._perceptual is not None:
            with torch.autocast(self._device, torch.bfloat16, enabled=has_fast_bfloat16(self._device)):
                pair = at_random_phase((estimate.image, batch.target), Draw(self._settings.seed, step))
                parts["perceptual"] = self._perceptual(*pair).float().mean()
            total = total + self._settings.perceptual_weight * parts["perceptual"]
        if self._settings.lattice_weight:
            parts["lattice"] = lattice(estimate.image, batch.target)
            total = total + self._settings.lattice_weight * parts["lattice"]
        return Losses(total, parts)

    @torch.no_grad()
    def validate(self, average: nn.Module, maker: SampleMaker) -> dict[str, float]:
        """Return PSNR in dB of the network and of bicubic enlargement."""
        network = cast(EstimateNet, average)
        scores: dict[str, list[float]] = {"estimate": [], "bicubic": []}
        for batch in validation_batches(maker, self._settings.batch_size, self._device):
            estimates = network(batch.lr, read_priors(network, batch)).image
            for mine, bicubic, wanted in zip(estimates, enlarge(batch.lr), batch.target, strict=True):
                scores["estimate"].append(psnr(mine, wanted))
                scores["bicubic"].append(psnr(bicubic, wanted))
        return means(scores)

    def export(self, average: nn.Module, *, steps: int) -> tuple[CompactModel, WeightsInfo]:
        """Return a model without a denoiser."""
        note = f"estimate, seed {self._settings.seed}"
        return CompactModel(cast(EstimateNet, average), None), WeightsInfo(training_steps=steps, note=note)


def validation_batches(maker: SampleMaker, size: int, device: str) -> list[Batch]:
    """Return batches that tell the whole truth and want everything restored."""
    diffusion = maker.diffusion and dataclasses.replace(
        maker.diffusion, negative_probability=0.0, previous_probability=0.0
    )
    honest = dataclasses.replace(maker, captions=without_captions(maker.captions), diffusion=diffusion)
    return [
        honest.batch(VALIDATION_SEED + number, range(size)).to(device) for number in range(VALIDATION_BATCHES)
    ]


def means(scores: dict[str, list[float]]) -> dict[str, float]:
    """Return the mean of each list, three digits."""
    return {name: round(_mean(values), 3) for name, values in scores.items() if values}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
