"""FID (Heusel et al. 2017): how far two sets of pictures lie apart in the features of a network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsr.evaluate.clips import read_picture
from vidsr.evaluate.image import Pixels
from vidsr.evaluate.table import Interval, NotComputed

MIN_CROPS = 2000
"""Of fewer, the covariance of 2,048 features cannot be of full rank, and FID is mostly bias."""
_BATCH = 16

Matrix = NDArray[np.float64]
FeaturesOf = Callable[[Sequence[Pixels]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Mean [D] and covariance [D, D] of the features of a set of crops."""

    mean: Matrix
    covariance: Matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class Fid:
    """The distance of two sets of pictures, taken of their crops."""

    features: FeaturesOf
    """Of a batch of crops of one size: [B, D]."""
    crop: int
    """Side of the crops that tile each picture from its top left; what is left over is left out."""

    def statistics(self, pictures: Sequence[Path]) -> Statistics | NotComputed:
        """Return the statistics of the crops of `pictures`, unless there are fewer than 2,000.

        Raises:
            InputError: a picture cannot be read.
        """
        count = sum(1 for _ in self._crops(pictures))
        if count < MIN_CROPS:
            return NotComputed(f"needs {MIN_CROPS:,} crops, got {count:,}")
        return statistics(self.features, self._crops(pictures))

    def _crops(self, pictures: Iterable[Path]) -> Iterator[Pixels]:
        for path in pictures:
            pixels = read_picture(path)
            rows, columns = (side - side % self.crop for side in pixels.shape[:2])
            for top in range(0, rows, self.crop):
                for left in range(0, columns, self.crop):
                    yield pixels[top : top + self.crop, left : left + self.crop]


def distance(found: Statistics | NotComputed, wanted: Statistics | NotComputed) -> Interval | NotComputed:
    """Return what stands in the table: the distance, or why there is none."""
    for side in (found, wanted):
        if isinstance(side, NotComputed):
            return side
    assert isinstance(found, Statistics)
    assert isinstance(wanted, Statistics)
    return Interval(mean=frechet_distance(found, wanted), low=None, high=None)


def statistics(features: FeaturesOf, crops: Iterator[Pixels]) -> Statistics:
    """Return mean and covariance of the features of `crops`; memory does not grow with their number."""
    count, total, products = 0, np.zeros(()), np.zeros(())
    while batch := list(islice(crops, _BATCH)):
        found = features(batch).astype(np.float64)
        count += len(found)
        total = total + found.sum(axis=0)
        products = products + found.T @ found
    mean = total / count
    return Statistics(mean=mean, covariance=(products - count * np.outer(mean, mean)) / (count - 1))


def frechet_distance(one: Statistics, other: Statistics) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson and Landau 1982)."""
    values, vectors = np.linalg.eigh(one.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    # C1 C2 has the eigenvalues of this matrix, which is symmetric and so has real ones.
    mixed = np.linalg.eigvalsh(root @ other.covariance @ root).clip(0)
    apart = float(((one.mean - other.mean) ** 2).sum())
    traces = float(np.trace(one.covariance) + np.trace(other.covariance))
    return apart + traces - 2 * float(np.sqrt(mixed).sum())
