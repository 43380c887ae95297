"""Figures of steadiness against their definitions, and what they must say of known clips."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidsr.evaluate import temporal
from vidsr.evaluate.metric import Step
from vidsr.evaluate.temporal import flicker, flow_difference, reference_warp_error, temporal_lpips, warp_error

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "data" / "photographs" / "roman-colosseum.jpg"

Pixels = NDArray[np.uint8]


@pytest.fixture
def photograph() -> Pixels:
    return np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))


def _view(photograph: Pixels, offset: int) -> Pixels:
    return np.ascontiguousarray(photograph[20:164, 20 + offset : 180 + offset])


def _step(restored: tuple[Pixels, Pixels], clean: tuple[Pixels, Pixels]) -> Step:
    return Step(before=restored[0], after=restored[1], reference_before=clean[0], reference_after=clean[1])


def _noisy(pixels: Pixels, seed: int, sigma: float = 8) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def test_the_warp_error_is_its_definition(photograph: Pixels) -> None:
    clean = _view(photograph, 0)[:40, :48], _view(photograph, 0)[:40, :48]
    restored = _noisy(clean[0], 1), _noisy(clean[1], 2)
    step = _step(restored, clean)
    rng = np.random.default_rng(3)
    # Sixteenths of a pixel, which OpenCV's table of 1/32 holds exactly, and inside of the picture.
    flow = (rng.integers(-48, 49, (2, 40, 48)) / 16).astype(np.float32)
    mask = rng.random((40, 48)) < 0.6
    mask[:4], mask[-4:], mask[:, :4], mask[:, -4:] = False, False, False, False
    step.__dict__["motion"] = (flow, mask)
    total, count = 0.0, 0
    for y, x in zip(*np.nonzero(mask), strict=True):
        at_x, at_y = x + float(flow[0, y, x]), y + float(flow[1, y, x])
        left, top = int(np.floor(at_x)), int(np.floor(at_y))
        right_share, bottom_share = at_x - left, at_y - top
        corners = restored[1][top : top + 2, left : left + 2].astype(np.float64) / 255
        rows = corners[:, 0] * (1 - right_share) + corners[:, 1] * right_share
        warped = rows[0] * (1 - bottom_share) + rows[1] * bottom_share
        total += ((warped - restored[0][y, x] / 255) ** 2).sum()
        count += 3
    assert warp_error(step) == pytest.approx(1000 * total / count, rel=1e-4)


def test_a_still_clip_has_no_warp_error_and_flicker_has(photograph: Pixels) -> None:
    view = _view(photograph, 0)
    flicker = np.clip(view.astype(np.int16) + 10, 0, 255).astype(np.uint8)
    still = _step((view, view), (view, view))
    assert warp_error(still) == pytest.approx(0, abs=1e-3)
    flickering = warp_error(_step((view, flicker), (view, view)))
    assert flickering == pytest.approx(1000 * (10 / 255) ** 2, rel=0.05)


def test_steady_motion_costs_little_and_boiling_texture_costs_much(photograph: Pixels) -> None:
    clean = _view(photograph, 0), _view(photograph, 4)
    steady = warp_error(_step(clean, clean))
    boiling = warp_error(_step((_noisy(clean[0], 1), _noisy(clean[1], 2)), clean))
    assert steady < boiling / 3
    # Two independent noises of 8 levels; bilinear interpolation smooths the one that is warped.
    assert 1000 * (8 / 255) ** 2 < boiling < 1000 * 2.2 * (8 / 255) ** 2


def test_the_flow_is_that_of_the_clean_video_whatever_the_restored_one_does(photograph: Pixels) -> None:
    clean = _view(photograph, 0), _view(photograph, 4)
    noise = np.random.default_rng(0).integers(0, 256, clean[0].shape, dtype=np.uint8)
    assert reference_warp_error(_step((noise, clean[0]), clean)) == warp_error(_step(clean, clean))


def test_a_cut_has_no_step_to_measure(photograph: Pixels) -> None:
    step = _step((_view(photograph, 0),) * 2, (_view(photograph, 0),) * 2)
    step.__dict__["motion"] = (np.zeros((2, 144, 160), np.float32), np.zeros((144, 160), bool))
    assert warp_error(step) is None


def test_tof_is_the_length_of_the_difference_of_flows(photograph: Pixels) -> None:
    moving, resting = (_view(photograph, 0), _view(photograph, 3)), (_view(photograph, 0),) * 2
    assert flow_difference(_step(moving, moving)) == 0
    step = _step(resting, moving)
    assert flow_difference(step) == pytest.approx(3, abs=0.5)
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in moving]
    flow = cv2.calcOpticalFlowFarneback(*gray, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    lengths = [np.hypot(*vector) for vector in flow.reshape(-1, 2)]
    assert flow_difference(step) == pytest.approx(np.mean(lengths), abs=1e-3)


def test_tlpips_is_the_difference_of_two_distances() -> None:
    def mean_difference(one: Pixels, other: Pixels) -> float:
        return float(np.abs(one.astype(float) - other).mean())

    gray = [np.full((4, 4, 3), value, dtype=np.uint8) for value in (10, 17, 30, 32)]
    step = _step((gray[0], gray[1]), (gray[2], gray[3]))
    assert temporal_lpips(mean_difference)(step) == pytest.approx(1000 * abs(7 - 2))


def test_flicker_is_the_change_of_luma_and_needs_no_reference(photograph: Pixels) -> None:
    view = _view(photograph, 0)
    brighter = np.clip(view.astype(np.int16) + 10, 0, 255).astype(np.uint8)
    assert flicker(view, view) == pytest.approx(0, abs=1e-3)
    # Ten levels of all three colours are 10 * 219 / 255 of luma, but where the picture is white already.
    assert flicker(view, brighter) == pytest.approx(10 * 219 / 255, rel=0.05)


def test_motion_is_no_flicker_and_boiling_noise_is(photograph: Pixels) -> None:
    here, there = _view(photograph, 0), _view(photograph, 4)
    steady = flicker(here, there)
    boiling = flicker(_noisy(here, 1), _noisy(there, 2))
    # What has moved is followed: without that, the step would differ by far more.
    assert steady < np.abs(here.astype(float) - there).mean() / 3
    assert boiling > 2 * steady


def test_a_cut_is_no_flicker(photograph: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros((144, 160), bool)
    monkeypatch.setattr(temporal, "motion_between", lambda *_: (np.zeros((2, 144, 160), np.float32), nothing))
    assert flicker(_view(photograph, 0), _view(photograph, 4)) is None
