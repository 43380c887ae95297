"""The average of the trained weights over the steps, which is what is exported."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """An exponential average of parameters, beside them on their device."""

    def __init__(self, trained: Mapping[str, nn.Parameter], *, decay: float) -> None:
        """Begin at the parameters as they are."""
        self._trained = trained
        self._decay = decay
        self.tensors: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in trained.items()
        }
        """By the names of the parameters."""

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the parameters after `step` steps; at first with a short memory."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._trained.items():
            self.tensors[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` once held."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the networks the average for a while; no memory is needed for that."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._trained.items():
            parameter.data, self.tensors[name] = self.tensors[name], parameter.data
