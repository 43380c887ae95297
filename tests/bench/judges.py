"""The metrics of a comparison, where many methods are judged beside one reference."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vidsr.evaluate.dists import Dists
from vidsr.evaluate.image import Pixels
from vidsr.evaluate.networks import to_image
from vidsr.evaluate.suite import DISTS, DISTS_FILE, VGG_FILE, Metrics, open_metrics
from vidsr.models.device import has_fast_bfloat16


def open_judges(weights: Path | None) -> Metrics:
    """Return what vidsr evaluates with, DISTS by half the work, and in bfloat16 where that is fast.

    DISTS is most of a comparison's work. On six pictures, 0.21 to 0.38, bfloat16 gave the same to 2.3e-4.
    """
    metrics = open_metrics(weights)
    if weights is None or metrics.by_name[DISTS] is None:
        return metrics
    network = Dists(vgg=weights / VGG_FILE, heads=weights / DISTS_FILE)
    is_short = has_fast_bfloat16("cpu")
    sources = dict(metrics.sources)
    if is_short:
        sources[DISTS] += ", in bfloat16"
    judge = DistsBesideOne(network, is_short=is_short)
    return replace(metrics, by_name={**metrics.by_name, DISTS: judge}, sources=sources)


class DistsBesideOne:
    """DISTS that keeps the features of the last reference: they cost as much as those of what is judged."""

    def __init__(self, network: Dists, *, is_short: bool) -> None:
        self._network = network.eval()
        self._is_short = is_short
        self._reference: Pixels | None = None
        self._wanted: list[Tensor] = []

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, reference: Pixels) -> float:
        """Return the distance. The same array as the last time must hold the same pixels."""
        if reference is not self._reference:
            self._reference, self._wanted = reference, self._features(reference)
        return float(self._network.distance(self._features(pixels), self._wanted)[0])

    def _features(self, pixels: Pixels) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_short):
            levels = self._network.features(to_image(pixels))
        return [level.float() for level in levels]
