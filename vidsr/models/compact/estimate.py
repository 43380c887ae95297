"""The estimate of xpsr-s: what the picture most probably was, in one pass, guided by both priors.

A U-Net predicts, in the block transform, what has to be added to the bicubic enlargement; the low-level
prior steers each of its blocks.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.compact import text
from vidsr.models.compact.transform import CHANNELS, BlockTransform
from vidsr.models.compact.unet import MULTIPLE, Priors, UNet, UNetShape, zero_head

SCALE = 4
SHUFFLE = 2
"""The grid is this much coarser than the low-resolution picture."""
SIDE = SHUFFLE * MULTIPLE
"""Sides of the low-resolution picture are brought to multiples of this."""


class Estimate(NamedTuple):
    """What the network says of a picture."""

    image: Tensor
    """y0: [B, 3, 4h, 4w], RGB, not clamped."""
    features: tuple[Tensor, Tensor, Tensor]
    """Encoder features at 1/2, 1/4 and 1/8 of the padded low-resolution size."""


class EstimateNet(nn.Module):
    """From a low-resolution picture and two priors to its estimate, four times as large."""

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.shape = shape
        self.transform = BlockTransform()
        self.text = text.TextEncoder()
        self.unet = UNet(shape, in_channels=3 * SHUFFLE**2)
        self.head = zero_head(shape.widths[0], CHANNELS)

    def read(self, high: tuple[Tensor, Tensor], low: tuple[Tensor, Tensor]) -> Priors:
        """Encode both priors, each given as ids and mask of `text.tokenize`."""
        return Priors(self.text(*high), high[1], self.text(*low), low[1])

    def forward(self, lr: Tensor, priors: Priors) -> Estimate:
        """Estimate the picture.

        Args:
            lr: [B, 3, h, w], RGB in [0, 1], float32, any size.
            priors: of `read`.
        """
        height, width = lr.shape[2:]
        padded = pad(lr)
        steer = text.pool(priors.low, priors.low_mask)
        features = self.unet(F.pixel_unshuffle(padded, SHUFFLE), priors, steer)
        # The sum is made in float32: a bfloat16 has too few bits for a pixel.
        residual = self.transform.inverse(self.head(features.up).float())
        image = enlarge(padded.float()) + residual
        return Estimate(image[:, :, : SCALE * height, : SCALE * width], features.down)


def pad(picture: Tensor, scale: int = 1) -> Tensor:
    """Repeat the right and lower edge of [B, C, scale * h, scale * w] until h and w suit the U-Net."""
    side = SIDE * scale
    return F.pad(picture, (0, -picture.shape[3] % side, 0, -picture.shape[2] % side), mode="replicate")


def enlarge(image: Tensor) -> Tensor:
    """Enlarge [B, 3, h, w] four times by the bicubic filter of PIL (Keys 1981 with a = -0.5)."""
    # With antialias torch uses a = -0.5; without, a = -0.75.
    return F.interpolate(image, scale_factor=SCALE, mode="bicubic", antialias=True)


class FreeHeads(nn.Module):
    """The degradation-free constraint (XPSR, section 3.4): encoder features must show the clean picture.

    Heads to RGB at 1/8, 1/4 and 1/2 of the high-resolution size. Used in training only and not shipped.
    """

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        # The grid of level 1 is 1/8 of the high-resolution size; the others are brought to 1/16 and 1/32
        # of it, so finer targets are read from level 1 by pixel shuffling.
        self.to_eighth = nn.Conv2d(shape.widths[0], 3, 1)
        self.to_quarter = nn.Conv2d(shape.widths[0], 3 * 4, 1)
        self.to_half = nn.Conv2d(shape.widths[0], 3 * 16, 1)
        self.coefficients = nn.ModuleList(nn.Conv2d(width, CHANNELS, 1) for width in shape.widths[1:])

    def forward(
        self, features: tuple[Tensor, Tensor, Tensor], clean: Tensor, transform: BlockTransform
    ) -> Tensor:
        """Return the mean L1 distance of all heads from `clean` [B, 3, 4h, 4w] in [0, 1]."""
        level1 = features[0]
        pictures = (
            (self.to_eighth(level1), 8),
            (F.pixel_shuffle(self.to_quarter(level1), 2), 4),
            (F.pixel_shuffle(self.to_half(level1), 4), 2),
        )
        losses = [F.l1_loss(picture.float(), F.avg_pool2d(clean, factor)) for picture, factor in pictures]
        target = transform(clean)
        for head, level, factor in zip(self.coefficients, features[1:], (2, 4), strict=True):
            losses.append(F.l1_loss(head(level).float(), F.avg_pool2d(target, factor)))
        return torch.stack(losses).mean()
