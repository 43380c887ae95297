"""How good single pictures become: every method on the same degraded pixels, in one run.

    python -m tests.bench.quality --clean HELDOUT --metrics METRICS --output DIR [--peers PEERS] [--every 5]

HELDOUT is made by tools/collect_heldout.py, METRICS by tools/fetch_metric_weights.py, PEERS by
tools/fetch_peers.py. Each picture is reduced to a quarter and degraded, as follows from --seed and its place
in the list, then enlarged by each method. Figures are of `vidsr evaluate`. They are kept in DIR/figures.json,
by the digests of both pictures, so that another method costs only its own; so are the pictures, for looking.
"""

import argparse
import functools
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from tests.bench.end_to_end import machine
from tests.bench.peers import open_peer
from tests.bench.threads import one_thread
from vidsr.degradation_words import describe
from vidsr.errors import InputError
from vidsr.evaluate.metric import PictureMetric
from vidsr.evaluate.suite import open_metrics
from vidsr.evaluate.table import Row, interval, to_markdown
from vidsr.models.compact import weights
from vidsr.models.compact.estimate import SCALE
from vidsr.models.device import best_dtype
from vidsr.restore.compact import CompactRestorer, CompactSettings, shipped_weights
from vidsr.restore.picture import measure
from vidsr.train.degradation import DegradationSet, degrade
from vidsr.train.draw import Draw
from vidsr.train.settings import read_degradation
from vidsr.types import Prior

Pixels = NDArray[np.uint8]
"""RGB [H, W, 3]."""

DEGRADATIONS = Path(__file__).resolve().parents[2] / "configs" / "train" / "degradation"
PEERS = ("realesr-animevideov3-x4", "realesrgan-x4plus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """A degraded picture, and the words for what was done to it."""

    lr: Pixels
    truth: str


Method = Callable[[Degraded], Pixels]


def main() -> None:
    """Read the command line, restore, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True, help="folder of PNG pictures")
    parser.add_argument("--metrics", type=Path, default=None)
    parser.add_argument("--peers", type=Path, default=None)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--weights", type=Path, default=None, help="of xpsr-s; those in the package otherwise"
    )
    parser.add_argument("--degradation", default="light", choices=("light", "full", "video", "bicubic"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--methods", default="", help="names of methods, with commas between; all otherwise")
    options = parser.parse_args()
    path = options.weights or shipped_weights().path
    print(json.dumps({**machine(), "weights": weights.digest(path)[:12], "seed": options.seed}, indent=2))
    found = methods(path, peers=options.peers)
    if options.methods:
        found = {name: found[name] for name in options.methods.split(",")}
    settings = read_degradation(DEGRADATIONS / f"{options.degradation}.yaml")
    figures = Figures(options.output / "figures.json", metrics_of(options.metrics))
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in found}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for file, clean, degraded in pictures(options.clean, settings, seed=options.seed, every=options.every):
        for name, method in found.items():
            started = time.perf_counter()
            made = method(degraded)
            seconds[name].append(time.perf_counter() - started)
            save(made, options.output / name / file)
            for metric, value in figures.of(made, clean).items():
                samples[name].setdefault(metric, []).append(value)
        save(clean, options.output / "reference" / file)
        figures.write()
    rows: dict[str, Row] = {
        name: {metric: interval(values) for metric, values in by_metric.items()}
        for name, by_metric in samples.items()
    }
    print(to_markdown(rows))
    print(costs(found, seconds, degraded))


def pictures(
    folder: Path, settings: DegradationSet, *, seed: int, every: int = 1
) -> Iterator[tuple[str, Pixels, Degraded]]:
    """Yield every n-th PNG of `folder`: its file name, the clean picture and the degraded one.

    Raises:
        InputError: there is none.
    """
    files = sorted(folder.glob("*.png"))
    if not files:
        msg = f"{folder}: holds no PNG pictures; make it with tools/collect_heldout.py"
        raise InputError(msg)
    for number in range(0, len(files), every):
        clean = np.array(Image.open(files[number]).convert("RGB"))
        yield files[number].name, clean, degraded_picture(clean, settings, Draw(seed, number))


def degraded_picture(clean: Pixels, settings: DegradationSet, draw: Draw) -> Degraded:
    """Reduce a picture to a quarter and degrade it."""
    with one_thread():
        one = degrade(torch.from_numpy(clean).permute(2, 0, 1).float() / 255, draw, settings)
    lr = (255 * one.lr).round().byte().permute(1, 2, 0).contiguous().numpy()
    return Degraded(lr=lr, truth=describe(one.truth))


def methods(path: Path, *, peers: Path | None) -> dict[str, Method]:
    """Return every method by its name in the table."""
    model, info = weights.load(path)
    found: dict[str, Method] = {"bicubic": bicubic}
    plain = CompactSettings(scale=SCALE, device="cpu", dtype=best_dtype("cpu"))
    variants = {"xpsr-s estimate": plain}
    if info.steps:
        default = replace(plain, steps=info.steps, strength=info.strength)
        variants["xpsr-s default"] = default
        for steps in sorted({1, 2, 4, info.steps}):
            variants[f"xpsr-s {steps} steps at strength 1"] = replace(default, steps=steps, strength=1.0)
    for name, settings in variants.items():
        found[name] = functools.partial(measured, CompactRestorer(model, settings))
    for name in ("xpsr-s estimate", "xpsr-s default"):
        if name in variants:
            restorer = CompactRestorer(model, variants[name])
            found[f"{name} without prior"] = functools.partial(without_prior, restorer)
            found[f"{name} with the true prior"] = functools.partial(with_truth, restorer)
    if peers is not None:
        found |= {name: functools.partial(_peer, open_peer(peers, name)) for name in PEERS}
    return found


def bicubic(degraded: Degraded) -> Pixels:
    """Enlarge by PIL."""
    height, width = degraded.lr.shape[:2]
    size = (SCALE * width, SCALE * height)
    return np.array(Image.fromarray(degraded.lr).resize(size, Image.Resampling.BICUBIC))


def measured(restorer: CompactRestorer, degraded: Degraded) -> Pixels:
    """Restore by the measured prior, as a run does by default."""
    return _restored(restorer, degraded, measure(np.ascontiguousarray(degraded.lr.transpose(2, 0, 1))))


def without_prior(restorer: CompactRestorer, degraded: Degraded) -> Pixels:
    """Restore and say nothing."""
    return _restored(restorer, degraded, Prior())


def with_truth(restorer: CompactRestorer, degraded: Degraded) -> Pixels:
    """Restore by the words of what was really done."""
    return _restored(restorer, degraded, Prior(low_level=degraded.truth, captioner="truth"))


def _restored(restorer: CompactRestorer, degraded: Degraded, prior: Prior) -> Pixels:
    pixels = np.ascontiguousarray(degraded.lr.transpose(2, 0, 1))
    restored: Pixels = restorer.restore_pixels(pixels, prior)
    return np.ascontiguousarray(restored.transpose(1, 2, 0))


def _peer(upscale: Callable[[Pixels], Pixels], degraded: Degraded) -> Pixels:
    return upscale(degraded.lr)


class Figures:
    """Figures of pairs of pictures, kept in a file."""

    def __init__(self, path: Path, metrics: Mapping[str, PictureMetric]) -> None:
        self._path = path
        self._metrics = metrics
        self._known: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, made: Pixels, clean: Pixels) -> dict[str, float]:
        """Return the figures of a restored picture, computed where they are not known."""
        key = hashlib.sha256(made.tobytes() + clean.tobytes()).hexdigest()
        known = self._known.setdefault(key, {})
        for name, metric in self._metrics.items():
            if name not in known:
                known[name] = metric(made, clean)
        return {name: known[name] for name in self._metrics}

    def write(self) -> None:
        """Keep what is known."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known))


def metrics_of(folder: Path | None) -> dict[str, PictureMetric]:
    """Return the metrics whose weights are there."""
    return {name: metric for name, metric in open_metrics(folder).by_name.items() if metric is not None}


def costs(found: Mapping[str, Method], seconds: Mapping[str, list[float]], degraded: Degraded) -> str:
    """Return a table of the time and the work of each method for one picture."""
    height, width = degraded.lr.shape[:2]
    lines = [f"| method | median s, {width}x{height} | GFLOP |", "|---|---|---|"]
    for name, method in found.items():
        counter = FlopCounterMode(display=False)
        with counter:
            method(degraded)
        work = counter.get_total_flops() / 1e9
        lines.append(f"| {name} | {statistics.median(seconds[name]):.3g} | {work:.4g} |")
    return "\n".join(lines)


def save(pixels: Pixels, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
