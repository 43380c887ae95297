"""Motion is found, followed and doubted where it must be."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidsr.flow import consistency_mask, enlarge_flow, estimate_flow, fading_trust, trusted_share, warp

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "data" / "photographs" / "roman-colosseum.jpg"
PRESETS = ("ultrafast", "fast", "medium")


@pytest.fixture
def photograph() -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(Image.open(PHOTOGRAPH).convert("RGB")).transpose(2, 0, 1))


@pytest.fixture
def _thread_count_is_put_back() -> Iterator[None]:
    count = cv2.getNumThreads()
    yield
    cv2.setNumThreads(count)


def _move(picture: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a picture whose pixel p shows what `picture` has at matrix @ p."""
    size = picture.shape[2], picture.shape[1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        picture.transpose(1, 2, 0), matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return np.ascontiguousarray(moved.transpose(2, 0, 1))


def _flow_of(matrix: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:height, 0:width]
    target = np.einsum("ij,jhw->ihw", matrix, np.stack([columns, rows, np.ones_like(rows)]))
    return (target - np.stack([columns, rows])).astype(np.float32)


def _crops(photograph: NDArray[np.uint8], dx: int, dy: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two views of one photograph, the second shifted so that the flow from the first is (dx, dy)."""
    here = photograph[:, 20:180, 20:180]
    there = photograph[:, 20 - dy : 180 - dy, 20 - dx : 180 - dx]
    return np.ascontiguousarray(here), np.ascontiguousarray(there)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shift", [(5, -3), (-9, 0), (0, 12)])
def test_a_shift_is_found(photograph: NDArray[np.uint8], preset, shift: tuple[int, int]) -> None:
    flow = estimate_flow(*_crops(photograph, *shift), preset=preset)
    inside = flow[:, 20:-20, 20:-20]
    assert np.median(inside[0]) == pytest.approx(shift[0], abs=0.1)
    assert np.median(inside[1]) == pytest.approx(shift[1], abs=0.1)
    error = np.hypot(inside[0] - shift[0], inside[1] - shift[1])
    assert np.percentile(error, 90) < 0.5


def test_a_turn_and_a_zoom_are_found(photograph: NDArray[np.uint8]) -> None:
    matrix = cv2.getRotationMatrix2D((104, 104), 4, 1.05)
    truth = _flow_of(matrix, *photograph.shape[1:])
    flow = estimate_flow(_move(photograph, matrix), photograph)
    error = np.hypot(*(flow - truth))[20:-20, 20:-20]
    assert np.percentile(error, 90) < 0.5


def test_gray_and_colour_pictures_have_the_same_motion(photograph: NDArray[np.uint8]) -> None:
    here, there = _crops(photograph, 3, 2)
    gray = [cv2.cvtColor(picture.transpose(1, 2, 0), cv2.COLOR_RGB2GRAY) for picture in (here, there)]
    np.testing.assert_array_equal(estimate_flow(*gray), estimate_flow(here, there))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (11, 11), (12, 200), (17, 150), (31, 208), (200, 9)])
@pytest.mark.parametrize("preset", PRESETS)
def test_small_pictures_have_a_flow_too(photograph: NDArray[np.uint8], preset, size: tuple[int, int]) -> None:
    here = photograph[:, : size[0], : size[1]]
    flow = estimate_flow(here, here, preset=preset)
    assert flow.shape == (2, *size)
    assert flow.dtype == np.float32
    assert np.abs(flow).max() < 0.5


@pytest.mark.usefixtures("_thread_count_is_put_back")
def test_the_flow_depends_neither_on_threads_nor_on_earlier_calls(photograph: NDArray[np.uint8]) -> None:
    here, there = _crops(photograph, 4, 7)
    expected = estimate_flow(here, there)
    for count in (1, 2, 3, 8):
        cv2.setNumThreads(count)
        np.testing.assert_array_equal(estimate_flow(here, there), expected)
    estimate_flow(there, here)
    with ThreadPoolExecutor(3) as pool:
        for flow in pool.map(lambda _: estimate_flow(here, there), range(6)):
            np.testing.assert_array_equal(flow, expected)


def test_pictures_of_two_sizes_are_refused(photograph: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        estimate_flow(photograph, photograph[:, :-1])


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(21, 34), (3, 21, 34), (5, 21, 34)])
def test_no_motion_changes_nothing(shape: tuple[int, ...], interpolation) -> None:
    picture = np.random.default_rng(0).random(shape, dtype=np.float32)
    still = np.zeros((2, 21, 34), dtype=np.float32)
    np.testing.assert_array_equal(warp(picture, still, interpolation=interpolation), picture)


def test_warping_reads_where_the_flow_points() -> None:
    picture = np.arange(35, dtype=np.float32).reshape(5, 7)
    flow = np.zeros((2, 5, 7), dtype=np.float32)
    flow[0], flow[1] = 2, -1
    warped = warp(picture, flow)
    np.testing.assert_array_equal(warped[1:, :5], picture[:-1, 2:])
    np.testing.assert_array_equal(warped[1:, 5:], np.repeat(picture[:-1, 6:], 2, axis=1))


def test_half_a_pixel_is_interpolated() -> None:
    ramp = np.tile(np.arange(12, dtype=np.float32), (9, 1))
    flow = np.full((2, 9, 12), 0.5, dtype=np.float32)
    np.testing.assert_allclose(warp(ramp, flow)[:, 2:-3], ramp[:, 2:-3] + 0.5, atol=1e-5)


def test_warping_along_the_flow_makes_the_pictures_meet(photograph: NDArray[np.uint8]) -> None:
    matrix = cv2.getRotationMatrix2D((104, 104), -3, 0.97)
    here = _move(photograph, matrix)
    before = np.abs(here.astype(np.float32) - photograph)[:, 20:-20, 20:-20].mean()
    moved = warp(photograph.astype(np.float32), estimate_flow(here, photograph))
    after = np.abs(here.astype(np.float32) - moved)[:, 20:-20, 20:-20].mean()
    assert after < before / 5


def test_a_flow_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        warp(np.zeros((3, 8, 8), dtype=np.float32), np.zeros((2, 8, 9), dtype=np.float32))


def test_what_agrees_both_ways_is_trusted_and_what_leaves_the_picture_is_not() -> None:
    forward = np.zeros((2, 30, 40), dtype=np.float32)
    forward[0] = 6
    mask = consistency_mask(forward, -forward)
    assert mask[:, :34].all()
    assert not mask[:, 34:].any()


def test_flows_that_disagree_are_not_trusted() -> None:
    forward = np.full((2, 30, 40), 2, dtype=np.float32)
    backward = -forward
    backward[:, 10:20] = 0
    mask = consistency_mask(forward, backward)
    assert not mask[8:18, :38].any()
    assert mask[:7, :38].all()


def test_the_limit_is_the_published_one() -> None:
    forward = np.zeros((2, 20, 20), dtype=np.float32)
    backward = np.zeros((2, 20, 20), dtype=np.float32)
    for length, is_trusted in ((0.70, True), (0.72, False)):
        backward[0] = length  # without any forward flow: b^2 <= 0.01 b^2 + 0.5, that is b <= 0.7107
        assert consistency_mask(forward, backward).all() == is_trusted
        assert consistency_mask(forward, backward).any() == is_trusted


def test_ground_that_a_moving_object_covers_is_not_trusted() -> None:
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (140, 200)).astype(np.float32), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    thing = texture[::-1, ::-1][40:100, 60:110]
    here, there = texture.copy(), texture.copy()
    here[40:100, 60:110] = thing
    there[40:100, 72:122] = thing
    mask = consistency_mask(estimate_flow(here, there), estimate_flow(there, here))
    covered = np.zeros_like(mask)
    covered[42:98, 112:121] = True
    untouched = np.zeros_like(mask)
    untouched[10:30, 10:190] = True
    assert mask[covered].mean() < 0.3
    assert mask[untouched].mean() > 0.95


def test_motion_boundaries_are_left_out_on_request() -> None:
    forward = np.zeros((2, 20, 30), dtype=np.float32)
    forward[0, :, 15:] = 0.3
    assert consistency_mask(forward, -forward).all(axis=0)[:29].all()
    mask = consistency_mask(forward, -forward, motion_boundaries=True)
    assert not mask[:, 15].any()
    assert mask[:, :15].all()


def test_an_enlarged_flow_moves_as_far_in_the_larger_picture() -> None:
    flow = np.zeros((2, 6, 8), dtype=np.float32)
    flow[0], flow[1] = 1.5, -0.5
    larger = enlarge_flow(flow, 4)
    assert larger.shape == (2, 24, 32)
    np.testing.assert_allclose(larger[0], 6.0)
    np.testing.assert_allclose(larger[1], -2.0)


def test_a_ramp_of_flow_keeps_its_place_when_enlarged() -> None:
    centres = np.arange(16, dtype=np.float32)
    flow = np.stack([np.tile(0.1 * centres, (16, 1)), np.zeros((16, 16), dtype=np.float32)])
    expected = 2 * 0.1 * ((np.arange(32) + 0.5) / 2 - 0.5)
    np.testing.assert_allclose(enlarge_flow(flow, 2)[0, 16, 1:-1], expected[1:-1], atol=1e-5)


def test_importing_flow_does_not_import_opencv() -> None:
    program = "import sys, vidsr.flow; print('cv2' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(("height", "width"), [(64, 96), (36, 52), (32, 32)])
def test_the_trusted_share_of_blocks_is_their_mean(height: int, width: int) -> None:
    trusted = np.random.default_rng(3).random((height, width)) < 0.6
    padded = np.pad(trusted, ((0, -height % 32), (0, -width % 32)), mode="edge")
    rows, columns = (side // 8 for side in padded.shape)
    wanted = padded.reshape(rows, 8, columns, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(trusted_share(trusted, 8, side=32), wanted, atol=1e-6)


def test_trust_fades_out_where_it_ends() -> None:
    trusted = np.zeros((24, 40), dtype=bool)
    trusted[:, 10:] = True
    fading = fading_trust(trusted, 9)
    np.testing.assert_allclose(fading[12, :10], 0)
    np.testing.assert_allclose(fading[12, 10:15], np.arange(5, 10) / 9, atol=1e-6)
    # The border of the picture is no end of trust.
    np.testing.assert_allclose(fading[:, 14:], 1, atol=1e-6)
