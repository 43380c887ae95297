"""The estimate of xpsr-s: what the picture most probably was, in one pass, guided by both priors.

A U-Net on a grid of half the low-resolution size. It predicts, in the block transform, what has to be added
to the bicubic enlargement. Residual blocks have no normalisation, so a picture's result depends on nothing
but itself, and the low-level prior steers each of them by FiLM.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.compact import text
from vidsr.models.compact.sfa import SemanticFusionAttention
from vidsr.models.compact.transform import CHANNELS, BlockTransform

SCALE = 4
MULTIPLE = 8
"""Sides that the U-Net works on, in low-resolution pixels; others are padded by repetition and cropped."""
RESIDUAL_SCALE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateShape:
    """The numbers of the network; stored beside the weights."""

    widths: tuple[int, int, int] = (64, 128, 192)
    """Channels at 1/2, 1/4 and 1/8 of the low-resolution size."""
    pairs: tuple[int, int, int] = (2, 2, 2)
    """Residual blocks at each level on the way down, and again on the way up but for the lowest."""
    num_sfa: int = 2
    num_heads: int = 6


class Priors(NamedTuple):
    """Both priors as tokens [B, T, D] with masks [B, T]."""

    high: Tensor
    high_mask: Tensor
    low: Tensor
    low_mask: Tensor


class Estimate(NamedTuple):
    """What the network says of a picture."""

    image: Tensor
    """y0: [B, 3, 4h, 4w], RGB, not clamped."""
    features: tuple[Tensor, Tensor, Tensor]
    """Encoder features at 1/2, 1/4 and 1/8 of the padded low-resolution size."""


class FilmPair(nn.Module):
    """Two 3x3 convolutions around a ReLU, steered by the low-level prior; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(text.WIDTH, 2 * width)
        for layer in (self.conv2, self.film):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]  # it has a bias
        nn.init.zeros_(self.film.bias)

    def forward(self, features: Tensor, prior: Tensor) -> Tensor:
        """Map features [B, C, h, w], given the pooled prior [B, D]."""
        gain, shift = self.film(prior)[:, :, None, None].chunk(2, dim=1)
        hidden = F.relu(self.conv1(features) * (1 + gain) + shift)
        out: Tensor = features + RESIDUAL_SCALE * self.conv2(hidden)
        return out


class EstimateNet(nn.Module):
    """From a low-resolution picture and two priors to its estimate, four times as large."""

    def __init__(self, shape: EstimateShape) -> None:
        super().__init__()
        first, second, third = shape.widths
        self.shape = shape
        self.transform = BlockTransform()
        self.text = text.TextEncoder()
        self.stem = nn.Conv2d(12, first, 3, padding=1)
        self.down1 = _pairs(first, shape.pairs[0])
        self.shrink1 = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.down2 = _pairs(second, shape.pairs[1])
        self.shrink2 = nn.Conv2d(second, third, 3, stride=2, padding=1)
        self.down3 = _pairs(third, shape.pairs[2])
        self.sfa = nn.ModuleList(
            SemanticFusionAttention(third, text_dim=text.WIDTH, num_heads=shape.num_heads)
            for _ in range(shape.num_sfa)
        )
        self.grow2 = nn.Conv2d(third, 4 * second, 1)
        self.up2 = _pairs(second, shape.pairs[1])
        self.grow1 = nn.Conv2d(second, 4 * first, 1)
        self.up1 = _pairs(first, shape.pairs[0])
        self.head = nn.Conv2d(first, CHANNELS, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]  # it has a bias

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
        padded = F.pad(lr, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        steer = text.pool(priors.low, priors.low_mask)
        # The network works in its weights' type; the sum below needs the pixels as they came.
        level1 = _run(self.down1, self.stem(F.pixel_unshuffle(padded, 2).to(self.stem.weight.dtype)), steer)
        level2 = _run(self.down2, self.shrink1(level1), steer)
        level3 = _run(self.down3, self.shrink2(level2), steer)
        lowest = level3
        for block in self.sfa:
            lowest = block(lowest, *priors)
        up2 = _run(self.up2, level2 + F.pixel_shuffle(self.grow2(lowest), 2), steer)
        up1 = _run(self.up1, level1 + F.pixel_shuffle(self.grow1(up2), 2), steer)
        # The sum is made in float32: a bfloat16 has too few bits for a pixel.
        residual = self.transform.inverse(self.head(up1).float())
        image = enlarge(padded.float()) + residual
        return Estimate(image[:, :, : SCALE * height, : SCALE * width], (level1, level2, level3))


def enlarge(image: Tensor) -> Tensor:
    """Enlarge [B, 3, h, w] four times by the bicubic filter of PIL (Keys 1981 with a = -0.5)."""
    # With antialias torch uses a = -0.5; without, a = -0.75.
    return F.interpolate(image, scale_factor=SCALE, mode="bicubic", antialias=True)


def _pairs(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(FilmPair(width) for _ in range(count))


def _run(pairs: nn.ModuleList, features: Tensor, prior: Tensor) -> Tensor:
    for pair in pairs:
        features = pair(features, prior)
    return features


class FreeHeads(nn.Module):
    """The degradation-free constraint (XPSR, section 3.4): encoder features must show the clean picture.

    Heads to RGB at 1/8, 1/4 and 1/2 of the high-resolution size. Used in training only and not shipped.
    """

    def __init__(self, shape: EstimateShape) -> None:
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
