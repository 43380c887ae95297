"""Random draws of one sample: everything about it follows from one seed."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Draw:
    """A generator of its own for each sample, so that neither batch nor worker changes what is drawn."""

    def __init__(self, *seed: int) -> None:
        mixed = 0
        for number in seed:
            # SplitMix64's multiplier: nearby seeds give unrelated streams.
            mixed = ((mixed ^ number) * 0x9E3779B97F4A7C15 + 0x7F4A7C15) % 2**63
        self.generator = torch.Generator("cpu").manual_seed(mixed)

    @property
    def state(self) -> Tensor:
        """Where the stream of draws is; set it to draw the same again."""
        return self.generator.get_state()

    @state.setter
    def state(self, state: Tensor) -> None:
        self.generator.set_state(state)

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def integer(self, stop: int) -> int:
        """Return a whole number in [0, stop)."""
        return int(torch.randint(stop, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self.uniform(0, 1) < probability

    def pick(self, probabilities: Sequence[float]) -> int:
        """Return an index, each with its probability."""
        return int(torch.multinomial(torch.tensor(probabilities), 1, generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal noise of `shape`."""
        return torch.randn(shape, generator=self.generator)

    def poisson(self, rate: Tensor) -> Tensor:
        """Return Poisson counts with the rates given."""
        return torch.poisson(rate, generator=self.generator)
