"""Figures with their intervals, as Markdown, CSV or JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NOT_COMPUTED = "not computed"
RESAMPLES = 2000
CONFIDENCE = 0.95
_PARTS = ("mean", "low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over pictures with the interval that bootstrap over pictures gives it (Efron 1979)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the mean and the interval, four digits each."""
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


Row = Mapping[str, Interval | None]
"""A method's figures by metric; None where the weights of the metric were not there."""


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of `values` with its 95 % percentile bootstrap interval; the same each time."""
    samples = np.asarray(values, dtype=np.float64)
    if not np.isfinite(samples).all():
        # The PSNR of equal pictures has no bound, and then neither has a mean that it is part of.
        mean = float(samples.mean())
        return Interval(mean=mean, low=mean, high=mean)
    draws = np.random.default_rng(0).integers(len(samples), size=(RESAMPLES, len(samples)))
    means = samples[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(mean=float(samples.mean()), low=float(low), high=float(high))


def to_markdown(rows: Mapping[str, Row]) -> str:
    """Return a table with one line a method."""
    names = _metrics(rows)
    lines = [f"| method | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method, row in rows.items():
        cells = [NOT_COMPUTED if row[name] is None else str(row[name]) for name in names]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def to_csv(rows: Mapping[str, Row]) -> str:
    """Return one line for each method and metric: method, metric, mean, low, high."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "metric", "mean", "low", "high"])
    for method, row in rows.items():
        for name, value in row.items():
            numbers = [NOT_COMPUTED, "", ""] if value is None else [value.mean, value.low, value.high]
            writer.writerow([method, name, *numbers])
    return out.getvalue()


def to_json(rows: Mapping[str, Row]) -> str:
    """Return the figures by method and metric; null where not computed, "inf" where there is no bound."""
    tree = {
        method: {
            name: None if value is None else {key: _json_number(getattr(value, key)) for key in _PARTS}
            for name, value in row.items()
        }
        for method, row in rows.items()
    }
    return json.dumps(tree, indent=2) + "\n"


def _json_number(value: float) -> float | str:
    # JSON has no infinity; Python would write one that other readers refuse.
    return value if math.isfinite(value) else str(value)


def _metrics(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows.values() for name in row))
