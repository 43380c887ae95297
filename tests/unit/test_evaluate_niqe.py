"""NIQE: statistics of known noise, and what it must say of worse pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from vidsr.errors import CheckpointError
from vidsr.evaluate.niqe import Niqe, _asymmetric_gaussian, _block_features, _halved

PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "data" / "photographs"


def _photograph(name: str) -> np.ndarray:
    return np.asarray(Image.open(PHOTOGRAPHS / f"{name}.jpg").convert("RGB"))


@pytest.fixture(scope="module")
def niqe(tmp_path_factory: pytest.TempPathFactory) -> Niqe:
    """Its good photographs are the tests' own."""
    gray = [np.asarray(Image.open(path).convert("L"), dtype=float) for path in PHOTOGRAPHS.glob("*.jpg")]
    features = np.concatenate([_block_features(plane) for plane in gray])
    path = tmp_path_factory.mktemp("niqe") / "niqe.safetensors"
    parameters = {"mu": features.mean(axis=0), "cov": np.cov(features, rowvar=False) + 0.01 * np.eye(36)}
    save_file({name: torch.from_numpy(values) for name, values in parameters.items()}, path)
    return Niqe(path)


@pytest.mark.parametrize(("draw", "shape"), [("normal", 2.0), ("laplace", 1.0)])
def test_the_shape_of_known_noise_is_found(draw: str, shape: float) -> None:
    values = getattr(np.random.default_rng(0), draw)(0, 3, 200_000)
    found, left, right = _asymmetric_gaussian(values)
    # A normal distribution of sigma 3 is a generalised Gaussian of width 3 * 2 ** 0.5; Laplace's has its own.
    width = 3 * 2**0.5 if draw == "normal" else 3
    assert found == pytest.approx(shape, rel=0.02)
    assert (left, right) == pytest.approx((width, width), rel=0.02)


def test_sides_of_unequal_width_are_told_apart() -> None:
    values = np.random.default_rng(0).normal(0, 1, 200_000)
    _, left, right = _asymmetric_gaussian(np.where(values < 0, values, 3 * values))
    assert right == pytest.approx(3 * left, rel=0.03)


def test_halving_keeps_a_constant_and_averages_a_ramp() -> None:
    ramp = np.tile(np.arange(32.0), (16, 1))
    half = _halved(ramp)
    assert half.shape == (8, 16)
    np.testing.assert_allclose(half[:, 3:-3], np.tile(2 * np.arange(3, 13) + 0.5, (8, 1)))
    np.testing.assert_allclose(_halved(np.full((16, 16), 7.0)), 7)


@pytest.mark.parametrize("name", ["seeding", "sunning-anhinga"])
def test_noise_and_blur_are_worse_than_the_photograph(niqe: Niqe, name: str) -> None:
    pixels = _photograph(name)
    noise = np.random.default_rng(0).normal(0, 20, pixels.shape)
    noisy = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    assert niqe(pixels) < niqe(noisy)
    assert niqe(pixels) < niqe(cv2.GaussianBlur(pixels, (0, 0), 2))


def test_a_picture_of_one_block_or_without_contrast_has_no_figure(niqe: Niqe) -> None:
    assert niqe(_photograph("seeding")[:95, :200]) is None
    assert niqe(_photograph("seeding")[:100, :191]) is None
    assert niqe(np.full((200, 200, 3), 90, dtype=np.uint8)) is None


def test_parameters_of_another_size_are_refused(tmp_path: Path) -> None:
    save_file({"mu": torch.zeros(1, 18), "cov": torch.eye(18)}, tmp_path / "niqe.safetensors")
    with pytest.raises(CheckpointError, match="wanted 36 features"):
        Niqe(tmp_path / "niqe.safetensors")


@pytest.mark.parametrize(("name", "distance"), [("seeding", 4.028393), ("casa-mila", 4.079207)])
def test_the_distance_is_that_of_basicsr(tmp_path: Path, name: str, distance: float) -> None:
    """Of basicsr 1.4.2's own program, given the same parameters. It halves in float32, which moves shapes."""
    save_file({"mu": torch.full((1, 36), 0.5), "cov": torch.eye(36)}, tmp_path / "niqe.safetensors")
    assert Niqe(tmp_path / "niqe.safetensors")(_photograph(name)) == pytest.approx(distance, rel=5e-4)
