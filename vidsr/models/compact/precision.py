"""Networks in another number format."""

import torch
from torch import nn


def cast_parameters(network: nn.Module, dtype: torch.dtype) -> None:
    """Bring what was learnt to `dtype`; constants such as transforms keep all their digits."""
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
