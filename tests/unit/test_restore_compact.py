from dataclasses import asdict, replace
from fractions import Fraction

import numpy as np
import pytest
import torch

import vidsr
from vidsr.errors import ConfigError
from vidsr.models.compact import weights
from vidsr.models.compact.denoiser import DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape
from vidsr.models.compact.weights import WeightsInfo
from vidsr.restore.compact import CompactRestorer, CompactSettings, reduce_to, resolve_diffusion
from vidsr.types import Colour, Frame, Prior, ShotSettings, Work

ESTIMATE = CompactSettings(scale=4, device="cpu", dtype="float32")


def frame(seed: int, *, width: int = 24, height: int = 20) -> Frame:
    rng = np.random.default_rng(seed)
    planes = [rng.integers(16, 236, (height, width), dtype=np.uint8)]
    planes += [rng.integers(100, 156, (height // 2, width // 2), dtype=np.uint8) for _ in range(2)]
    return Frame(
        planes=tuple(planes),
        pix_fmt="yuv420p",
        width=width,
        height=height,
        colour=Colour(matrix=1, full_range=False),
        index=seed,
        pts=seed,
        time_base=Fraction(1, 25),
    )


def work(seed: int, words: str = "strong noise") -> Work:
    return Work(part_index=0, frame=frame(seed), prior=Prior(low_level=words), carry=None, seed=0)


@pytest.fixture(scope="module")
def restorer() -> CompactRestorer:
    return CompactRestorer.load(weights.SHIPPED, ESTIMATE)


def test_reducing_averages_by_exact_area() -> None:
    image = torch.rand(1, 2, 8, 12, dtype=torch.float64)
    for scale in (2, 3, 4):
        matrices = []
        for length in (8, 12):
            edges = np.arange(length * scale // 4 + 1) * 4 / scale
            ends = np.minimum(edges[1:, None], np.arange(1, length + 1))
            cover = np.clip(ends - np.maximum(edges[:-1, None], np.arange(length)), 0, None)
            matrices.append(torch.from_numpy(cover * scale / 4))
        wanted = matrices[0] @ image @ matrices[1].T
        torch.testing.assert_close(reduce_to(image, scale), wanted)


def test_a_batch_gives_the_frames_of_single_steps(restorer: CompactRestorer) -> None:
    batch = [work(seed, words) for seed, words in enumerate(("strong noise", "", "no noise", "strong noise"))]
    together = restorer.step(batch)
    for entry, done in zip(batch, together, strict=True):
        (alone,) = restorer.step([entry])
        for mine, wanted in zip(done.frame.planes, alone.frame.planes, strict=True):
            np.testing.assert_array_equal(mine, wanted)


def test_a_restored_frame_keeps_its_facts(restorer: CompactRestorer) -> None:
    before = frame(7)
    after = restorer.step([work(7)])[0].frame
    assert (after.width, after.height) == (96, 80)
    assert (after.index, after.pts, after.time_base) == (before.index, before.pts, before.time_base)
    assert (after.pix_fmt, after.colour.matrix) == (before.pix_fmt, before.colour.matrix)


def test_words_that_were_not_trained_change_nothing(restorer: CompactRestorer) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    plain = restorer.restore_pixels(pixels, Prior(low_level="strong noise"))
    odd = restorer.restore_pixels(pixels, Prior(low_level="strong noise, cyan cast", high_level="a dog"))
    np.testing.assert_array_equal(plain, odd)


def test_strong_noise_leaves_less_noise_than_no_noise(restorer: CompactRestorer) -> None:
    """On the same noisy flat frame, the energy above the low frequencies; the words alone decide."""
    rng = np.random.default_rng(1)
    pixels = np.clip(128 + rng.normal(0, 12, (1, 48, 48)), 0, 255).astype(np.uint8).repeat(3, axis=0)

    def rough(words: str) -> float:
        luma = restorer.restore_pixels(pixels, Prior(low_level=words)).astype(np.float64).mean(0)
        spectrum = np.abs(np.fft.fft2(luma - luma.mean())) ** 2
        spectrum[:8, :8] = spectrum[:8, -8:] = spectrum[-8:, :8] = spectrum[-8:, -8:] = 0
        return float(spectrum.sum())

    assert rough("strong noise") <= 0.9 * rough("no noise")


def test_deep_pictures_stay_deep(restorer: CompactRestorer) -> None:
    ramp = np.linspace(20_000, 21_000, 32, dtype=np.uint16)[None, None].repeat(16, 1).repeat(3, 0)
    restored = restorer.restore_pixels(ramp, Prior())
    assert restored.dtype == np.uint16
    assert len(np.unique(restored[:, 8:-8, 8:-8])) > 16  # a ramp of 1000 is 4 levels in 8 bits


def test_bfloat16_stays_within_two_levels_of_float32(restorer: CompactRestorer) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 40), dtype=np.uint8)
    other = CompactRestorer.load(weights.SHIPPED, replace(ESTIMATE, dtype="bfloat16"))
    a, b = (one.restore_pixels(pixels, Prior()).astype(int) for one in (restorer, other))
    # bfloat16 has 8 bits of mantissa; the residual it carries on white noise is up to 100 levels.
    assert np.abs(a - b).mean() < 0.5
    assert np.abs(a - b).max() <= 6


WITHOUT = WeightsInfo(training_steps=1, note="")
WITH = WeightsInfo(training_steps=1, note="", steps=2, strength=0.7)


@pytest.mark.parametrize("wanted", [(1, None, 1.0), (None, 0.5, 1.0), (None, None, 2.0), (2, 0.5, 1.0)])
def test_diffusion_is_refused_by_weights_without_one(wanted: tuple[int | None, float | None, float]) -> None:
    steps, strength, guidance_scale = wanted
    with pytest.raises(ConfigError, match="estimate alone"):
        resolve_diffusion(WITHOUT, steps=steps, strength=strength, guidance_scale=guidance_scale)


@pytest.mark.parametrize(
    ("steps", "strength", "resolved"),
    [
        (None, None, (2, 0.7)),
        (0, None, (0, 0.0)),
        (None, 0.0, (0, 0.0)),
        (4, None, (4, 0.7)),
        (None, 0.3, (2, 0.3)),
        (1, 1.0, (1, 1.0)),
    ],
)
def test_what_is_left_out_is_what_the_weights_are_best_at(
    steps: int | None, strength: float | None, resolved: tuple[int, float]
) -> None:
    assert resolve_diffusion(WITH, steps=steps, strength=strength, guidance_scale=1.0) == resolved


@pytest.mark.parametrize("wanted", [(0, 0.5, 1.0), (2, 0.0, 1.0), (0, None, 3.0)])
def test_settings_that_contradict_each_other_are_refused(wanted: tuple[int, float | None, float]) -> None:
    steps, strength, guidance_scale = wanted
    with pytest.raises(ConfigError, match="contradict"):
        resolve_diffusion(WITH, steps=steps, strength=strength, guidance_scale=guidance_scale)


def test_a_shot_may_have_a_strength_and_a_guidance_of_its_own() -> None:
    settings = replace(ESTIMATE, steps=2, strength=0.7)
    entry = work(3)
    restorer = CompactRestorer.load(weights.SHIPPED, settings)
    for asked in (
        ShotSettings(strength=0.0),
        ShotSettings(strength=0.25),
        ShotSettings(guidance_scale=3.0),
        ShotSettings(strength=1.0, guidance_scale=2.0),
    ):
        wanted = {key: value for key, value in asdict(asked).items() if value is not None}
        alone = CompactRestorer.load(weights.SHIPPED, replace(settings, **wanted))
        (plain,), (mine,), (other,) = (
            restorer.step([entry]),
            restorer.step([replace(entry, settings=asked)]),
            alone.step([entry]),
        )
        np.testing.assert_array_equal(mine.frame.planes[0], other.frame.planes[0])
        assert not np.array_equal(mine.frame.planes[0], plain.frame.planes[0]), asked


def test_shots_of_other_settings_share_a_batch() -> None:
    restorer = CompactRestorer.load(weights.SHIPPED, replace(ESTIMATE, steps=1, strength=0.7))
    batch = [
        replace(work(seed), settings=ShotSettings(strength=strength))
        for seed, strength in enumerate((0.0, 1.0, None))
    ]
    for entry, done in zip(batch, restorer.step(batch), strict=True):
        (alone,) = restorer.step([entry])
        np.testing.assert_array_equal(done.frame.planes[0], alone.frame.planes[0])


def test_a_frame_says_how_many_steps_it_took() -> None:
    restorer = CompactRestorer.load(weights.SHIPPED, replace(ESTIMATE, steps=2, strength=0.7))
    (first,) = restorer.step([work(3)])
    (warm,) = restorer.step([replace(work(3), carry=first.carry)])
    (estimate,) = restorer.step([replace(work(3), settings=ShotSettings(strength=0.0))])
    assert (first.steps, warm.steps, estimate.steps) == (2, 1, 0)
    assert estimate.carry is None
    frame_by_frame = CompactRestorer.load(
        weights.SHIPPED, replace(ESTIMATE, steps=3, strength=0.7, warm_start=False)
    )
    assert frame_by_frame.step([work(3)])[0].steps == 3


def test_a_picture_is_restored_from_an_array() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (18, 22, 3), dtype=np.uint8)
    opened = vidsr.open_restorer("xpsr-s", device="cpu")
    for scale in (2, 3, 4):
        restored = opened.restore_image(picture, scale=scale)
        assert (restored.shape, restored.dtype) == ((18 * scale, 22 * scale, 3), np.uint8)
    named = opened.restore_image(picture, prior=Prior(low_level="strong noise"))
    assert not np.array_equal(named, opened.restore_image(picture, prior=Prior(low_level="no noise")))


def test_wrong_arrays_and_names_are_refused() -> None:
    opened = vidsr.open_restorer(device="cpu")
    with pytest.raises(ValueError, match=r"wanted uint8 \[H, W, 3\], got float64"):
        opened.restore_image(np.zeros((4, 4, 3)))
    with pytest.raises(ConfigError, match="scale: wanted 2, 3 or 4, got 5"):
        opened.restore_image(np.zeros((4, 4, 3), dtype=np.uint8), scale=5)
    with pytest.raises(ConfigError, match="unknown picture restorer 'magic'"):
        vidsr.open_restorer("magic")


def test_the_network_fits_its_budget() -> None:
    parameters = sum(
        p.numel() for net in (EstimateNet(UNetShape()), DenoiserNet(UNetShape())) for p in net.parameters()
    )
    assert parameters <= 12_000_000
    assert weights.SHIPPED.stat().st_size <= 24 * 2**20
