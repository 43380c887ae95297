"""Files with the layout of tools/fetch_metric_weights.py and random content."""

from pathlib import Path

import torch
from safetensors.torch import save_file

ALEX = ((0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3))
"""Index, channels out and in, and side of AlexNet's convolutions."""
VGG = (
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)),
    *((17, 256, 512), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
"""Index, channels in and out of VGG16's."""
DISTS_CHANNELS = 3 + 64 + 128 + 256 + 512 + 512


def write_random_weights(folder: Path) -> Path:
    """Write all four files and return `folder`."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * 0.1

    alex = {}
    for level, (index, out, into, side) in enumerate(ALEX):
        alex[f"features.{index}.weight"] = random(out, into, side, side) - 0.05
        alex[f"features.{index}.bias"] = random(out)
        alex[f"lin{level}.weight"] = random(1, out, 1, 1)
    vgg = {}
    for index, into, out in VGG:
        vgg[f"features.{index}.weight"] = random(out, into, 3, 3) - 0.05
        vgg[f"features.{index}.bias"] = random(out)
    heads = {name: random(1, DISTS_CHANNELS, 1, 1) for name in ("alpha", "beta")}
    # Of good photographs all features are alike here, and vary alike.
    niqe = {"mu": torch.full((1, 36), 0.5), "cov": torch.eye(36)}
    for name, tensors in (("lpips_alex", alex), ("vgg16", vgg), ("dists", heads), ("niqe", niqe)):
        save_file(tensors, folder / f"{name}.safetensors")
    return folder
