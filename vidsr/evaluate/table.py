"""Figures with their intervals, as Markdown, CSV or JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
NO_SOURCES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over pictures with the interval that bootstrap over pictures gives it (Efron 1979)."""

    mean: float
    low: float | None
    high: float | None
    """None for both where the figure is of all pictures together, and no mean."""

    def __str__(self) -> str:
        """Return the mean and the interval, four digits each."""
        if self.low is None or self.high is None:
            return f"{self.mean:.4f}"
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class NotComputed:
    """Stands where there is no number."""

    reason: str

    def __str__(self) -> str:
        """Return what a table says in place of a number."""
        return f"not computed ({self.reason})"


Row = Mapping[str, Interval | NotComputed]
"""A method's figures by metric."""


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


def to_markdown(rows: Mapping[str, Row], sources: Mapping[str, str] = NO_SOURCES) -> str:
    """Return a table with one line a method, and below it, where known, what computed each metric."""
    names = _metrics(rows)
    lines = [f"| method | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for method, row in rows.items():
        lines.append(f"| {method} | {' | '.join(str(row[name]) for name in names)} |")
    if stated := [name for name in names if name in sources]:
        lines += ["", "| metric | computed by |", "|---|---|"]
        lines += [f"| {name} | {sources[name]} |" for name in stated]
    return "\n".join(lines) + "\n"


def to_csv(rows: Mapping[str, Row], sources: Mapping[str, str] = NO_SOURCES) -> str:
    """Return one line for each method and metric: method, metric, mean, low, high, computed_by."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "metric", "mean", "low", "high", "computed_by"])
    for method, row in rows.items():
        for name, value in row.items():
            numbers = (
                [str(value), "", ""]
                if isinstance(value, NotComputed)
                else [value.mean, *("" if end is None else end for end in (value.low, value.high))]
            )
            writer.writerow([method, name, *numbers, sources.get(name, "")])
    return out.getvalue()


def to_json(rows: Mapping[str, Row], sources: Mapping[str, str] = NO_SOURCES) -> str:
    """Return the figures by method and metric, and what computed each.

    Where there is no number, "not_computed" says why; where a number has no bound, it is "inf".
    """
    methods = {
        method: {name: _json_value(value) for name, value in row.items()} for method, row in rows.items()
    }
    return json.dumps({"methods": methods, "computed_by": dict(sources)}, indent=2) + "\n"


def _json_value(value: Interval | NotComputed) -> dict[str, Any]:
    if isinstance(value, NotComputed):
        return {"not_computed": value.reason}
    return {
        "mean": _json_number(value.mean),
        "low": _json_number(value.low),
        "high": _json_number(value.high),
    }


def _json_number(value: float | None) -> float | str | None:
    # JSON has no infinity; Python would write one that other readers refuse.
    return value if value is None or math.isfinite(value) else str(value)


def _metrics(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows.values() for name in row))
