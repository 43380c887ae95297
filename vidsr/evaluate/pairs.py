"""Methods against a reference, picture by picture and clip by clip.

PAIRS/reference/*      the clean ones: pictures, videos, or folders with the frames of a clip
PAIRS/<method>/*       the same names, restored: one folder a method; a video may have another suffix

Where there is no folder `reference`, the metrics that need none are computed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from vidsr.errors import InputError
from vidsr.evaluate.clips import is_picture, read_clip, read_picture
from vidsr.evaluate.fid import Statistics, distance
from vidsr.evaluate.image import Pixels
from vidsr.evaluate.metric import Step
from vidsr.evaluate.suite import Metrics
from vidsr.evaluate.table import Interval, NotComputed, Row, interval

REFERENCE = "reference"
NO_REFERENCE = NotComputed(f"needs a folder {REFERENCE}")
NOT_INSTALLED = NotComputed("not installed")
"""Weights, a network's file or the program: the metric's source says what it needs."""
NOTHING = NotComputed("nothing to measure")

Samples = dict[str, list[float]]
"""By metric."""
_Frames = tuple[Pixels, Pixels | None]
"""Restored, and clean where there is a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One picture or clip of a method."""

    path: Path
    reference: Path | None

    @property
    def is_picture(self) -> bool:
        return is_picture(self.path if self.reference is None else self.reference)


def evaluate_pairs(folder: Path, metrics: Metrics) -> dict[str, Row]:
    """Measure every method folder below `folder`, against its reference where there is one.

    Every picture and every clip counts once: a clip's figure is the mean over its frames or steps. The
    metrics of steps are in the rows where there is a clip. FID is of the pictures alone.

    Raises:
        InputError: there is nothing to measure, something is missing, or sizes or lengths differ; the message
            names it.
    """
    references = _files(folder / REFERENCE)
    methods = (
        sorted(path for path in folder.iterdir() if path.is_dir() and path.name != REFERENCE)
        if folder.is_dir()
        else []
    )
    if not methods or ((folder / REFERENCE).exists() and not references):
        msg = f"{folder}: wanted {REFERENCE}/* and a folder of the same pictures or clips for each method"
        raise InputError(msg)
    entries = {method.name: _entries(method, references) for method in methods}
    rows = {method: _measure(found, metrics) for method, found in entries.items()}
    distances = _distances(entries, references, metrics)
    return {method: _ordered(row | distances[method], metrics) for method, row in rows.items()}


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _entries(method: Path, references: Sequence[Path]) -> list[_Entry]:
    if references:
        return [_Entry(path=_counterpart(method, path), reference=path) for path in references]
    if files := _files(method):
        return [_Entry(path=path, reference=None) for path in files]
    msg = f"{method}: holds nothing to measure"
    raise InputError(msg)


def _measure(entries: Sequence[_Entry], metrics: Metrics) -> dict[str, Interval | NotComputed]:
    values: Samples = {}
    for entry in entries:
        for name, figures in _samples(entry, metrics).items():
            values.setdefault(name, []).append(float(np.mean(figures)))
    has_reference = entries[0].reference is not None
    has_clips = any(not entry.is_picture for entry in entries)
    row: dict[str, Interval | NotComputed] = {}
    for group, needs_reference, is_of_clips in (
        (metrics.by_name, True, False),
        (metrics.clips, True, False),
        (metrics.alone, False, False),
        (metrics.steps, True, True),
        (metrics.steps_alone, False, True),
    ):
        for name, metric in group.items():
            if is_of_clips and not has_clips:
                continue
            if metric is None:
                row[name] = NOT_INSTALLED
            elif needs_reference and not has_reference:
                row[name] = NO_REFERENCE
            else:
                row[name] = interval(values[name]) if name in values else NOTHING
    return row


def _samples(entry: _Entry, metrics: Metrics) -> Samples:
    """Measure frame by frame, two frames of each at a time; a picture is a clip of one frame."""
    samples: Samples = {}
    for name, figure in _figures(entry, metrics):
        if figure is not None:
            samples.setdefault(name, []).append(figure)
    return samples


def _figures(entry: _Entry, metrics: Metrics) -> Iterator[tuple[str, float | None]]:
    last: _Frames | None = None
    for frames in _frames(entry):
        yield from _frame_figures(*frames, metrics)
        if last is not None:
            yield from _step_figures(last, frames, metrics)
        last = frames
    if entry.reference is None:
        return
    for name, metric in metrics.clips.items():
        if metric is not None:
            yield name, metric((found, wanted) for found, wanted in _frames(entry) if wanted is not None)


def _frame_figures(
    found: Pixels, wanted: Pixels | None, metrics: Metrics
) -> Iterator[tuple[str, float | None]]:
    for name, score in metrics.alone.items():
        if score is not None:
            yield name, score(found)
    for name, metric in metrics.by_name.items():
        if metric is not None and wanted is not None:
            yield name, metric(found, wanted)


def _step_figures(before: _Frames, after: _Frames, metrics: Metrics) -> Iterator[tuple[str, float | None]]:
    for name, score in metrics.steps_alone.items():
        if score is not None:
            yield name, score(before[0], after[0])
    if before[1] is None or after[1] is None:
        return
    step = Step(before=before[0], after=after[0], reference_before=before[1], reference_after=after[1])
    for name, metric in metrics.steps.items():
        if metric is not None:
            yield name, metric(step)


def _frames(entry: _Entry) -> Iterator[_Frames]:
    """Read a clip and its reference side by side; of a picture, the one frame."""
    if entry.reference is None:
        frames = iter([read_picture(entry.path)]) if entry.is_picture else read_clip(entry.path)
        yield from ((found, None) for found in frames)
        return
    if entry.is_picture:
        wanted, found = read_picture(entry.reference), read_picture(entry.path)
        _check_sizes(found, wanted, where=str(entry.path))
        yield found, wanted
        return
    pairs = zip_longest(read_clip(entry.path), read_clip(entry.reference))
    for index, (restored, clean) in enumerate(pairs):
        if restored is None or clean is None:
            short, long = (entry.path, entry.reference) if restored is None else (entry.reference, entry.path)
            msg = f"{short}: ends after {index} frames, {long} goes on"
            raise InputError(msg)
        _check_sizes(restored, clean, where=f"{entry.path}: frame {index}")
        yield restored, clean


def _distances(
    entries: dict[str, list[_Entry]], references: Sequence[Path], metrics: Metrics
) -> dict[str, dict[str, Interval | NotComputed]]:
    """Return for each method the metrics of whole sets; the reference is gone through once."""
    rows: dict[str, dict[str, Interval | NotComputed]] = {method: {} for method in entries}
    for name, fid in metrics.sets.items():
        wanted: Statistics | NotComputed = NO_REFERENCE if fid is not None else NOT_INSTALLED
        if fid is not None and references:
            wanted = fid.statistics([path for path in references if is_picture(path)])
        for method, found in entries.items():
            if fid is None or isinstance(wanted, NotComputed):
                rows[method][name] = distance(wanted, wanted)
            else:
                paths = [entry.path for entry in found if entry.is_picture]
                rows[method][name] = distance(fid.statistics(paths), wanted)
    return rows


def _ordered(row: dict[str, Interval | NotComputed], metrics: Metrics) -> Row:
    groups = (
        metrics.by_name,
        metrics.clips,
        metrics.alone,
        metrics.sets,
        metrics.steps,
        metrics.steps_alone,
    )
    return {name: row[name] for group in groups for name in group if name in row}


def _counterpart(method: Path, reference: Path) -> Path:
    """Return the clip of `method` that has the name of `reference`, whatever its suffix."""
    exact = method / reference.name
    if exact.exists() or reference.is_dir() or is_picture(reference):
        return exact
    others = sorted(path for path in method.iterdir() if path.stem == reference.stem and not is_picture(path))
    return others[0] if others else exact


def _check_sizes(found: Pixels, wanted: Pixels, *, where: str) -> None:
    if found.shape != wanted.shape:
        msg = f"{where}: is {_size(found)}, its reference {_size(wanted)}"
        raise InputError(msg)


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
