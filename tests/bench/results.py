"""The figures of a comparison: by sample, as means with intervals, and as differences between two methods."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.methods import Kind, Method
from tests.bench.store import Made, Result
from vidsr.evaluate.suite import DISTS, LPIPS, NIQE, TLPIPS, TOF, WARP, WARP_OF_REFERENCE
from vidsr.evaluate.table import Interval, NotComputed, Row, interval

PSNR, SSIM = "PSNR-Y", "SSIM-Y"
WARP_RATIO = "E_warp / clean's"
WARP_BORDERS = "E_warp x1000 across borders"
STEPS = "steps"
QUALITY = (PSNR, SSIM, LPIPS, DISTS, NIQE)
STEADINESS = (WARP, WARP_OF_REFERENCE, WARP_RATIO, WARP_BORDERS, TLPIPS, TOF, STEPS)
COMPARED = {"pictures": QUALITY, "clips": (*QUALITY, WARP, TLPIPS, TOF)}
"""What differences between two methods are shown of."""
HIGHER_IS_BETTER = frozenset({PSNR, SSIM})
NO_FILES = NotComputed("not in --peers")
NO_WEIGHTS = NotComputed("no weights")
NOTHING = NotComputed("nothing to measure")

Cost = Literal["seconds", "gflop", "peak_mebibytes"]
COSTS: dict[Cost, str] = {
    "seconds": "median s a frame",
    "gflop": "GFLOP a frame",
    "peak_mebibytes": "peak MiB",
}
Figures = Mapping[str, float | None]
"""Of one sample, by metric."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """What all methods made of one kind of samples at one degradation."""

    degradation: str
    kind: Kind
    methods: Sequence[Method]
    samples: list[str] = field(default_factory=list)
    """Their names."""
    sizes: list[str] = field(default_factory=list)
    """Of their degraded frames: 128x128."""
    figures: dict[str, list[Figures]] = field(default_factory=dict)
    """By method, in the order of the samples."""
    made: dict[str, list[Made]] = field(default_factory=dict)

    def rows(self) -> dict[str, Row]:
        """Return the table: means with intervals over samples."""
        return {method.name: self._row(method) for method in self.methods}

    def _row(self, method: Method) -> Row:
        names = QUALITY if self.kind == "pictures" else (*QUALITY, *STEADINESS)
        if method.restore is None:
            return dict.fromkeys(names, NO_FILES)
        return {name: mean(self.values(method.name, name)) for name in names}

    def values(self, method: str, metric: str) -> list[float | None] | None:
        """Return a method's figures by sample; None where there is no such method or metric."""
        rows = self.figures.get(method, [])
        return [row[metric] for row in rows] if rows and metric in rows[0] else None

    def differences(self, method: str, other: str, metric: str) -> list[float] | None:
        """Return by how much `method` lies above `other`, sample by sample."""
        found, base = self.values(method, metric), self.values(other, metric)
        if found is None or base is None:
            return None
        pairs = zip(found, base, strict=True)
        return [one - two for one, two in pairs if one is not None and two is not None]

    def rows_beside(self, other: str) -> dict[str, Row]:
        """Return the table of differences to `other`, with intervals over pairs."""
        return {
            method.name: {
                name: mean(found)
                for name in COMPARED[self.kind]
                if (found := self.differences(method.name, other, name)) is not None
            }
            for method in self.methods
            if {method.name, other} <= self.figures.keys() and method.name != other
        }


def cost_of(blocks: Sequence[Block], method: str, cost: Cost) -> float | None:
    """Return the median of what a frame costs `method` in `blocks`; None where that was not taken."""
    costs = [getattr(made, cost) for block in blocks for made in block.made.get(method, [])]
    found = [value for value in costs if value is not None]
    return statistics.median(found) if found else None


def mean(values: Sequence[float | None] | None) -> Interval | NotComputed:
    """Return the mean of what there is, with its interval."""
    if values is None:
        return NO_WEIGHTS
    found = [value for value in values if value is not None]
    return interval(found) if found else NOTHING


def of_sample(result: Result, *, borders: Sequence[int]) -> Figures:
    """Return the means over frames or steps; `borders` are the frames that a part begins with."""
    found = result.figures
    figures = {name: _mean(values) for name, values in found.items()}
    if WARP in found:
        # The step to frame i has the index i - 1.
        figures[WARP_BORDERS] = _mean([found[WARP][frame - 1] for frame in borders])
        own, clean = figures[WARP], figures[WARP_OF_REFERENCE]
        figures[WARP_RATIO] = own / clean if own is not None and clean else None
        figures[STEPS] = result.made.steps
    return figures


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None
