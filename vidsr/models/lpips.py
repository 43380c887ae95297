"""LPIPS with AlexNet: a distance that training minimises and evaluation reports."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.files import read_tensors

UNIT_EPSILON = 1e-10
# Of the [-1, 1] picture, as LPIPS v0.1 has them.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# AlexNet by torchvision's layer indices: index, stride, padding; a 3x3 maximum of stride 2 precedes 3 and 6.
_CONVOLUTIONS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
_POOLED_BEFORE = (3, 6)


class Lpips(nn.Module):
    """Distance of two pictures as LPIPS v0.1 with AlexNet sees it (Zhang et al. 2018); frozen.

    Args:
        weights: the file of tools/fetch_metric_weights.py, lpips_alex.safetensors.

    Raises:
        MissingWeightsError, CheckpointError: the file is not there, or is another.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        names = [f"features.{index}.{part}" for index, _, _ in _CONVOLUTIONS for part in ("weight", "bias")]
        heads = [f"lin{level}.weight" for level in range(len(_CONVOLUTIONS))]
        for name, tensor in read_tensors(weights, names + heads).items():
            self.register_buffer(name.replace(".", "_"), tensor, persistent=False)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Return the distance of each pair of pictures [B, 3, H, W], RGB in [0, 1]: [B]."""
        total = torch.zeros(image.shape[0], device=image.device)
        levels = zip(self._features(image), self._features(target), strict=True)
        for level, (mine, wanted) in enumerate(levels):
            difference = (_unit(mine.float()) - _unit(wanted.float())) ** 2
            total = total + F.conv2d(difference, self.get_buffer(f"lin{level}_weight")).mean((1, 2, 3))
        return total

    def _features(self, image: Tensor) -> list[Tensor]:
        features = (image * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        levels = []
        for index, stride, padding in _CONVOLUTIONS:
            if index in _POOLED_BEFORE:
                features = F.max_pool2d(features, 3, stride=2)
            weight, bias = (self.get_buffer(f"features_{index}_{part}") for part in ("weight", "bias"))
            features = F.relu(F.conv2d(features, weight, bias, stride=stride, padding=padding))
            levels.append(features)
        return levels


def _unit(features: Tensor) -> Tensor:
    # The root's slope is infinite at zero, where dead features lie: the constant belongs inside it.
    length = torch.sqrt((features**2).sum(1, keepdim=True) + UNIT_EPSILON**2)
    return features / (length + UNIT_EPSILON)
