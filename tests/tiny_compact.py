"""Small real networks of the embedded model."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from vidsr.models.compact.unet import UNetShape

Network = TypeVar("Network", bound=nn.Module)


def talkative(kind: Callable[[UNetShape], Network], shape: UNetShape) -> Network:
    """Return a network of `shape`, the same one each time, that has something to lose.

    A new network says nothing; of this one every parameter counts, FiLM's gains and shifts included.
    """
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = kind(shape)
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return network
