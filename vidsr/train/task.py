"""What a training run trains: the estimate or the denoiser."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from vidsr.models.compact import text
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import Priors
from vidsr.models.compact.weights import CompactModel, WeightsInfo
from vidsr.train.data import Batch, SampleMaker

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Distance of two pictures [B, 3, H, W] in [0, 1], per picture."""


class Losses(NamedTuple):
    """What a batch says."""

    total: Tensor
    parts: Mapping[str, Tensor]
    """By name, before their weights: for the log."""


class Task(Protocol):
    """Networks and their losses; the loop knows neither."""

    @property
    def network(self) -> nn.Module:
        """What is averaged over steps and shipped."""
        ...

    @property
    def helpers(self) -> nn.Module:
        """What is trained beside it and not shipped."""
        ...

    def prepare(self, maker: SampleMaker) -> None:
        """Measure what must be known before the first step of a run."""
        ...

    def losses(self, batch: Batch, step: int) -> Losses:
        """Run the network on a batch."""
        ...

    def validate(self, average: nn.Module, maker: SampleMaker) -> dict[str, float]:
        """Measure the averaged network on samples that are never trained on."""
        ...

    def export(self, average: nn.Module, *, steps: int) -> tuple[CompactModel, WeightsInfo]:
        """Return the model as the product reads it."""
        ...


def read_priors(network: EstimateNet, batch: Batch) -> Priors:
    """Encode the texts of a batch."""
    device = str(batch.lr.device)
    return network.read(tokenize(batch.high_level, device), tokenize(batch.low_level, device))


def tokenize(texts: list[str], device: str) -> tuple[Tensor, Tensor]:
    """Return ids and mask of `texts` on `device`."""
    ids, mask = text.tokenize(texts)
    return ids.to(device), mask.to(device)
