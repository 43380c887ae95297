"""The denoiser of xpsr-s: what the estimate left out, drawn from noise in one to four steps.

The diffused signal is the residual r0 = (B HR - B y0) / sigma in the block transform B, with sigma the
standard deviation of each of its channels over the training set: the residual shifting of ResShift (Yue et
al. 2023) with the estimate y0 subtracted, so that no mean has to pass through few bits. The U-Net sees the
noisy residual, the low-resolution picture, the estimate, and what the previous frame's result would be here.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.diffusion.schedule import NUM_TIMESTEPS, ResidualSchedule
from vidsr.models.compact import text
from vidsr.models.compact.estimate import SCALE, SHUFFLE, pad
from vidsr.models.compact.transform import BLOCK, CHANNELS, BlockTransform
from vidsr.models.compact.unet import Priors, UNet, UNetShape, zero_head

LOW_BANDS = 2
"""Rows and columns of the lowest frequencies, which take little noise."""
LOW_KAPPA = 0.25
MEAN_LEVEL = 0.5
"""Subtracted from the estimate's pixels, so that the network reads them around zero."""


class Condition(NamedTuple):
    """What the denoiser is told beside the noisy residual."""

    lr: Tensor
    """[B, 3, h, w], RGB in [0, 1]."""
    estimate: Tensor
    """y0, [B, 3, 4h, 4w]."""
    previous: Tensor
    """The previous frame's result seen from here, as a residual in units of sigma, [B, 192, h/2, w/2] of the
    padded picture; zero where it is not trusted."""
    trust: Tensor
    """Where it is, [B, 1, h/2, w/2], in [0, 1]."""


class DenoiserNet(nn.Module):
    """Predicts the clean residual from a noisy one."""

    sigma: Tensor
    kappa: Tensor

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.shape = shape
        self.transform = BlockTransform()
        self.timesteps = nn.Embedding(NUM_TIMESTEPS + 1, text.WIDTH)
        nn.init.zeros_(self.timesteps.weight)
        self.unet = UNet(shape, in_channels=3 * SHUFFLE**2 + 3 * CHANNELS + 1)
        self.head = zero_head(shape.widths[0], CHANNELS)
        self.register_buffer("sigma", torch.ones(1, CHANNELS, 1, 1))
        self.register_buffer("kappa", _kappa(), persistent=False)

    @property
    def schedule(self) -> ResidualSchedule:
        """The process whose residuals this network knows."""
        return ResidualSchedule(kappa=self.kappa)

    def residual(self, image: Tensor, estimate: Tensor) -> Tensor:
        """Return what `image` has beyond the estimate, both [B, 3, 4h, 4w], as [B, 192, h/2, w/2]."""
        left: Tensor = self.transform(pad(image - estimate, SCALE).float())
        return left / self.sigma

    def added(self, residual: Tensor, estimate: Tensor) -> Tensor:
        """Return what a residual adds to the estimate, [B, 3, 4h, 4w]: the inverse of `residual`."""
        added = self.transform.inverse(residual.float() * self.sigma)
        return added[:, :, : estimate.shape[2], : estimate.shape[3]]

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition, priors: Priors) -> Tensor:
        """Predict r0.

        Args:
            noisy: x_t, [B, 192, h/2, w/2], sides multiples of unet.MULTIPLE.
            timestep: [B] int64, 1 to NUM_TIMESTEPS.
            condition: see there.
            priors: of the estimate's `read`.
        """
        parts = (
            F.pixel_unshuffle(pad(condition.lr), SHUFFLE),
            noisy * self.schedule.input_scale(timestep),
            F.pixel_unshuffle(pad(condition.estimate, SCALE) - MEAN_LEVEL, BLOCK),
            condition.previous,
            condition.trust,
        )
        picture = torch.cat([part.to(self.head.weight.dtype) for part in parts], dim=1)
        steer = text.pool(priors.low, priors.low_mask) + self.timesteps(timestep)
        features = self.unet(picture, priors, steer)
        # No skip from x_t, which Karras et al. 2022 would have: where a picture is flat the residual is zero,
        # and a network that is handed noise there has to learn to take it away again.
        residual: Tensor = self.head(features.up).float()
        return residual


def _kappa() -> Tensor:
    """Return the noise of each channel, [1, 192, 1, 1]."""
    bands = torch.ones(3, BLOCK, BLOCK)
    bands[:, :LOW_BANDS, :LOW_BANDS] = LOW_KAPPA
    return bands.reshape(1, CHANNELS, 1, 1)
