"""The metrics of a comparison, where many methods are judged beside one reference."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vidsr.evaluate.dists import Dists
from vidsr.evaluate.image import Pixels
from vidsr.evaluate.networks import to_image
from vidsr.evaluate.suite import DISTS, DISTS_FILE, VGG_FILE, Metrics, open_metrics


def open_judges(weights: Path | None) -> Metrics:
    """Return what vidsr evaluates with, DISTS by half the work."""
    metrics = open_metrics(weights)
    if weights is None or metrics.by_name[DISTS] is None:
        return metrics
    network = Dists(vgg=weights / VGG_FILE, heads=weights / DISTS_FILE)
    return replace(metrics, by_name={**metrics.by_name, DISTS: DistsBesideOne(network)})


class DistsBesideOne:
    """DISTS that keeps the features of the last reference: they cost as much as those of what is judged."""

    def __init__(self, network: Dists) -> None:
        self._network = network.eval()
        self._reference: Pixels | None = None
        self._wanted: list[Tensor] = []

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, reference: Pixels) -> float:
        """Return the distance. The same array as the last time must hold the same pixels."""
        if reference is not self._reference:
            self._reference, self._wanted = reference, self._network.features(to_image(reference))
        return float(self._network.distance(self._network.features(to_image(pixels)), self._wanted)[0])
