import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.metric_weights import write_random_weights
from vidsr.errors import CheckpointError, InputError, MissingWeightsError
from vidsr.evaluate.dists import Dists
from vidsr.evaluate.image import luma, psnr, ssim
from vidsr.evaluate.networks import as_picture_metric
from vidsr.evaluate.pairs import evaluate_pairs
from vidsr.evaluate.suite import Metrics, open_metrics
from vidsr.evaluate.table import Interval, NotComputed, interval, to_csv, to_json, to_markdown
from vidsr.files import sha256_of
from vidsr.models.lpips import Lpips


def picture(seed: int, size: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_luma_has_the_levels_of_bt601() -> None:
    corners = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(luma(corners)[0], [16, 235, 16 + 65.481])


def test_psnr_of_a_known_error() -> None:
    gray = np.full((8, 8, 3), 100, dtype=np.uint8)
    # One level of all three colours is 219/255 of a level of luma.
    assert psnr(gray + 1, gray) == pytest.approx(20 * math.log10(255 / (219 / 255)))
    assert psnr(gray, gray) == math.inf


def test_ssim_equals_its_definition_window_by_window() -> None:
    x, y = picture(1), picture(2)
    axis = np.arange(-5, 6)
    line = np.exp(-(axis**2) / (2 * 1.5**2))
    window = np.outer(line, line)
    window /= window.sum()
    a, b = luma(x), luma(y)
    scores = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            p, q = a[top : top + 11, left : left + 11], b[top : top + 11, left : left + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            scores.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert ssim(x, y) == pytest.approx(np.mean(scores), abs=1e-9)
    assert ssim(x, x) == pytest.approx(1)


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(picture(1, 10), picture(1, 10))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_random_weights(tmp_path)


def test_network_metrics_are_zero_for_equal_pictures_and_grow_with_noise(weights: Path) -> None:
    clean = picture(3, 64) // 2 + 64
    rng = np.random.default_rng(4)
    for network in (
        Lpips(weights / "lpips_alex.safetensors"),
        Dists(vgg=weights / "vgg16.safetensors", heads=weights / "dists.safetensors"),
    ):
        metric = as_picture_metric(network)
        noisy = [np.clip(clean + rng.normal(0, s, clean.shape), 0, 255).astype(np.uint8) for s in (5, 60)]
        little, much = (metric(pixels, clean) for pixels in noisy)
        assert metric(clean, clean) == pytest.approx(0, abs=1e-5)
        assert 0 < little < much


def test_missing_and_foreign_weights_are_named(weights: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"nothing\.safetensors: no such file"):
        Lpips(weights / "nothing.safetensors")
    with pytest.raises(CheckpointError, match=r"vgg16\.safetensors: holds no"):
        Lpips(weights / "vgg16.safetensors")
    (weights / "text.safetensors").write_text("x" * 100)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        Lpips(weights / "text.safetensors")


def make_pairs(folder: Path) -> Path:
    for method, error in (("reference", 0), ("near", 1), ("far", 9)):
        (folder / method).mkdir()
        for seed in range(3):
            pixels = picture(seed) // 2 + error
            Image.fromarray(pixels).save(folder / method / f"{seed}.png")
    return folder


def test_methods_are_compared_on_the_same_pictures(tmp_path: Path) -> None:
    rows = evaluate_pairs(make_pairs(tmp_path), open_metrics(None))
    assert list(rows) == ["far", "near"]
    near, far = rows["near"]["PSNR-Y"], rows["far"]["PSNR-Y"]
    assert isinstance(near, Interval)
    assert isinstance(far, Interval)
    assert near.mean > far.mean
    assert near.mean == pytest.approx(20 * math.log10(255 / (219 / 255)))
    assert rows["near"]["LPIPS-Alex"] == NotComputed("not installed")


def test_a_missing_picture_or_another_size_is_named(tmp_path: Path) -> None:
    folder = make_pairs(tmp_path)
    (folder / "far" / "1.png").unlink()
    with pytest.raises(InputError, match=r"far/1\.png: no readable picture"):
        evaluate_pairs(folder, open_metrics(None))
    Image.fromarray(picture(0, 30)).save(folder / "far" / "1.png")
    with pytest.raises(InputError, match=r"far/1\.png: is 30x30, its reference 24x24"):
        evaluate_pairs(folder, open_metrics(None))


def test_a_folder_without_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reference"):
        evaluate_pairs(tmp_path, open_metrics(None))


def test_an_interval_holds_its_mean_and_shrinks_with_more_pictures() -> None:
    values = np.random.default_rng(0).normal(5, 1, 400).tolist()
    few, many = interval(values[:20]), interval(values)
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 2
    # The interval of a mean: 1.96 standard errors to each side.
    assert many.high - many.low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.1)
    assert interval(values) == many


def test_equal_pictures_leave_psnr_without_a_bound_and_tables_without_nonsense() -> None:
    unbounded = interval([30.0, math.inf])
    assert unbounded == Interval(mean=math.inf, low=math.inf, high=math.inf)
    assert json.loads(to_json({"a": {"PSNR-Y": unbounded}}))["methods"]["a"]["PSNR-Y"]["mean"] == "inf"


def test_tables_say_what_was_not_computed_and_what_computed_the_rest() -> None:
    rows = {"a": {"x": Interval(mean=1, low=0.5, high=1.5), "y": NotComputed("needs 2,000 crops, got 12")}}
    sources = {"x": "a network, v1", "y": "another"}
    markdown = to_markdown(rows, sources)
    assert "| a | 1.0000 [0.5000, 1.5000] | not computed (needs 2,000 crops, got 12) |" in markdown
    assert "| x | a network, v1 |" in markdown
    tree = json.loads(to_json(rows, sources))
    assert tree["methods"]["a"]["y"] == {"not_computed": "needs 2,000 crops, got 12"}
    assert tree["computed_by"] == sources
    lines = list(csv.reader(io.StringIO(to_csv(rows, sources))))
    assert lines[1] == ["a", "x", "1", "0.5", "1.5", "a network, v1"]
    assert lines[2] == ["a", "y", "not computed (needs 2,000 crops, got 12)", "", "", "another"]


def test_a_figure_of_a_whole_set_has_no_interval() -> None:
    rows = {"a": {"FID": Interval(mean=12.5, low=None, high=None)}}
    assert "| a | 12.5000 |" in to_markdown(rows)
    assert json.loads(to_json(rows))["methods"]["a"]["FID"] == {"mean": 12.5, "low": None, "high": None}
    assert list(csv.reader(io.StringIO(to_csv(rows))))[1] == ["a", "FID", "12.5", "", "", ""]


def test_without_a_reference_only_what_needs_none_is_computed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "mine" / "a.png")
    metrics = Metrics(
        by_name={"PSNR-Y": psnr}, clips={"VMAF": None}, alone={"mean": lambda pixels: float(pixels.mean())}
    )
    row = evaluate_pairs(tmp_path, metrics)["mine"]
    assert row["PSNR-Y"] == NotComputed("needs a folder reference")
    assert row["mean"] == interval([float(picture(0).mean())])


def test_what_no_picture_is_large_enough_for_is_said(tmp_path: Path) -> None:
    metrics = Metrics(alone={"score": lambda pixels: None})
    assert evaluate_pairs(make_pairs(tmp_path), metrics)["near"]["score"] == NotComputed("nothing to measure")


def test_every_metric_says_what_computes_it_or_what_it_needs(weights: Path) -> None:
    with_weights, without = open_metrics(weights), open_metrics(None)
    for metrics in (with_weights, without):
        groups = (
            metrics.by_name,
            metrics.clips,
            metrics.alone,
            metrics.sets,
            metrics.steps,
            metrics.steps_alone,
        )
        names = {name: metric for group in groups for name, metric in group.items()}
        assert set(metrics.sources) == set(names)
        for name, metric in names.items():
            assert metrics.sources[name].startswith("needs ") == (metric is None), name
    digest = sha256_of(weights / "dists.safetensors")[:12]
    assert f"dists.safetensors {digest}" in with_weights.sources["DISTS"]
    assert (
        without.sources["DISTS"] == "needs vgg16.safetensors and dists.safetensors in the folder of --weights"
    )


def test_a_folder_of_weights_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="nowhere: no such folder"):
        open_metrics(tmp_path / "nowhere")
