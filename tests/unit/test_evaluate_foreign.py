"""Networks of other people, as files: here tiny ones that the tests make."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vidsr.errors import CheckpointError, ConfigError, MachineError, MissingWeightsError
from vidsr.evaluate.fid import MIN_CROPS, Fid, frechet_distance, statistics
from vidsr.evaluate.foreign import open_fid, open_score, read_networks
from vidsr.evaluate.pairs import evaluate_pairs
from vidsr.evaluate.suite import open_metrics
from vidsr.evaluate.table import Interval, NotComputed
from vidsr.files import sha256_of


class MeanOfAll(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean().reshape(1, 1)


class MeanOfEach(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean(dim=(2, 3))[:, :, None, None]


class OnlyLarge(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(pictures, 64).mean()


def _write(folder: Path, network: nn.Module, *, low: float = 0, high: float = 1, name: str = "MUSIQ") -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(network).save(folder / "network.pt")
    sides = "  crop: 8\n  side: 16\n" if name == "FID" else ""
    path = folder / "networks.yaml"
    path.write_text(f"{name}:\n  file: network.pt\n  range: [{low}, {high}]\n  source: tiny, v1\n{sides}")
    return path


def _gray(level: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), level, dtype=np.uint8)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_a_network_is_given_pictures_in_its_range(tmp_path: Path, low: int, high: int) -> None:
    network = read_networks(_write(tmp_path, MeanOfAll(), low=low, high=high))["MUSIQ"]
    score = open_score(network)
    assert score(_gray(0)) == pytest.approx(low)
    assert score(_gray(255)) == pytest.approx(high)
    assert score(_gray(51)) == pytest.approx(low + (high - low) / 5)


def test_a_network_has_its_column_and_its_digest_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Image.fromarray(_gray(51)).save(tmp_path / "mine" / "a.png")
    metrics = open_metrics(None, _write(tmp_path, MeanOfAll()))
    row = evaluate_pairs(tmp_path, metrics)["mine"]
    assert isinstance(row["MUSIQ"], Interval)
    assert row["MUSIQ"].mean == pytest.approx(0.2)
    assert row["MANIQA"] == NotComputed("not installed")
    digest = sha256_of(tmp_path / "network.pt")[:12]
    assert metrics.sources["MUSIQ"] == f"tiny, v1; network.pt {digest}"
    assert metrics.sources["MANIQA"] == "needs a file that --networks names as MANIQA"


def test_a_network_that_returns_no_single_number_is_refused(tmp_path: Path) -> None:
    network = read_networks(_write(tmp_path, MeanOfEach()))["MUSIQ"]
    with pytest.raises(CheckpointError, match=r"returned \(1, 3, 1, 1\) for one picture; wanted one"):
        open_score(network)(_gray(1))


def test_a_network_that_fails_on_a_picture_is_named(tmp_path: Path) -> None:
    network = read_networks(_write(tmp_path, OnlyLarge()))["MUSIQ"]
    with pytest.raises(CheckpointError, match=r"network\.pt: fails on pictures of 8x8: .*size"):
        open_score(network)(_gray(1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- MUSIQ", "wanted a mapping"),
        ("MUSIQ: {file: network.pt, range: [0, 1]}", "MUSIQ: wanted the keys file, range, source"),
        ("MUSIQ: {file: network.pt, range: 255, source: a}", "range: wanted what black and white are"),
        ("FID: {file: network.pt, range: [0, 1], source: a, crop: 0, side: 9}", "crop: wanted a number"),
        ("PSNR-Y: {file: network.pt, range: [0, 1], source: a}", "is a metric of vidsr's own"),
    ],
)
def test_a_file_of_networks_is_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path, MeanOfAll())
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        open_metrics(None, path)


def test_a_missing_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    path = _write(tmp_path, MeanOfAll())
    (tmp_path / "network.pt").write_text("no network")
    with pytest.raises(CheckpointError, match=r"network\.pt: no TorchScript file"):
        open_metrics(None, path)
    (tmp_path / "network.pt").unlink()
    with pytest.raises(MissingWeightsError, match=r"network\.pt: no such file"):
        open_metrics(None, path)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is not None, reason="onnxruntime is installed")
def test_onnx_without_onnxruntime_says_what_to_install(tmp_path: Path) -> None:
    path = _write(tmp_path, MeanOfAll())
    (tmp_path / "network.pt").rename(tmp_path / "network.onnx")
    path.write_text(path.read_text().replace("network.pt", "network.onnx"))
    with pytest.raises(MachineError, match=r"network\.onnx: needs onnxruntime; pip install 'vidsr\[onnx\]'"):
        open_metrics(None, path)


def _features(crops: Sequence[np.ndarray]) -> np.ndarray:
    """Of normal noise: means of 12 patches of a crop, which vary independently of each other."""
    return np.stack([crop[..., 0].reshape(12, -1).mean(axis=1) for crop in crops]).astype(np.float32)


def test_the_distance_of_gaussians_is_that_of_their_moments() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    one = rng.normal(0, 1, (40_000, 12)) @ mixing
    other = 2 * one + np.arange(12)
    found = [statistics(lambda batch: np.stack(batch), iter(values)) for values in (one, other)]
    np.testing.assert_allclose(found[0].covariance, np.cov(one, rowvar=False), rtol=1e-6, atol=1e-6)
    # (C1 C2)^(1/2) is 2 C1 here, so that the traces leave (1 + 4 - 4) tr C1.
    wanted = ((other.mean(0) - one.mean(0)) ** 2).sum() + np.trace(np.cov(one, rowvar=False))
    assert frechet_distance(*found) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(found[0], found[0]) == pytest.approx(0, abs=1e-6)


def test_fid_refuses_fewer_than_2000_crops_and_says_how_many_there_are(tmp_path: Path) -> None:
    for method in ("reference", "mine"):
        (tmp_path / method).mkdir()
        for index in range(2):
            Image.fromarray(_gray(9, size=40)[:36]).save(tmp_path / method / f"{index}.png")
    row = evaluate_pairs(tmp_path, open_metrics(None, _write(tmp_path, MeanOfEach(), name="FID")))["mine"]
    assert row["FID"] == NotComputed("needs 2,000 crops, got 40")


def test_fid_of_enough_crops_is_that_of_their_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for method, shift in (("reference", 0), ("same", 0), ("brighter", 51)):
        (tmp_path / method).mkdir()
        for index in range(2):
            pixels = rng.integers(0, 200, (32 * 8, 32 * 8, 3), dtype=np.uint8) + np.uint8(shift)
            Image.fromarray(pixels).save(tmp_path / method / f"{index}.png")
    metrics = open_metrics(None, _write(tmp_path, MeanOfEach(), low=0, high=255, name="FID"))
    rows = evaluate_pairs(tmp_path, metrics)
    same, brighter = rows["same"]["FID"], rows["brighter"]["FID"]
    assert isinstance(same, Interval)
    assert isinstance(brighter, Interval)
    assert MIN_CROPS <= 2 * 32 * 32
    # Three features, each 51 levels away.
    assert brighter.mean == pytest.approx(3 * 51**2, rel=0.01)
    assert (same.low, same.high) == (None, None)
    assert 0 <= same.mean < 1


def test_fid_crops_tile_a_picture_and_are_resized_to_the_networks_side(tmp_path: Path) -> None:
    network = read_networks(_write(tmp_path, MeanOfEach(), name="FID"))["FID"]
    features = open_fid(network).features([_gray(255), _gray(51), _gray(0)])
    np.testing.assert_allclose(features, np.array([[1.0] * 3, [0.2] * 3, [0.0] * 3]), atol=1e-5)
    fid = Fid(features=_features, crop=16)
    pixels = np.random.default_rng(0).integers(0, 256, (35, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    crops = list(fid._crops([tmp_path / "a.png"]))
    assert len(crops) == 6
    np.testing.assert_array_equal(crops[4], pixels[16:32, 16:32])
