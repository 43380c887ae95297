"""What every metric promises."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.metric_weights import write_random_weights
from vidsr.evaluate.metric import PictureMetric, Step, StepMetric
from vidsr.evaluate.suite import Metrics, open_metrics

Pixels = NDArray[np.uint8]
PHOTOGRAPH = Path(__file__).resolve().parents[1] / "data" / "photographs" / "beacon-street-sunset.jpg"

BEST = {"PSNR-Y": np.inf, "SSIM-Y": 1.0, "LPIPS-Alex": 0.0, "DISTS": 0.0}
"""What equal pictures get."""
"""Of metrics with a reference."""
STEPS = ("E_warp x1000", "E_warp x1000 of reference", "tLPIPS x1000", "tOF")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    return open_metrics(write_random_weights(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def clip() -> tuple[Pixels, Pixels]:
    pixels = np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))
    return np.ascontiguousarray(pixels[:96, :112]), np.ascontiguousarray(pixels[:96, 2:114])


@pytest.fixture(params=BEST)
def picture_metric(request: pytest.FixtureRequest, metrics: Metrics) -> tuple[str, PictureMetric]:
    metric = metrics.by_name[request.param]
    assert metric is not None
    return request.param, metric


@pytest.fixture(params=STEPS)
def step_metric(request: pytest.FixtureRequest, metrics: Metrics) -> tuple[str, StepMetric]:
    metric = metrics.steps[request.param]
    assert metric is not None
    return request.param, metric


def _noisy(pixels: Pixels, sigma: float, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def test_the_suite_has_every_metric(metrics: Metrics) -> None:
    assert set(metrics.by_name) == set(BEST)
    assert set(metrics.steps) == set(STEPS)
    assert set(metrics.clips) == {"VMAF"}
    assert set(metrics.alone) == {"NIQE (basicsr parameters)", "MUSIQ", "MANIQA", "CLIP-IQA"}
    assert set(metrics.sets) == {"FID"}
    assert set(metrics.steps_alone) == {"Flicker"}


def test_equal_pictures_get_the_best_figure(picture_metric, clip) -> None:
    name, metric = picture_metric
    assert metric(clip[0], clip[0]) == pytest.approx(BEST[name], abs=1e-5)


def test_more_noise_is_never_better(picture_metric, clip) -> None:
    name, metric = picture_metric
    figures = [metric(_noisy(clip[0], sigma), clip[0]) for sigma in (2, 10, 40)]
    falls = BEST[name] >= 1
    assert figures == sorted(figures, reverse=falls)
    assert figures[0] != figures[2]


def test_blur_is_worse_than_nothing(picture_metric, clip) -> None:
    name, metric = picture_metric
    blurred = metric(cv2.GaussianBlur(clip[0], (0, 0), 2), clip[0])
    assert blurred < BEST[name] if BEST[name] >= 1 else blurred > BEST[name]


def test_a_picture_metric_remembers_nothing_and_leaves_pictures_alone(picture_metric, clip) -> None:
    _, metric = picture_metric
    pixels, reference = _noisy(clip[0], 5), clip[0].copy()
    pixels.setflags(write=False)
    reference.setflags(write=False)
    first = metric(pixels, reference)
    metric(reference, clip[1])
    assert metric(pixels, reference) == first


def _step(restored: tuple[Pixels, Pixels], clean: tuple[Pixels, Pixels]) -> Step:
    return Step(before=restored[0], after=restored[1], reference_before=clean[0], reference_after=clean[1])


def test_a_perfect_step_has_the_figure_of_the_clean_video(step_metric, clip, metrics) -> None:
    name, metric = step_metric
    figure = metric(_step(clip, clip))
    expected = metrics.steps["E_warp x1000 of reference"](_step(clip, clip)) if "E_warp" in name else 0
    assert figure == pytest.approx(expected, abs=1e-6)


def test_boiling_noise_is_never_better_than_steadiness(step_metric, clip) -> None:
    name, metric = step_metric
    if name.endswith("of reference"):
        assert metric(_step((_noisy(clip[0], 20), clip[1]), clip)) == metric(_step(clip, clip))
        return
    boiling = _noisy(clip[0], 20, seed=1), _noisy(clip[1], 20, seed=2)
    assert metric(_step(boiling, clip)) > metric(_step(clip, clip))


def test_a_step_metric_remembers_nothing_and_leaves_frames_alone(step_metric, clip) -> None:
    _, metric = step_metric
    frames = [_noisy(clip[0], 5), _noisy(clip[1], 5), clip[0].copy(), clip[1].copy()]
    for frame in frames:
        frame.setflags(write=False)
    first = metric(_step((frames[0], frames[1]), (frames[2], frames[3])))
    metric(_step((frames[1], frames[0]), (frames[3], frames[2])))
    assert metric(_step((frames[0], frames[1]), (frames[2], frames[3]))) == first


def test_a_score_without_a_reference_remembers_nothing_and_leaves_pictures_alone(metrics, clip) -> None:
    frames = [_noisy(np.tile(frame, (2, 2, 1)), 5) for frame in clip]
    for frame in frames:
        frame.setflags(write=False)
    niqe, flicker = metrics.alone["NIQE (basicsr parameters)"], metrics.steps_alone["Flicker"]
    for score in (lambda: niqe(frames[0]), lambda: flicker(*frames)):
        first = score()
        niqe(frames[1])
        flicker(frames[1], frames[0])
        assert first is not None
        assert score() == first


def test_a_clip_metric_remembers_nothing_and_leaves_frames_alone(metrics, clip) -> None:
    vmaf = metrics.clips["VMAF"]
    frames = [_noisy(clip[0], 5), clip[0].copy()]
    for frame in frames:
        frame.setflags(write=False)
    first = vmaf([(frames[0], frames[1])])
    assert vmaf([(frames[1], frames[1])]) > first
    assert vmaf([(frames[0], frames[1])]) == first
