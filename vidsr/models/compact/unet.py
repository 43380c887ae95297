"""The U-Net that both halves of xpsr-s are made of: the estimate and the denoiser.

It works on a grid of half the low-resolution size. Residual blocks have no normalisation, so a picture's
result depends on nothing but itself; a steering vector reaches each of them by FiLM; Semantic-Fusion
Attention reads both priors at the lowest level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.compact import text
from vidsr.models.compact.sfa import SemanticFusionAttention

MULTIPLE = 4
"""Sides of the grid that the U-Net works on are multiples of this."""
RESIDUAL_SCALE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetShape:
    """The numbers of the network; stored beside the weights."""

    widths: tuple[int, int, int] = (64, 128, 192)
    """Channels at 1/2, 1/4 and 1/8 of the low-resolution size."""
    pairs: tuple[int, int, int] = (2, 2, 2)
    """Residual blocks at each level on the way down, and again on the way up but for the lowest."""
    num_sfa: int = 2
    num_heads: int = 6
    stem_side: int = 3
    """Of the first convolution's kernel, odd. Where many channels come in, 1 saves most of its work: the
    blocks that follow see the neighbours."""


class Priors(NamedTuple):
    """Both priors as tokens [B, T, D] with masks [B, T]."""

    high: Tensor
    high_mask: Tensor
    low: Tensor
    low_mask: Tensor


class Features(NamedTuple):
    """What the U-Net found, on grids of 1/2, 1/4 and 1/8 of the low-resolution size."""

    down: tuple[Tensor, Tensor, Tensor]
    """Of the encoder."""
    up: Tensor
    """[B, widths[0], h, w], what heads read."""


class FilmPair(nn.Module):
    """Two 3x3 convolutions around a ReLU, steered by FiLM; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(text.WIDTH, 2 * width)
        for layer in (self.conv2, self.film):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]  # it has a bias
        nn.init.zeros_(self.film.bias)

    def forward(self, features: Tensor, steer: Tensor) -> Tensor:
        """Map features [B, C, h, w], given the steering vector [B, D]."""
        gain, shift = self.film(steer).chunk(2, dim=1)
        if len(features) == 1:
            # One picture has one steering vector: FiLM goes into the weights and costs no pass over features.
            weight = self.conv1.weight * (1 + gain[0])[:, None, None, None]
            bias = torch.addcmul(shift[0], self.conv1.bias, 1 + gain[0])  # type: ignore[arg-type]  # it has a bias
            hidden = F.conv2d(features, weight, bias, padding=1)
        else:
            hidden = self.conv1(features) * (1 + gain)[:, :, None, None] + shift[:, :, None, None]
        return torch.add(features, self.conv2(F.relu_(hidden)), alpha=RESIDUAL_SCALE)


class UNet(nn.Module):
    """Encoder, attention on the priors, decoder."""

    def __init__(self, shape: UNetShape, *, in_channels: int) -> None:
        super().__init__()
        first, second, third = shape.widths
        self.stem = nn.Conv2d(in_channels, first, shape.stem_side, padding=shape.stem_side // 2)
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

    def forward(self, picture: Tensor, priors: Priors, steer: Tensor) -> Features:
        """Find features.

        Args:
            picture: [B, in_channels, h, w], sides multiples of MULTIPLE.
            priors: what the attention reads.
            steer: [B, text.WIDTH], what every residual block hears.
        """
        # The network works in its weights' type.
        level1 = _run(self.down1, self.stem(picture.to(self.stem.weight.dtype)), steer)
        level2 = _run(self.down2, self.shrink1(level1), steer)
        level3 = _run(self.down3, self.shrink2(level2), steer)
        lowest = level3
        for block in self.sfa:
            lowest = block(lowest, *priors)
        up2 = _run(self.up2, level2 + F.pixel_shuffle(self.grow2(lowest), 2), steer)
        up1 = _run(self.up1, level1 + F.pixel_shuffle(self.grow1(up2), 2), steer)
        return Features((level1, level2, level3), up1)


def zero_head(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3x3 convolution that says nothing yet."""
    head = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]  # it has a bias
    return head


def _pairs(width: int, count: int) -> nn.ModuleList:
    return nn.ModuleList(FilmPair(width) for _ in range(count))


def _run(pairs: nn.ModuleList, features: Tensor, steer: Tensor) -> Tensor:
    for pair in pairs:
        features = pair(features, steer)
    return features
