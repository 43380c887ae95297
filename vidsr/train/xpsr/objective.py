"""What XPSR is trained on: the noise, and the degradation-free constraint."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.xpsr.controlnet import ControlOutput, XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet


class Example(NamedTuple):
    """Noised pictures with everything that the networks and the losses read, B of them."""

    noisy: Tensor
    """z_t, [B, 4, h, w]."""
    timestep: Tensor
    """[B], 0 to 999."""
    noise: Tensor
    """What is to be predicted, [B, 4, h, w]."""
    high: Tensor
    """The encoded high-level prior, [B, T, D]."""
    low: Tensor
    shown: Tensor
    """The degraded picture at full size, RGB [B, 3, 8h, 8w] in [0, 1]."""
    clean: Tensor
    """RGB [B, 3, 8h, 8w] in [-1, 1]."""
    clean_latents: Tensor
    """[B, 4, h, w]."""


class Losses(NamedTuple):
    """What an example says, each a mean over the batch."""

    total: Tensor
    noise: Tensor
    """Squared distance of the predicted noise."""
    constraint: Tensor
    """The 16 distances of the heads, weighed; 0 where there is no constraint."""


class TrainedPair(nn.Module):
    """Both networks as one, so that whoever trains on several devices wraps one module."""

    def __init__(self, unet: XpsrUNet, controlnet: XpsrControlNet) -> None:
        """Take both; they stay usable on their own."""
        super().__init__()
        self.unet = unet
        self.controlnet = controlnet

    def forward(
        self, example: Example, *, constraint_weight: float, conditioning_scale: float = 1.0
    ) -> Losses:
        """Return the losses of an example, in float32 or better.

        Args:
            example: what is shown and what is wanted.
            constraint_weight: of each of the 16 terms; 0 does without the heads.
            conditioning_scale: of the ControlNet's residuals.
        """
        control = self.controlnet(
            example.noisy,
            example.timestep,
            example.high,
            example.low,
            example.shown,
            conditioning_scale,
            with_heads=constraint_weight > 0,
        )
        predicted = self.unet(
            example.noisy,
            example.timestep,
            example.high,
            example.low,
            control.residuals,
            control.mid_residual,
        )
        noise = F.mse_loss(_precise(predicted), _precise(example.noise))
        if constraint_weight == 0:
            return Losses(total=noise, noise=noise, constraint=torch.zeros_like(noise))
        constraint = constraint_weight * sum_of_terms(control, example)
        return Losses(total=noise + constraint, noise=noise, constraint=constraint)


def sum_of_terms(control: ControlOutput, example: Example) -> Tensor:
    """Return the sum of the 16 terms of the degradation-free constraint.

    Three heads of the conditioning embedding must show the clean picture, one head on each residual and one
    on that of the middle its latents: features of the degraded picture from which the clean one can be read.
    """
    assert control.latent_head_mid is not None
    terms = [_distance(head, example.clean) for head in control.rgb_heads]
    heads = (*control.latent_heads, control.latent_head_mid)
    terms += (_distance(head, example.clean_latents) for head in heads)
    return torch.stack(terms).sum()


def _distance(head: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute distance at the head's own size."""
    reduced = F.interpolate(_precise(wanted), size=head.shape[-2:], mode="bilinear", align_corners=False)
    return F.l1_loss(_precise(head), reduced)


def _precise(tensor: Tensor) -> Tensor:
    """Widen half precision; what is wider than float32 stays so."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
