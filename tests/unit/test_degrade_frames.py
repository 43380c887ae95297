"""What `vidsr degrade` does to frames, and whether each stage of it is distributed as it says."""

import io
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from vidsr.errors import InputError
from vidsr.train import degrade_frames as module
from vidsr.train.degradation import DegradationSet, DegradationStage, InterlaceRange, _drawn_size, _Way
from vidsr.train.degrade_frames import degrade_frames, degraded_size
from vidsr.train.draw import Draw
from vidsr.train.jpeg import jpeg
from vidsr.train.kernels import blur_kernel
from vidsr.train.settings import read_degradation

SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"

NOTHING = DegradationStage(
    blur_probability=0,
    blur_sigma=(0.2, 3),
    resize_probabilities=(0.0, 0.0, 1.0),
    resize_range=(1, 1),
    gaussian_probability=1,
    gaussian_sigma=(0, 0),
    poisson_scale=(0, 0),
    gray_probability=0,
    jpeg_quality=(100, 100),
)


def _frame(height: int = 104, width: int = 120, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    soft = F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), size=(height, width), mode="bicubic")
    return (255 * soft[0].clamp(0, 1)).round().byte().numpy()


def test_a_frame_is_a_quarter_of_what_the_grid_leaves_of_it() -> None:
    light = read_degradation(SETS / "light.yaml")
    (small,) = degrade_frames([_frame(103, 125)], light, seed=(0,))
    assert small.shape == (3, *degraded_size(103, 125, where="a")) == (3, 24, 30)
    with pytest.raises(InputError, match=r"a: is 120x95; wanted at least 96 pixels a side"):
        degraded_size(95, 120, where="a")


def test_frames_in_chunks_are_the_frames_of_one_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    light = read_degradation(SETS / "light.yaml")
    whole = list(degrade_frames([_frame()] * 5, light, seed=(4,)))
    monkeypatch.setattr(module, "CHUNK", 2)
    np.testing.assert_array_equal(list(degrade_frames([_frame()] * 5, light, seed=(4,))), whole)
    # Each has grains of its own, and the same kernels.
    assert len({frame.tobytes() for frame in whole}) == 5


def test_a_clip_follows_from_its_seed() -> None:
    full = read_degradation(SETS / "full.yaml")
    first, again, other = (list(degrade_frames([_frame()] * 2, full, seed=(seed,))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def _noise(stage: DegradationStage, *, level: float, seed: int = 0) -> torch.Tensor:
    """Return what a stage adds to a flat gray picture, [3, 256, 256], in levels."""
    way = _Way(torch.full((3, 256, 256), level / 255))
    way.add_noise(Draw(seed), Draw(seed, 1), stage)
    return 255 * (way.pair[1] - way.pair[0])


@pytest.mark.parametrize("sigma", [2.0, 10.0, 25.0])
def test_gaussian_noise_has_its_variance_and_no_mean(sigma: float) -> None:
    noise = _noise(replace(NOTHING, gaussian_sigma=(sigma, sigma)), level=128)
    # Of 196,608 samples: five standard errors of a variance, and of a mean.
    assert float(noise.var()) == pytest.approx(sigma**2, rel=5 * math.sqrt(2 / noise.numel()))
    assert abs(float(noise.mean())) < 5 * sigma / math.sqrt(noise.numel())


@pytest.mark.parametrize("level", [32.0, 128.0])
def test_poisson_noise_grows_with_the_signal(level: float) -> None:
    stage = replace(NOTHING, gaussian_probability=0, poisson_scale=(1.5, 1.5))
    # Counts of the level itself have its variance.
    assert float(_noise(stage, level=level).var()) == pytest.approx(1.5**2 * level, rel=0.03)


def test_gray_noise_is_the_same_in_all_colours() -> None:
    gray = _noise(replace(NOTHING, gaussian_sigma=(9, 9), gray_probability=1), level=128)
    coloured = _noise(replace(NOTHING, gaussian_sigma=(9, 9)), level=128)
    torch.testing.assert_close(gray[0], gray[1])
    assert abs(float(torch.corrcoef(coloured.flatten(1))[0, 1])) < 0.02


def test_a_resize_goes_up_down_and_keeps_as_often_as_its_set_says() -> None:
    stage = replace(NOTHING, resize_probabilities=(0.2, 0.7, 0.1), resize_range=(0.5, 1.5))
    sides = [_drawn_size(Draw(seed), stage, base=(100, 100))[0] for seed in range(300)]
    shares = [
        np.mean([side > 100 for side in sides]),
        np.mean([side < 100 for side in sides]),
        np.mean([side == 100 for side in sides]),
    ]
    # Four standard errors of a share of 300; a factor near 1 counts as keeping.
    assert shares == pytest.approx([0.2, 0.7, 0.1], abs=4 * math.sqrt(0.25 / 300))
    assert min(sides) >= 50
    assert max(sides) <= 150


def test_kernels_have_all_sizes_and_sinc_its_share() -> None:
    kernels = [blur_kernel(Draw(seed), (0.2, 3.0)) for seed in range(400)]
    sizes = Counter(kernel.shape[0] for kernel in kernels)
    assert set(sizes) == set(range(7, 22, 2))
    # Only a sinc has weights below zero; where it lets everything pass, barely.
    share = np.mean([float(kernel.min()) < -1e-4 for kernel in kernels])
    assert share == pytest.approx(0.1, abs=4 * math.sqrt(0.1 * 0.9 / 400))


def test_half_of_the_kernels_are_round_and_the_others_are_not() -> None:
    kernels = [blur_kernel(Draw(seed), (0.8, 3.0)) for seed in range(400)]
    gaps = [float((kernel - kernel.rot90()).abs().max() / kernel.max()) for kernel in kernels]
    # iso 0.45 and 0.12 and 0.12 of nine tenths, and sinc; those of two sigmas are rarely equal.
    share = np.mean([gap < 1e-4 for gap in gaps])
    assert share == pytest.approx(0.1 + 0.9 * 0.69, abs=4 * math.sqrt(0.25 / 400))


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_round_gaussian_kernels_have_their_width(sigma: float) -> None:
    spreads = []
    for seed in range(120):
        kernel = blur_kernel(Draw(seed), (sigma, sigma))
        axis = torch.arange(kernel.shape[0]) - (kernel.shape[0] - 1) / 2
        spreads.append(math.sqrt(max(0.0, float((kernel.sum(0) * axis**2).sum()))))
    # Three fifths are Gaussian, and most of their kernels wide enough to hold them.
    assert np.median(spreads) == pytest.approx(sigma, rel=0.12)


def _file_size(picture: torch.Tensor, quality: int) -> int:
    file = io.BytesIO()
    pixels = (255 * picture).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
    return file.tell()


def test_what_jpeg_leaves_fills_a_file_of_the_same_size() -> None:
    generator = torch.Generator().manual_seed(0)
    soft = F.interpolate(torch.rand(1, 3, 12, 12, generator=generator), size=128, mode="bicubic")
    clean = (soft + 0.05 * torch.randn(1, 3, 128, 128, generator=generator)).clamp(0, 1)
    sizes = []
    for quality in (30, 60, 90):
        sizes.append(_file_size(clean[0], quality))
        # Libjpeg finds in our result what it would have kept of the picture itself.
        assert _file_size(jpeg(clean, quality)[0], quality) == pytest.approx(sizes[-1], rel=0.05)
    assert sizes == sorted(sizes)


def test_plain_reduction_draws_nothing() -> None:
    plain = DegradationSet(stages=None)
    first, other = (list(degrade_frames([_frame()], plain, seed=(seed,))) for seed in (1, 2))
    np.testing.assert_array_equal(first, other)


def _moving(count: int) -> list[np.ndarray]:
    """Vertical stripes that go to the right."""
    columns = np.arange(128)
    frames = [np.where((columns + 8 * index) // 16 % 2, 200, 50) for index in range(count)]
    return [np.tile(frame.astype(np.uint8), (3, 128, 1)) for frame in frames]


def _combing(stage: DegradationStage, **strength: float) -> DegradationSet:
    interlace = InterlaceRange(probability=1, strength=(strength["low"], strength["high"]))
    return DegradationSet(stages=(stage, stage), interlace=interlace)


def test_combing_puts_rows_of_the_next_frame_into_every_other_row() -> None:
    plain = list(degrade_frames(_moving(3), DegradationSet(stages=(NOTHING, NOTHING)), seed=(0,)))
    woven = list(degrade_frames(_moving(3), _combing(NOTHING, low=1, high=1), seed=(0,)))
    for index in (0, 1):
        rows = [
            [np.array_equal(woven[index][:, row], plain[at][:, row]) for row in range(32)]
            for at in (index, index + 1)
        ]
        assert rows[0] in ([True, False] * 16, [False, True] * 16)
        assert rows[1] == [not own for own in rows[0]]
    np.testing.assert_array_equal(woven[2], plain[2])


def test_combing_goes_across_the_border_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = _combing(NOTHING, low=0.3, high=0.7)
    whole = list(degrade_frames(_moving(5), weak, seed=(0,)))
    monkeypatch.setattr(module, "CHUNK", 2)
    np.testing.assert_array_equal(list(degrade_frames(_moving(5), weak, seed=(0,))), whole)


def test_the_broadcast_set_has_three_codecs_and_combing() -> None:
    broadcast = read_degradation(SETS / "broadcast.yaml")
    assert broadcast.interlace == InterlaceRange(probability=0.3, strength=(0.2, 1.0))
    assert broadcast.codec is not None
    assert (broadcast.codec.h264_probability, broadcast.codec.hevc_probability) == (0.4, 0.3)
