"""What is done to clean pictures, and whether the words say so."""

import io
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vidsr.errors import ConfigError
from vidsr.train.blur_probe import BlurProbe
from vidsr.train.degradation import (
    CodecRange,
    DegradationSet,
    Degraded,
    degrade,
    degrade_clip,
    equal_jpeg_quality,
)
from vidsr.train.draw import Draw
from vidsr.train.jpeg import jpeg
from vidsr.train.kernels import blur_kernel, filter_picture, sinc_kernel
from vidsr.train.settings import read_degradation

SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"


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


def _mean(values: Iterable[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def test_the_full_set_is_noisier_and_harder_compressed_than_the_light_one() -> None:
    light, full = ([_degrade(name, seed).truth for seed in range(16)] for name in ("light", "full"))
    noise, quality = (
        [_mean(getattr(truth, field) for truth in truths) for truths in (light, full)]
        for field in ("noise_sigma", "jpeg_quality")
    )
    assert noise[1] > 1.3 * noise[0]
    assert quality[1] < quality[0] - 8


def _gaussian(sigma: float) -> Tensor:
    axis = torch.arange(-10.0, 11.0)
    line = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = torch.outer(line, line)
    return kernel / kernel.sum()


@pytest.mark.parametrize("sigma", [1.6, 2.4, 3.2])
def test_the_probe_tells_the_blur_of_the_result_from_that_before_a_reduction(sigma: float) -> None:
    probe = BlurProbe(sides=(192, 192))
    probe.filter(_gaussian(sigma))
    probe.resize((48, 48), "area")
    assert probe.sigma() == pytest.approx(sigma / 4, abs=0.1)


def test_the_probe_adds_up_what_blurs_on_the_way() -> None:
    probe = BlurProbe(sides=(192, 192))
    probe.filter(_gaussian(3.0))
    probe.resize((96, 96), "area")
    probe.filter(_gaussian(1.5))
    probe.resize((48, 48), "area")
    assert probe.sigma() == pytest.approx(math.hypot(3 / 4, 1.5 / 2), abs=0.15)


def test_reducing_and_enlarging_blurs_too_and_plain_reduction_does_not() -> None:
    softened, plain = BlurProbe(sides=(192, 192)), BlurProbe(sides=(192, 192))
    softened.resize((30, 30), "area")
    softened.resize((48, 48), "bilinear")
    plain.resize((48, 48), "area")
    assert softened.sigma() > 0.5
    assert plain.sigma() == 0


def test_frames_of_a_clip_differ_in_their_noise_alone() -> None:
    settings, clean = read_degradation(SETS / "full.yaml"), _scene()
    grains = [Draw(5, frame) for frame in (0, 0, 1)]
    first, again, second = degrade_clip([clean] * 3, Draw(5), settings, grains=grains)
    assert torch.equal(first.lr, again.lr)
    assert not torch.equal(first.lr, second.lr)
    assert torch.equal(first.without_noise, second.without_noise)
    assert first.truth.blur_sigma == second.truth.blur_sigma
    assert first.truth.noise_sigma == pytest.approx(second.truth.noise_sigma, rel=0.3)


def _coded(name: str, quality: int) -> DegradationSet:
    stages = read_degradation(SETS / "light.yaml").stages
    return DegradationSet(
        stages=stages,
        codec=CodecRange(
            h264_probability=float(name == "h264"),
            hevc_probability=float(name == "hevc"),
            h264_crf=(quality, quality),
            hevc_crf=(quality, quality),
            mpeg2_quantizer=(quality, quality),
        ),
    )


@pytest.mark.parametrize(("name", "good", "bad"), [("h264", 15, 38), ("hevc", 15, 38), ("mpeg2", 2, 20)])
def test_a_codec_loses_more_the_harder_it_is_pressed(name: str, good: int, bad: int) -> None:
    fine, coarse = (degrade(_scene(), Draw(4), _coded(name, quality)) for quality in (good, bad))
    assert torch.equal(fine.without_compression, coarse.without_compression)
    lost = [float((one.lr - one.without_compression).abs().mean()) for one in (fine, coarse)]
    assert lost[0] < 0.5 * lost[1]
    assert (fine.truth.jpeg_quality or 0) > 20 + (coarse.truth.jpeg_quality or 100)


def test_a_clip_goes_through_the_codec_as_one() -> None:
    """The second frame is coded as what has changed since the first: nothing, if their noise is the same."""
    settings = _coded("h264", 30)
    grains = [Draw(1), Draw(1)]
    first, second = degrade_clip([_scene()] * 2, Draw(4), settings, grains=grains)
    assert torch.equal(first.without_compression, second.without_compression)
    lost = [float((one.lr - one.without_compression).square().mean()) for one in (first, second)]
    assert lost[1] <= 1.1 * lost[0]


def test_a_codecs_loss_is_told_as_the_quality_of_an_equal_jpeg() -> None:
    picture = _scene()[None]
    for quality in (40.0, 70.0, 90.0):
        assert equal_jpeg_quality(picture, jpeg(picture, quality)) == pytest.approx(quality, abs=4)


def test_no_block_grid_is_claimed_where_a_resize_has_washed_it_out() -> None:
    qualities = [_degrade("light", seed).truth.jpeg_quality for seed in range(30)]
    assert 5 <= sum(quality is None for quality in qualities) <= 20


def test_kernels_sum_to_one_and_are_centred() -> None:
    for seed in range(40):
        for kernel in (blur_kernel(Draw(seed), (0.2, 3.0)), sinc_kernel(Draw(seed))):
            assert kernel.shape[0] == kernel.shape[1]
            assert kernel.shape[0] in range(7, 22, 2)
            assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
            torch.testing.assert_close(kernel, kernel.rot90(2), atol=1e-6, rtol=0)


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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "codec:",
            "codecs:",
            "unknown key codecs, did you mean codec?; known are first, second, codec, interlace",
        ),
        ("interlace:", "quality: 1\ninterlace:", "unknown key quality; known are first, second"),
        ("second:", "socend:", "unknown key socend, did you mean second?"),
        ("  hevc_crf:", "  hevc_crv:", "codec: unknown key hevc_crv, did you mean hevc_crf?"),
        ("  strength:", "  strengths:", "interlace: unknown key strengths, did you mean strength?"),
        ("  blur_sigma:", "  blur_sigmas:", "first: unknown key blur_sigmas, did you mean blur_sigma?"),
        ("  blur_probability: 1.0\n", "", "first: lacks the key blur_probability"),
        ("  h264_crf: [20, 36]", "  h264_crf: [20, 36.5]", "codec: h264_crf: wanted int, got 36.5"),
    ],
)
def test_a_set_is_refused_with_the_key_that_is_wrong(old: str, new: str, words: str, tmp_path: Path) -> None:
    text = (SETS / "broadcast.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {words}")):
        read_degradation(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("first: null\n", "lacks the key second"),
        ("{}", "lacks the keys first, second"),
        (
            "first: null\nsecond: null\ninterlace: {probability: 1, strength: [0, 1]}\n",
            "codec and interlace follow",
        ),
    ],
)
def test_a_set_of_nothing_but_bicubic_says_so(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.yaml: {words}"):
        read_degradation(tmp_path / "mine.yaml")
