"""Results that are kept: what a method made of a sample, what that cost, and its figures.

    FOLDER/cache.json                    by digest of the method's identity and the degraded pixels
    FOLDER/<method>/<picture>.png        as `vidsr evaluate FOLDER` takes them
    FOLDER/<method>/<clip>/0000.png
    FOLDER/reference/*                   the clean ones

A method whose identity and input are known is not run again, and a figure of known pixels is not computed
again. The identity has no say in vidsr's own code: after a change of it, name a new folder. Processes with
other methods may add to the same folder.
"""

import fcntl
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image

from tests.bench.costs import counted, timed
from tests.bench.methods import Kind, Method
from tests.bench.samples import Sample
from vidsr.evaluate.clips import read_picture
from vidsr.evaluate.image import Pixels
from vidsr.evaluate.metric import Step
from vidsr.evaluate.suite import Metrics
from vidsr.files import write_whole

REFERENCE = "reference"
WARM_UP_FRAMES, WARM_UP_SIDE = 2, 64
"""The least that all peers take."""

Values = list[float | None]
"""Of each frame or step; None where there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is kept of a sample as a method made it, beside the pixels."""

    digest: str
    steps: float
    seconds: float | None
    """A frame, in one thread; None where operations were counted instead."""
    gflop: float | None
    """A frame."""
    peak_mebibytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is known of a sample as a method made it."""

    made: Made
    figures: Mapping[str, Values]
    """By metric."""


class Store:
    """Results of one degradation and one kind of samples, in a folder of their own."""

    def __init__(self, folder: Path, metrics: Metrics, *, kind: Kind) -> None:
        self._folder = folder
        self._metrics = metrics
        self._kind = kind
        self._path = folder / "cache.json"
        self._made: dict[str, Made] = {}
        self._figures: dict[str, dict[str, Values]] = {}
        self._take()

    def results(self, methods: Sequence[Method], sample: Sample, *, counts: bool) -> dict[str, Result]:
        """Return for each method what it made of `sample`; what is known is not made again.

        Args:
            methods: those that have a function.
            sample: is also written as the reference.
            counts: count operations and memory instead of taking the time, where it is made now.
        """
        frames = {
            method.name: found
            for method in methods
            if (found := self._frames(method, sample, counts=counts)) is not None
        }
        made = {method.name: self._made[_key(method, sample)] for method in methods}
        self._measure(frames, made, sample)
        names = self._names()
        return {
            name: Result(
                made=one, figures={metric: self._known(sample, one)[kept] for metric, kept in names.items()}
            )
            for name, one in made.items()
        }

    def _frames(self, method: Method, sample: Sample, *, counts: bool) -> list[Pixels] | None:
        """Return what `method` makes of `sample`; None where there is nothing left to measure of it."""
        made = self._made.get(_key(method, sample))
        if made is not None and not self._missing(sample, made):
            return None
        frames = None if made is None else self._read(method, sample, made)
        if frames is None:
            made, frames = self._make(method, sample, counts=counts)
            self._made[_key(method, sample)] = made
            self._write()
        return frames

    def _measure(
        self, frames: Mapping[str, Sequence[Pixels]], made: Mapping[str, Made], sample: Sample
    ) -> None:
        """Compute the figures that are not known: frame by frame for all methods, then the next frame."""
        missing = {name: self._missing(sample, made[name]) for name in frames}
        found: dict[str, dict[str, Values]] = {name: {} for name in frames}
        for index, clean in enumerate(sample.clean):
            for name, restored in frames.items():
                for metric, value in self._of_frame(restored[index], clean, missing[name]):
                    found[name].setdefault(metric, []).append(value)
        for name, restored in frames.items():
            for metric, values in self._of_steps(restored, sample.clean, missing[name]):
                found[name][metric] = values
            known = self._known(sample, made[name])
            known |= {self._names()[metric]: values for metric, values in found[name].items()}
        if frames:
            self._write()

    def _of_frame(
        self, made: Pixels, clean: Pixels, names: Sequence[str]
    ) -> Iterator[tuple[str, float | None]]:
        for name in names:
            if (metric := self._metrics.by_name.get(name)) is not None:
                yield name, metric(made, clean)
            elif (score := self._metrics.alone.get(name)) is not None:
                yield name, score(made)

    def _of_steps(
        self, made: Sequence[Pixels], clean: Sequence[Pixels], names: Sequence[str]
    ) -> Iterator[tuple[str, Values]]:
        # Each step finds its motion once, whatever is asked of it.
        steps = [
            Step(before=before, after=after, reference_before=clean_before, reference_after=clean_after)
            for (before, clean_before), (after, clean_after) in pairwise(zip(made, clean, strict=True))
        ]
        for name in names:
            if (metric := self._metrics.steps.get(name)) is not None:
                yield name, [metric(step) for step in steps]

    def _known(self, sample: Sample, made: Made) -> dict[str, Values]:
        return self._figures.setdefault(_digest_of(sample.clean, made.digest), {})

    def _missing(self, sample: Sample, made: Made) -> list[str]:
        known = self._known(sample, made)
        return [name for name, kept in self._names().items() if kept not in known]

    def _names(self) -> dict[str, str]:
        """Return the metrics that there are, and by which names their figures are kept: with the source."""
        metrics: dict[str, object] = {**self._metrics.by_name, **self._metrics.alone}
        metrics |= self._metrics.steps if self._kind == "clips" else {}
        names = [name for name, metric in metrics.items() if metric is not None]
        return {name: f"{name}: {self._metrics.sources[name]}" for name in names}

    def _make(self, method: Method, sample: Sample, *, counts: bool) -> tuple[Made, list[Pixels]]:
        assert method.restore is not None
        call = functools.partial(method.restore, sample)
        seconds, work = None, None
        if counts:
            warm_up = functools.partial(method.restore, sample.beginning(WARM_UP_FRAMES, WARM_UP_SIDE))
            restored, work = counted(call, warm_up=warm_up)
        else:
            restored, seconds = timed(call)
        count = len(restored.frames)
        self._save(method.name, sample, restored.frames)
        self._save(REFERENCE, sample, sample.clean)
        made = Made(
            digest=_digest_of(restored.frames),
            steps=restored.steps,
            seconds=None if seconds is None else seconds / count,
            gflop=None if work is None else work.gflop / count,
            peak_mebibytes=None if work is None else work.peak_mebibytes,
        )
        return made, restored.frames

    def _paths(self, name: str, sample: Sample) -> list[Path]:
        if self._kind == "pictures":
            return [self._folder / name / f"{sample.name}.png"]
        folder = self._folder / name / sample.name
        return [folder / f"{index:04}.png" for index in range(len(sample.clean))]

    def _save(self, name: str, sample: Sample, frames: Sequence[Pixels]) -> None:
        for pixels, path in zip(frames, self._paths(name, sample), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)

    def _read(self, method: Method, sample: Sample, made: Made) -> list[Pixels] | None:
        """Return the frames that were kept, unless they are gone or others lie in their place."""
        paths = self._paths(method.name, sample)
        if not all(path.exists() for path in paths):
            return None
        frames = [read_picture(path) for path in paths]
        return frames if _digest_of(frames) == made.digest else None

    def _take(self) -> None:
        """Add what the file knows and this process does not."""
        if not self._path.exists():
            return
        kept = json.loads(self._path.read_text())
        self._made = {key: Made(**entry) for key, entry in kept["made"].items()} | self._made
        for pair, figures in kept["figures"].items():
            self._figures[pair] = figures | self._figures.get(pair, {})

    def _write(self) -> None:
        """Write what is known, with what another process has added meanwhile."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._take()
            made = {key: asdict(made) for key, made in self._made.items()}
            write_whole(self._path, json.dumps({"made": made, "figures": self._figures}))


def _key(method: Method, sample: Sample) -> str:
    return _digest_of(sample.degraded, method.identity)


def _digest_of(frames: Sequence[Pixels], *words: str) -> str:
    """Return a digest of pixels and of what else matters."""
    digest = hashlib.sha256("\n".join(words).encode())
    for frame in frames:
        digest.update(repr(frame.shape).encode())
        digest.update(frame.tobytes())
    return digest.hexdigest()
