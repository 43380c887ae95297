"""DISTS (Ding et al. 2020): structure and texture similarity in the features of VGG16."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.files import read_tensors

C1 = C2 = 1e-6
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
# torchvision's layer indices of VGG16's convolutions by stage; a pooling precedes each but the first.
_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_CHANNELS = [3, 64, 128, 256, 512, 512]


class Dists(nn.Module):
    """Distance of two pictures, 0 for equal ones. Call it with [B, 3, H, W], RGB in [0, 1]; it returns [B].

    Args:
        vgg: vgg16.safetensors of tools/fetch_metric_weights.py.
        heads: dists.safetensors of the same.

    Raises:
        MissingWeightsError, CheckpointError: a file is not there, or is another.
    """

    def __init__(self, *, vgg: Path, heads: Path) -> None:
        super().__init__()
        names = [
            f"features.{index}.{part}" for stage in _STAGES for index in stage for part in ("weight", "bias")
        ]
        for name, tensor in read_tensors(vgg, names).items():
            self.register_buffer(name.replace(".", "_"), tensor, persistent=False)
        for name, tensor in read_tensors(heads, ["alpha", "beta"]).items():
            self.register_buffer(name, tensor, persistent=False)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)
        hann = torch.hann_window(5, periodic=False)[1:-1]
        window = torch.outer(hann, hann)
        self.register_buffer("window", (window / window.sum())[None, None], persistent=False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Return the distance of each pair."""
        return self.distance(self.features(image), self.features(reference))

    def distance(self, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Return the distance of each pair of pictures with these features."""
        alpha, beta = self.get_buffer("alpha"), self.get_buffer("beta")
        total = alpha.sum() + beta.sum()
        levels = zip(
            found,
            wanted,
            torch.split(alpha / total, _CHANNELS, dim=1),
            torch.split(beta / total, _CHANNELS, dim=1),
            strict=True,
        )
        similarity = torch.zeros(found[0].shape[0], device=found[0].device)
        for x, y, texture_weight, structure_weight in levels:
            mean_x, mean_y = x.mean((2, 3), keepdim=True), y.mean((2, 3), keepdim=True)
            var_x, var_y = ((x - mean_x) ** 2).mean((2, 3), True), ((y - mean_y) ** 2).mean((2, 3), True)
            covariance = (x * y).mean((2, 3), keepdim=True) - mean_x * mean_y
            texture = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
            structure = (2 * covariance + C2) / (var_x + var_y + C2)
            similarity = similarity + (texture_weight * texture + structure_weight * structure).sum((1, 2, 3))
        return 1 - similarity

    def features(self, image: Tensor) -> list[Tensor]:
        """Return what pictures are compared by: themselves, and each stage of the network."""
        levels = [image]
        features = (image - self.get_buffer("mean")) / self.get_buffer("std")
        for number, stage in enumerate(_STAGES):
            if number:
                features = self._pool(features)
            for index in stage:
                weight, bias = (self.get_buffer(f"features_{index}_{part}") for part in ("weight", "bias"))
                features = F.relu(F.conv2d(features, weight, bias, padding=1))
            levels.append(features)
        return levels

    def _pool(self, features: Tensor) -> Tensor:
        """Halve by the root of the Hann-weighted mean square: DISTS's pooling, free of aliasing."""
        channels = features.shape[1]
        window = self.get_buffer("window").expand(channels, 1, 3, 3)
        return torch.sqrt(F.conv2d(features**2, window, stride=2, padding=1, groups=channels) + 1e-12)
