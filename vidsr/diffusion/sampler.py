"""From noise to a residual, in the steps of a schedule."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vidsr.diffusion.schedule import ResidualSchedule

Predict = Callable[[Tensor, Tensor], Tensor]
"""From x_t [B, C, h, w] and its timestep [B] to r0."""


def sample(
    predict: Predict, start: Tensor, *, timesteps: Sequence[int], schedule: ResidualSchedule
) -> Tensor:
    """Draw a residual.

    Args:
        predict: the denoiser, with or without guidance.
        start: x at the first of `timesteps`, [B, C, h, w].
        timesteps: falling, at least one.
        schedule: of the process.

    Returns:
        The prediction of the last step itself, [B, C, h, w].
    """
    noisy = start
    for source, target in itertools.pairwise(timesteps):
        residual = predict(noisy, _same(source, noisy))
        noisy = schedule.reverse(noisy, residual, source=source, target=target)
    return predict(noisy, _same(timesteps[-1], noisy))


def guided(positive: Predict, negative: Predict, scale: float) -> Predict:
    """Return the prediction that leads away from `negative` (Ho and Salimans 2021, classifier-free guidance).

    Args:
        positive: given the wanted priors.
        negative: given the unwanted ones.
        scale: 1 is `positive` alone, and `negative` is not asked.
    """
    if scale == 1:
        return positive

    def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
        away = negative(noisy, timestep)
        return away + scale * (positive(noisy, timestep) - away)

    return predict


def _same(timestep: int, like: Tensor) -> Tensor:
    return torch.full((len(like),), timestep, device=like.device)
