"""What a comparison keeps is taken as long as it is the same, and made again when it is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.methods import Method, Restored
from tests.bench.samples import Pixels, Sample
from tests.bench.store import Store
from vidsr.degradation_words import Degradation
from vidsr.evaluate.clips import read_picture
from vidsr.evaluate.suite import Metrics, open_metrics

METRICS = open_metrics(None)


@pytest.fixture
def sample() -> Sample:
    draw = np.random.default_rng(1)
    clean, degraded = (draw.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (64, 16))
    truth = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
    return Sample(name="one", clean=[clean], degraded=[degraded], truth=truth)


def _method(runs: list[str], identity: str = "first") -> Method:
    def restore(sample: Sample) -> Restored:
        runs.append(identity)
        return Restored(frames=[frame.repeat(4, axis=0).repeat(4, axis=1) for frame in sample.degraded])

    return Method(name="nearest", identity=identity, restore=restore)


def _figures(
    folder: Path, method: Method, sample: Sample, metrics: Metrics = METRICS
) -> dict[str, float | None]:
    result = Store(folder, metrics, kind="pictures").results([method], sample, counts=False)["nearest"]
    return {name: values[0] for name, values in result.figures.items()}


def test_the_same_method_does_not_run_twice_on_the_same_pixels(tmp_path: Path, sample: Sample) -> None:
    runs: list[str] = []
    first = _figures(tmp_path, _method(runs), sample)
    assert _figures(tmp_path, _method(runs), sample) == first
    assert runs == ["first"]
    _figures(tmp_path, _method(runs, "second"), sample)
    assert runs == ["first", "second"]


def test_another_metric_takes_the_kept_pixels(tmp_path: Path, sample: Sample) -> None:
    runs: list[str] = []

    def difference(pixels: Pixels, reference: Pixels) -> float:
        return float(np.abs(pixels.astype(float) - reference).mean())

    _figures(tmp_path, _method(runs), sample)
    more = Metrics(
        by_name={**METRICS.by_name, "difference": difference},
        sources={**METRICS.sources, "difference": "ours"},
    )
    wanted = difference(read_picture(tmp_path / "nearest" / "one.png"), sample.clean[0])
    assert _figures(tmp_path, _method(runs), sample, more)["difference"] == wanted
    assert runs == ["first"]


def test_two_processes_keep_what_both_made(tmp_path: Path, sample: Sample) -> None:
    runs: list[str] = []
    one, other = (Store(tmp_path, METRICS, kind="pictures") for _ in range(2))
    one.results([_method(runs, "first")], sample, counts=False)
    other.results([_method(runs, "second")], sample, counts=False)
    third = Store(tmp_path, METRICS, kind="pictures")
    third.results([_method(runs, "first"), _method(runs, "second")], sample, counts=False)
    assert runs == ["first", "second"]


@pytest.mark.parametrize("is_gone", [True, False])
def test_pixels_that_are_gone_or_others_are_made_again(tmp_path: Path, sample: Sample, is_gone: bool) -> None:
    runs: list[str] = []
    first = _figures(tmp_path, _method(runs), sample)
    kept = json.loads((tmp_path / "cache.json").read_text())
    (tmp_path / "cache.json").write_text(json.dumps({**kept, "figures": {}}))
    picture = tmp_path / "nearest" / "one.png"
    if is_gone:
        picture.unlink()
    else:
        picture.write_bytes((tmp_path / "reference" / "one.png").read_bytes())
    assert _figures(tmp_path, _method(runs), sample) == first
    assert runs == ["first", "first"]
