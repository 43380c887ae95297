"""Files with the layout of tools/fetch_tag_weights.py and random content."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vidsr.models import mobilenet
from vidsr.models.mobilenet import Classifier, MobileNetV2, Origin

ORIGIN = Origin(weights="random", weights_sha256="0" * 64, labels="made up", licence="none")


def random_network(num_labels: int, *, seed: int = 0) -> MobileNetV2:
    """A network whose layers let pictures through: what it says depends on what it is shown."""
    generator = torch.Generator().manual_seed(seed)
    network = MobileNetV2(num_labels)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            inputs = module.weight[0].numel()
            nn.init.normal_(module.weight, std=(2 / inputs) ** 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 1.5, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
            nn.init.zeros_(module.bias)
    return network.eval()


def write_classifier(path: Path, labels: Sequence[str] = ("cat", "dog", "snow"), *, seed: int = 0) -> Path:
    """Write a random classifier of `labels` and return `path`."""
    network = random_network(len(labels), seed=seed)
    mobilenet.save(path, Classifier(network=network, labels=tuple(labels)), ORIGIN)
    return path
