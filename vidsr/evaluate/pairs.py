"""Methods against a reference, picture by picture and clip by clip.

PAIRS/reference/*      the clean ones: pictures, videos, or folders with the frames of a clip
PAIRS/<method>/*       the same names, restored: one folder a method; a video may have another suffix
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from vidsr.errors import InputError
from vidsr.evaluate.clips import is_picture, read_clip, read_picture
from vidsr.evaluate.image import Pixels, psnr, ssim
from vidsr.evaluate.metric import PictureMetric, Step, StepMetric
from vidsr.evaluate.table import Row, interval

REFERENCE = "reference"

Samples = dict[str, list[float]]
"""By metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Metrics by the name they have in tables; None where the weights are not there."""

    by_name: Mapping[str, PictureMetric | None]
    """Of pictures, and of the frames of clips."""
    steps: Mapping[str, StepMetric | None] = field(default_factory=dict)
    """Of clips only."""


def open_metrics(weights: Path | None) -> Metrics:
    """Return PSNR, SSIM, LPIPS and DISTS, and for clips E_warp, tLPIPS and tOF.

    Args:
        weights: folder of tools/fetch_metric_weights.py; None leaves LPIPS, DISTS and tLPIPS uncomputed.
    """
    # OpenCV is imported only where something is measured.
    from vidsr.evaluate.temporal import flow_difference, reference_warp_error, temporal_lpips, warp_error

    metrics: dict[str, PictureMetric | None] = {
        "PSNR-Y": psnr,
        "SSIM-Y": ssim,
        "LPIPS-Alex": None,
        "DISTS": None,
    }
    steps: dict[str, StepMetric | None] = {
        "E_warp x1000": warp_error,
        "E_warp x1000 of reference": reference_warp_error,
        "tLPIPS x1000": None,
        "tOF": flow_difference,
    }
    if weights is not None:
        # torch is imported only where a network measures.
        from vidsr.evaluate.dists import Dists
        from vidsr.evaluate.networks import as_picture_metric
        from vidsr.models.lpips import Lpips

        lpips = as_picture_metric(Lpips(weights / "lpips_alex.safetensors"))
        metrics["LPIPS-Alex"] = lpips
        metrics["DISTS"] = as_picture_metric(
            Dists(vgg=weights / "vgg16.safetensors", heads=weights / "dists.safetensors")
        )
        steps["tLPIPS x1000"] = temporal_lpips(lpips)
    return Metrics(by_name=metrics, steps=steps)


def evaluate_pairs(folder: Path, metrics: Metrics) -> dict[str, Row]:
    """Measure every method folder below `folder` against its reference.

    Every picture and every clip counts once: a clip's figure is the mean over its frames or steps. The
    metrics of steps are in the rows where there is a clip.

    Raises:
        InputError: there is no reference, something is missing, or sizes or lengths differ; the message
            names it.
    """
    reference = folder / REFERENCE
    references = sorted(path for path in reference.iterdir() if _counts(path)) if reference.is_dir() else []
    methods = (
        sorted(path for path in folder.iterdir() if path.is_dir() and path.name != REFERENCE)
        if folder.is_dir()
        else []
    )
    if not references or not methods:
        msg = f"{folder}: wanted {REFERENCE}/* and a folder of the same pictures or clips for each method"
        raise InputError(msg)
    return {method.name: _measure(method, references, metrics) for method in methods}


def _counts(path: Path) -> bool:
    return not path.name.startswith(".")


def _measure(method: Path, references: list[Path], metrics: Metrics) -> Row:
    values: Samples = {}
    has_clips = False
    for reference in references:
        if is_picture(reference):
            samples = _measure_picture(method / reference.name, reference, metrics)
        else:
            has_clips = True
            samples = _measure_clip(_counterpart(method, reference), reference, metrics)
        for name, figures in samples.items():
            values.setdefault(name, []).append(float(np.mean(figures)))
    names = [*metrics.by_name, *(metrics.steps if has_clips else ())]
    return {name: interval(values[name]) if name in values else None for name in names}


def _measure_picture(path: Path, reference: Path, metrics: Metrics) -> Samples:
    wanted, found = read_picture(reference), read_picture(path)
    _check_sizes(found, wanted, where=str(path))
    return {name: [metric(found, wanted)] for name, metric in metrics.by_name.items() if metric is not None}


def _measure_clip(path: Path, reference: Path, metrics: Metrics) -> Samples:
    """Read both clips side by side, two frames of each at a time."""
    samples: Samples = {}
    last: tuple[Pixels, Pixels] | None = None
    for index, (found, wanted) in enumerate(zip_longest(read_clip(path), read_clip(reference))):
        if found is None or wanted is None:
            short, long = (path, reference) if found is None else (reference, path)
            msg = f"{short}: ends after {index} frames, {long} goes on"
            raise InputError(msg)
        _check_sizes(found, wanted, where=f"{path}: frame {index}")
        figures = [(name, metric(found, wanted)) for name, metric in metrics.by_name.items() if metric]
        if last is not None:
            step = Step(before=last[0], after=found, reference_before=last[1], reference_after=wanted)
            figures += [
                (name, figure)
                for name, metric in metrics.steps.items()
                if metric and (figure := metric(step)) is not None
            ]
        for name, figure in figures:
            samples.setdefault(name, []).append(figure)
        last = (found, wanted)
    return samples


def _counterpart(method: Path, reference: Path) -> Path:
    """Return the clip of `method` that has the name of `reference`, whatever its suffix."""
    exact = method / reference.name
    if exact.exists() or reference.is_dir():
        return exact
    others = sorted(path for path in method.iterdir() if path.stem == reference.stem and not is_picture(path))
    return others[0] if others else exact


def _check_sizes(found: Pixels, wanted: Pixels, *, where: str) -> None:
    if found.shape != wanted.shape:
        msg = f"{where}: is {_size(found)}, its reference {_size(wanted)}"
        raise InputError(msg)


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
