"""How steady and how good a held-out clip becomes: frame by frame, and warm-started from the frame before.

    python -m tests.bench.temporal CLIP --metrics METRICS [--frames 48] [--part-frames 16] [--draws 4]

The clip's own frames are the reference. They are reduced to a quarter and degraded alike but for their noise,
then restored by each method as a job would do it: in parts of --part-frames frames, each with its lead-in.
Figures are of `vidsr evaluate`; E_warp is along the clean clip's flow, inside of parts and across their
borders. Read it beside LPIPS and beside the clean clip's own: blur lowers it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.bench.end_to_end import machine
from tests.bench.threads import one_thread
from vidsr.degradation_words import Degradation, describe
from vidsr.diffusion.warm_start import DiffusionCarry
from vidsr.evaluate.clips import read_clip
from vidsr.evaluate.metric import Step
from vidsr.evaluate.suite import Metrics, open_metrics
from vidsr.job.parts import parts_of, seed_of
from vidsr.models.compact import weights
from vidsr.models.compact.estimate import SCALE
from vidsr.models.device import best_dtype
from vidsr.restore.compact import LEAD_IN, CompactRestorer, CompactSettings, shipped_weights
from vidsr.restore.picture import measure
from vidsr.train.degradation import DegradationSet, degrade_clip
from vidsr.train.draw import Draw
from vidsr.train.settings import read_degradation
from vidsr.types import Carry, Colour, Frame, LeadIn, Prior, Shot, Work

Pixels = NDArray[np.uint8]
"""RGB [H, W, 3]."""

DEGRADATIONS = Path(__file__).resolve().parents[2] / "configs" / "train" / "degradation"
FUSION = 0.2
"""The default of restore.fusion."""
SIDE = 32
"""Frames are cropped to multiples of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A clip as a method made it."""

    frames: list[Pixels]
    borders: frozenset[int]
    """Frames that a part begins with."""
    steps: float
    """Diffusion steps a frame, on average, lead-ins included."""
    seconds: float
    """A frame."""


Method = Callable[[Sequence[Pixels], Prior], Restored]
"""From degraded frames and their prior."""


def main() -> None:
    """Read the command line, restore by each method, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--metrics", type=Path, default=None, help="folder of tools/fetch_metric_weights.py")
    parser.add_argument(
        "--weights", type=Path, default=None, help="of xpsr-s; those in the package otherwise"
    )
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--part-frames", type=int, default=16)
    parser.add_argument("--degradation", default="light", choices=("light", "full", "video", "bicubic"))
    parser.add_argument("--seed", type=int, default=2024, help="of the first draw of the degradation")
    parser.add_argument("--draws", type=int, default=1, help="seeds to average over; one draw tells little")
    parser.add_argument("--methods", default="", help="names of methods, with commas between; all otherwise")
    parser.add_argument("--output", type=Path, default=None, help="folder to write the frames to")
    options = parser.parse_args()
    clean = [cropped(frame) for frame in islice(read_clip(options.clip), options.frames)]
    path = options.weights or shipped_weights().path
    print(json.dumps({**machine(), "weights": weights.digest(path)[:12]}, indent=2))
    metrics = open_metrics(options.metrics)
    wanted = [name for name in options.methods.split(",") if name]
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seed, options.seed + options.draws):
        degraded, truth = degrade(
            clean, Draw(seed), read_degradation(DEGRADATIONS / f"{options.degradation}.yaml")
        )
        prior = measure(np.ascontiguousarray(degraded[len(degraded) // 2].transpose(2, 0, 1)))
        print(json.dumps({"draw": seed, "true": describe(truth), "measured": prior.low_level}))
        for name, method in methods(path, part_frames=options.part_frames).items():
            if not wanted or name in wanted:
                restored = method(degraded, prior)
                rows.setdefault(name, []).append(figures(restored, clean, metrics))
                print(json.dumps({"draw": seed, "method": name, **rows[name][-1]}), flush=True)
                if options.output is not None:
                    write(restored.frames, options.output / str(seed) / name)
    print(table([{"method": name, **mean_of(found)} for name, found in rows.items()]))


def methods(path: Path, *, part_frames: int) -> dict[str, Method]:
    """Return every method by its name in the table."""
    model, info = weights.load(path)
    plain = CompactSettings(scale=SCALE, device="cpu", dtype=best_dtype("cpu"))
    found: dict[str, Method] = {"bicubic": bicubic}
    variants = {"estimate": plain}
    if info.steps:
        default = replace(plain, steps=info.steps, strength=info.strength, fusion=FUSION)
        variants |= {
            "default": default,
            "default frame by frame": replace(default, warm_start=False),
            "default without fusion": replace(default, fusion=0.0),
            "4 steps at strength 1": replace(default, steps=4, strength=1.0),
            "2 steps at strength 1": replace(default, strength=1.0),
            "2 steps at strength 1 frame by frame": replace(default, strength=1.0, warm_start=False),
            "4 steps at strength 1 frame by frame": replace(default, steps=4, strength=1.0, warm_start=False),
        }
    for name, settings in variants.items():
        found[name] = in_parts(CompactRestorer(model, settings), settings, part_frames=part_frames)
    return found


def bicubic(frames: Sequence[Pixels], prior: Prior) -> Restored:
    """Enlarge by PIL."""
    del prior
    started = time.perf_counter()
    made = []
    for frame in frames:
        size = (SCALE * frame.shape[1], SCALE * frame.shape[0])
        made.append(np.array(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)))
    seconds = (time.perf_counter() - started) / len(frames)
    return Restored(frames=made, borders=frozenset(), steps=0, seconds=seconds)


def in_parts(restorer: CompactRestorer, settings: CompactSettings, *, part_frames: int) -> Method:
    """Return the method that restores a clip as one shot in parts, as a job does."""
    lead_in = LEAD_IN if settings.steps and settings.warm_start else LeadIn()

    def run(frames: Sequence[Pixels], prior: Prior) -> Restored:
        made: list[Pixels] = []
        steps: list[int] = []
        shot = Shot(index=0, start=0, stop=len(frames))
        parts = parts_of([shot], part_frames=part_frames, lead_in=lead_in)
        started = time.perf_counter()
        for part in parts:
            carry: Carry | None = None
            for index in range(part.lead_in, part.stop):
                work = Work(
                    part_index=part.index,
                    frame=rgb_frame(frames[index], index),
                    prior=prior,
                    carry=carry,
                    seed=seed_of(part.lead_in, job_seed=0),
                )
                (done,) = restorer.step([work])
                carry = done.carry
                steps.append(carry.steps if isinstance(carry, DiffusionCarry) else settings.steps)
                if index >= part.start:
                    green, blue, red = done.frame.planes
                    made.append(np.stack([red, green, blue], axis=2))
        seconds = (time.perf_counter() - started) / len(frames)
        borders = frozenset(part.start for part in parts[1:])
        return Restored(frames=made, borders=borders, steps=statistics.mean(steps), seconds=seconds)

    return run


def rgb_frame(pixels: Pixels, index: int) -> Frame:
    """Return RGB [H, W, 3] as a frame of planes."""
    red, green, blue = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Frame(
        planes=(green, blue, red),
        pix_fmt="gbrp",
        width=pixels.shape[1],
        height=pixels.shape[0],
        colour=Colour(matrix=0, full_range=True),
        index=index,
        pts=index,
        time_base=Fraction(1, 25),
    )


def degrade(
    clean: Sequence[Pixels], draw: Draw, settings: DegradationSet
) -> tuple[list[Pixels], Degradation]:
    """Reduce and degrade the frames alike but for their noise; also say what was done to the first."""
    number = draw.integer(2**31)
    tensors = [torch.from_numpy(frame).permute(2, 0, 1).float() / 255 for frame in clean]
    grains = [Draw(number, index) for index in range(len(clean))]
    with one_thread():
        degraded = degrade_clip(tensors, draw, settings, grains=grains)
    frames = [(255 * one.lr).round().byte().permute(1, 2, 0).contiguous().numpy() for one in degraded]
    return frames, degraded[0].truth


def figures(restored: Restored, clean: Sequence[Pixels], metrics: Metrics) -> dict[str, float]:
    """Return means over frames and over steps in time."""
    sums: dict[str, list[float]] = {}
    for found, wanted in zip(restored.frames, clean, strict=True):
        for name, metric in metrics.by_name.items():
            if metric is not None:
                sums.setdefault(name, []).append(metric(found, wanted))
    for index in range(1, len(clean)):
        step = Step(
            before=restored.frames[index - 1],
            after=restored.frames[index],
            reference_before=clean[index - 1],
            reference_after=clean[index],
        )
        for name, judge in metrics.steps.items():
            figure = None if judge is None else judge(step)
            if figure is not None:
                sums.setdefault(name, []).append(figure)
                if name == "E_warp x1000" and restored.borders:
                    where = "across borders" if index in restored.borders else "inside parts"
                    sums.setdefault(f"{name} {where}", []).append(figure)
    means = {name: round(statistics.mean(values), 4) for name, values in sums.items()}
    return {**means, "steps": round(restored.steps, 3), "seconds a frame": round(restored.seconds, 3)}


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each figure."""
    return {name: round(statistics.mean(row[name] for row in rows), 4) for name in rows[0]}


def cropped(frame: Pixels) -> Pixels:
    """Return the largest upper left part whose sides are multiples of SIDE."""
    height, width = (side - side % SIDE for side in frame.shape[:2])
    return np.ascontiguousarray(frame[:height, :width])


def write(frames: Sequence[Pixels], folder: Path) -> None:
    """Write frames as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:04}.png")


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the rows as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
