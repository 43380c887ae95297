"""The adversary of the denoiser: what tells restored patches from clean ones, trained beside it.

A PatchGAN (Isola et al. 2017) with spectral normalisation (Miyato et al. 2018) and the hinge loss (Lim and Ye
2017). It is shown a picture together with what that has beyond the estimate: so it judges the texture that
was added, given the picture it was added to, and a degradation that is to stay is no fault. Of both it sees
the detail alone: shown whole colours, it had the denoiser swing from too bright to too dark.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (48, 96, 128)
SLOPE = 0.2
WINDOW = 9
"""Pixels, odd: detail is what differs from the mean over this window."""
RESIDUAL_GAIN = 4.0
"""What is beyond the estimate is small: it is shown larger."""


class Adversary(nn.Module):
    """Says of each patch whether it is of a clean picture (above zero) or was restored (below)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 2 * 3
        for width in WIDTHS:
            layers += [
                spectral_norm(nn.Conv2d(channels, width, 4, stride=2, padding=1)),
                nn.LeakyReLU(SLOPE),
            ]
            channels = width
        layers += [spectral_norm(nn.Conv2d(channels, channels, 3, padding=1)), nn.LeakyReLU(SLOPE)]
        layers += [spectral_norm(nn.Conv2d(channels, 1, 3, padding=1))]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor, estimate: Tensor) -> Tensor:
        """Judge pictures [B, 3, 8h, 8w] in [0, 1], each beside its estimate: [B, 1, h, w]."""
        shown = torch.cat([image, RESIDUAL_GAIN * (image - estimate)], dim=1)
        around = F.avg_pool2d(F.pad(shown, (WINDOW // 2,) * 4, mode="replicate"), WINDOW, stride=1)
        verdict: Tensor = self.layers(shown - around)
        return verdict.float()


def fooling_loss(adversary: Adversary, image: Tensor, estimate: Tensor) -> Tensor:
    """Return how far `adversary` is from taking `image` for clean; it gets no gradient from this."""
    frozen = {name: parameter.detach() for name, parameter in adversary.named_parameters()}
    verdict: Tensor = functional_call(adversary, frozen, (image, estimate))
    return -verdict.mean()


def telling_loss(adversary: Adversary, image: Tensor, target: Tensor, estimate: Tensor) -> Tensor:
    """Return how badly `adversary` tells `image` from `target`; neither picture gets a gradient from this."""
    restored = adversary(image.detach(), estimate)
    clean = adversary(target, estimate)
    return F.relu(1 + restored).mean() + F.relu(1 - clean).mean()
