"""What is done to clean pictures, and whether the words say so."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vidsr.train.degradation import DegradationSet, Degraded, degrade, filter_picture
from vidsr.train.draw import Draw
from vidsr.train.jpeg import jpeg
from vidsr.train.kernels import blur_kernel, sinc_kernel, variance
from vidsr.train.settings import read_degradation

SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Pictures of this size are slower on two threads than on one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _scene(size: int = 96, seed: int = 0) -> Tensor:
    """Something like a photograph: soft shapes, an edge, a little texture. [3, size, size] in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    soft = F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), size=size, mode="bicubic")[0]
    soft[:, :, size // 2 :] *= 0.6
    return (soft + 0.03 * torch.randn(soft.shape, generator=generator)).clamp(0, 1)


def _degrade(name: str, *seed: int) -> Degraded:
    return degrade(_scene(), Draw(*seed), read_degradation(SETS / f"{name}.yaml"))


@pytest.mark.parametrize("name", ["light", "full", "bicubic"])
def test_a_degraded_picture_is_a_quarter_and_in_8_bit_levels(name: str) -> None:
    for seed in range(5):
        lr = _degrade(name, seed).lr
        assert lr.shape == (3, 24, 24)
        torch.testing.assert_close(lr * 255, torch.round(lr * 255), atol=1e-4, rtol=0)
        assert 0 <= float(lr.min()) <= float(lr.max()) <= 1


def test_the_same_seed_gives_the_same_picture_and_another_another() -> None:
    first, again, other = _degrade("light", 1, 2), _degrade("light", 1, 2), _degrade("light", 1, 3)
    assert torch.equal(first.lr, again.lr)
    assert first.truth == again.truth
    assert not torch.equal(first.lr, other.lr)


def test_a_batch_around_a_sample_does_not_change_it() -> None:
    torch.manual_seed(1)
    before = _degrade("full", 4).lr
    torch.rand(100)
    assert torch.equal(before, _degrade("full", 4).lr)


def test_plain_reduction_is_that_of_pil() -> None:
    # Both round to 8 bits, Pillow once on each axis: they may differ by a level.
    clean = torch.round(_scene() * 255)
    wanted = Image.fromarray(clean.permute(1, 2, 0).byte().numpy()).resize((24, 24), Image.Resampling.BICUBIC)
    got = degrade(clean / 255, Draw(0), DegradationSet(stages=None)).lr * 255
    assert np.abs(got.permute(1, 2, 0).numpy() - np.asarray(wanted, dtype=np.float32)).max() <= 1.01


def test_noise_is_what_tells_a_picture_from_its_quiet_twin() -> None:
    degraded = _degrade("full", 8)
    difference = 255 * (degraded.lr - degraded.without_noise)
    luma = 0.299 * difference[0] + 0.587 * difference[1] + 0.114 * difference[2]
    assert degraded.truth.noise_sigma == pytest.approx(float(luma.std()), abs=1e-3)
    assert float(luma.abs().max()) > 0


def test_the_full_set_is_noisier_and_harder_compressed_than_the_light_one() -> None:
    light, full = ([_degrade(name, seed).truth for seed in range(16)] for name in ("light", "full"))
    noise, quality = (
        [float(np.mean([getattr(truth, field) for truth in truths])) for truths in (light, full)]
        for field in ("noise_sigma", "jpeg_quality")
    )
    assert noise[1] > 1.3 * noise[0]
    assert quality[1] < quality[0] - 8


def test_the_stated_blur_is_that_of_the_kernels_alone() -> None:
    """A Gaussian of sigma 2 before a reduction by 4 counts as 0.5 pixels of the result."""
    for seed in range(10):
        truth = _degrade("light", seed).truth
        # First stage at most 3 / 4 of a pixel; second 1.5 at up to 1 / 0.3 times the size of the result.
        assert 0 <= (truth.blur_sigma or 0) < 5.1


def test_kernels_sum_to_one_and_are_centred() -> None:
    for seed in range(40):
        for kernel in (blur_kernel(Draw(seed), (0.2, 3.0)), sinc_kernel(Draw(seed))):
            assert kernel.shape[0] == kernel.shape[1]
            assert kernel.shape[0] in range(7, 22, 2)
            assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
            torch.testing.assert_close(kernel, kernel.rot90(2), atol=1e-6, rtol=0)


def test_the_variance_of_a_gaussian_is_its_sigma_squared() -> None:
    axis = torch.arange(-12.0, 13.0)
    line = torch.exp(-(axis**2) / (2 * 2.5**2))
    kernel = torch.outer(line, line)
    assert variance(kernel / kernel.sum()) == pytest.approx(2.5**2, rel=1e-3)


def test_filtering_is_the_direct_sum() -> None:
    image, kernel = _scene(40)[None], Draw(3).normal(9, 9)  # no symmetry that could hide a mistake
    margin = kernel.shape[0] // 2
    padded = F.pad(image, (margin,) * 4, mode="reflect")
    wanted = F.conv2d(padded, kernel.flip(0, 1).expand(3, 1, -1, -1), groups=3)
    torch.testing.assert_close(filter_picture(image, kernel), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_compression_is_that_of_libjpeg(quality: int) -> None:
    # Pillow's libjpeg is the oracle. It rounds to whole levels between its steps, so here and there a
    # coefficient falls into the next bin: what differs is small beside what is lost.
    for clean in (torch.round(_scene(64) * 255), torch.round(_scene(64)[:1].expand(3, 64, 64) * 255)):
        file = io.BytesIO()
        Image.fromarray(clean.permute(1, 2, 0).byte().numpy()).save(
            file, "JPEG", quality=quality, subsampling=2
        )
        wanted = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float()
        got = jpeg(clean[None] / 255, quality)[0] * 255
        loss = float((wanted - clean).abs().mean())
        assert float((got - wanted).abs().mean()) < 0.25 * loss


def test_compression_leaves_odd_sizes_as_they_are() -> None:
    assert jpeg(_scene(40)[None, :, :33, :17], 50).shape == (1, 3, 33, 17)


def test_the_best_quality_costs_almost_nothing() -> None:
    gray = _scene(32).mean(0, keepdim=True).expand(1, 3, 32, 32)
    assert float((jpeg(gray, 100) - gray).abs().max()) < 3 / 255


def test_the_shipped_sets_are_those_of_the_specification() -> None:
    light, full = (read_degradation(SETS / f"{name}.yaml").stages for name in ("light", "full"))
    assert light is not None
    assert full is not None
    assert [stage.jpeg_quality for stage in (*light, *full)] == [(60, 95), (60, 100), (30, 95), (30, 95)]
    assert [stage.gaussian_sigma for stage in (*light, *full)] == [(1, 15), (1, 12), (1, 30), (1, 25)]
    assert [stage.resize_range for stage in (*light, *full)] == [
        (0.3, 1.5),
        (0.6, 1.2),
        (0.15, 1.5),
        (0.3, 1.2),
    ]
    assert read_degradation(SETS / "bicubic.yaml").stages is None
