"""Weights that are a formula of their name, so that reference data needs no weights beside it.

tests/golden/README.md says where the reference data comes from.
"""

import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def uniform(name: str, shape: Iterable[int]) -> NDArray[np.float64]:
    """Return numbers in [-1, 1) that depend on the name alone."""
    shape = tuple(shape)
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(zlib.crc32(name.encode()))
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return ((x >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1).reshape(shape)


def parameter(name: str, shape: Iterable[int]) -> Tensor:
    """Return the tensor of a state-dict key, float64: nothing in it is zero, so that a wrong wire shows."""
    shape = tuple(shape)
    u = uniform(name, shape)
    if len(shape) == 1:
        return torch.from_numpy(1 + 0.3 * u if name.endswith("weight") else 0.2 * u)
    return torch.from_numpy(u * np.sqrt(3 / (np.prod(shape) / shape[0])))


def filled(shapes: Mapping[str, Iterable[int]], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return a state dict."""
    return {name: parameter(name, shape).to(dtype) for name, shape in shapes.items()}


def fill(network: nn.Module, dtype: torch.dtype = torch.float64) -> None:
    """Give every parameter of a network its formula's value."""
    network.to(dtype)
    state = network.state_dict()
    network.load_state_dict(filled({name: tensor.shape for name, tensor in state.items()}, dtype))
