"""The denoiser of xpsr-s, and the restorer that samples with it."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsr.diffusion.schedule import TIMESTEPS, WARM_TIMESTEPS
from vidsr.diffusion.warm_start import DiffusionCarry, Previous
from vidsr.models.compact import text
from vidsr.models.compact.denoiser import Condition, DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import Priors, UNetShape
from vidsr.models.compact.weights import CompactModel
from vidsr.restore.compact import CompactRestorer, CompactSettings
from vidsr.types import Colour, Done, Frame, Prior, Work

TINY = UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_sfa=1, num_heads=4)
SETTINGS = CompactSettings(scale=4, device="cpu", dtype="float32", steps=2, strength=1.0)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _model() -> CompactModel:
    """A model whose zero-initialised layers are not zero, as after training."""
    generator = torch.Generator().manual_seed(5)
    denoiser = DenoiserNet(TINY)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        denoiser.sigma.fill_(0.05)
    return CompactModel(EstimateNet(TINY), denoiser).eval()


MODEL = _model()


def _restorer(**changes: object) -> CompactRestorer:
    return CompactRestorer(MODEL, replace(SETTINGS, **changes))  # type: ignore[arg-type]  # of the settings


def _priors(high: str = "", low: str = "strong noise") -> Priors:
    return MODEL.estimate.read(text.tokenize([high]), text.tokenize([low]))


def _condition(**changes: Tensor) -> Condition:
    nothing = torch.zeros(1, 192, 8, 8)
    plain = Condition(_random(1, 3, 16, 16), _random(1, 3, 64, 64, seed=1), nothing, nothing[:, :1])
    return plain._replace(**changes)


def _denoiser() -> DenoiserNet:
    assert MODEL.denoiser is not None
    return MODEL.denoiser


def _predict(condition: Condition, *, timestep: int = 2, high: str = "") -> Tensor:
    with torch.no_grad():
        noisy = torch.randn(1, 192, 8, 8, generator=torch.Generator().manual_seed(2))
        return _denoiser()(noisy, torch.tensor([timestep]), condition, _priors(high))


def test_an_untrained_denoiser_leaves_the_estimate_as_it_is() -> None:
    network = DenoiserNet(TINY).eval()
    with torch.no_grad():
        predicted = network(_random(1, 192, 8, 8), torch.tensor([3]), _condition(), _priors())
    assert not predicted.any()


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": _random(1, 3, 16, 16, seed=7)},
        {"estimate": _random(1, 3, 64, 64, seed=7)},
        {"previous": _random(1, 192, 8, 8, seed=7)},
        {"trust": torch.ones(1, 1, 8, 8)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_everything_it_is_told_reaches_the_prediction(changes: dict[str, Tensor]) -> None:
    assert not torch.allclose(_predict(_condition(**changes)), _predict(_condition()), atol=1e-4)


def test_timestep_and_content_reach_the_prediction() -> None:
    plain = _predict(_condition())
    assert not torch.allclose(_predict(_condition(), timestep=3), plain, atol=1e-3)
    assert not torch.allclose(_predict(_condition(), high="a dog in snow"), plain, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (52, 36), (4, 4)])
def test_a_residual_added_to_the_estimate_gives_the_picture_back(height: int, width: int) -> None:
    network = _denoiser()
    image, estimate = _random(1, 3, height, width), _random(1, 3, height, width, seed=1)
    residual = network.residual(image, estimate)
    torch.testing.assert_close(estimate + network.added(residual, estimate), image, atol=1e-5, rtol=0)


def test_noise_of_pixels_is_noise_of_coefficients() -> None:
    planes = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    spectrum = _denoiser().transform.spectrum(planes)
    assert spectrum.shape == (1, 192, 16, 16)
    assert float(spectrum.square().sum()) == pytest.approx(float(planes.square().sum()), rel=1e-4)
    assert float(spectrum.mean((2, 3)).abs().max()) < 0.3


def _scene(index: int, *, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A textured luma plane that moves two pixels a frame."""
    rng = np.random.default_rng(0)
    wide = rng.integers(40, 200, (height // 4, 40)).repeat(4, axis=0).repeat(4, axis=1)
    return wide[:, 40 + 2 * index : 40 + 2 * index + width].astype(np.uint8)


def _frame(index: int, luma: NDArray[np.uint8]) -> Frame:
    height, width = luma.shape
    chroma = np.full((height // 2, width // 2), 128, dtype=np.uint8)
    return Frame(
        planes=(luma, chroma, chroma),
        pix_fmt="yuv420p",
        width=width,
        height=height,
        colour=Colour(matrix=1, full_range=False),
        index=index,
        pts=index,
        time_base=Fraction(1, 25),
    )


def _run(restorer: CompactRestorer, num: int, *, seed: int = 1, first: int = 0) -> list[Done]:
    results: list[Done] = []
    for index in range(first, first + num):
        carry = results[-1].carry if results else None
        work = Work(part_index=0, frame=_frame(index, _scene(index)), prior=Prior(), carry=carry, seed=seed)
        results += restorer.step([work])
    return results


def _steps(done: Done) -> int:
    assert isinstance(done.carry, DiffusionCarry)
    return done.carry.steps


def _luma(done: Done) -> NDArray[np.float64]:
    return done.frame.planes[0].astype(np.float64)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_frames_after_the_first_start_warm(steps: int) -> None:
    results = _run(_restorer(steps=steps), 3)
    wanted = [len(TIMESTEPS[steps]), *[len(WARM_TIMESTEPS[steps])] * 2]
    assert [_steps(done) for done in results] == wanted


def test_a_frame_that_shows_something_else_starts_from_noise_again() -> None:
    restorer = _restorer()
    (before,) = _run(restorer, 1)
    other = np.random.default_rng(3).integers(20, 230, (48, 64), dtype=np.uint8)
    work = Work(part_index=0, frame=_frame(1, other), prior=Prior(), carry=before.carry, seed=1)
    (warm,) = restorer.step([work])
    (cold,) = restorer.step([replace(work, carry=None)])
    np.testing.assert_array_equal(_luma(warm), _luma(cold))
    assert _steps(warm) == len(TIMESTEPS[2])


def test_fusion_brings_frames_nearer_to_the_one_before_and_not_the_first() -> None:
    plain, fused = (_run(_restorer(fusion=fusion), 3) for fusion in (0.0, 0.6))
    np.testing.assert_array_equal(_luma(plain[0]), _luma(fused[0]))

    def change(results: list[Done]) -> float:
        # The scene moves by two pixels a frame, eight in the result.
        return float(np.abs(_luma(results[2])[:, 16:-32] - _luma(results[1])[:, 24:-24]).mean())

    assert change(fused) < 0.95 * change(plain)


def test_fusion_leaves_alone_what_is_not_trusted() -> None:
    previous = Previous(
        lr=np.zeros((3, 8, 8), np.float32),
        sample=np.zeros((3, 32, 32), np.float32),
        result=np.zeros((3, 32, 32), np.float32),
        trusted=np.arange(32)[None, :].repeat(32, axis=0) < 16,
    )
    fused = _restorer(fusion=0.5)._fused(torch.ones(1, 3, 32, 32), previous)[0, 0, 16]
    assert torch.equal(fused[16:], torch.ones(16))
    assert torch.allclose(fused[:11], torch.full((11,), 0.5))
    assert bool((fused[1:] >= fused[:-1] - 1e-6).all())


@pytest.mark.parametrize(
    ("low_level", "is_quieter"), [("moderate noise", True), ("", True), ("no noise", False)]
)
def test_noise_is_averaged_away_before_a_frame_is_restored_unless_it_is_denied(
    low_level: str, is_quieter: bool
) -> None:
    def carried(index: int, sigma: float, before: DiffusionCarry | None) -> DiffusionCarry:
        noise = np.random.default_rng(index).normal(0, sigma, (48, 64))
        pixels = np.clip(_scene(0) + noise, 16, 235).astype(np.uint8)
        prior = Prior(low_level=low_level)
        work = Work(part_index=0, frame=_frame(index, pixels), prior=prior, carry=before, seed=1)
        (done,) = _restorer().step([work])
        assert isinstance(done.carry, DiffusionCarry)
        return done.carry

    clean = carried(0, 0, None).lr
    noisy = carried(2, 10, carried(1, 10, carried(0, 10, None)))
    given, restored = (float(np.abs(picture - clean).mean()) for picture in (noisy.seen / 255, noisy.lr))
    assert restored < 0.85 * given if is_quieter else restored == pytest.approx(given, rel=1e-4)


def test_without_warm_start_nothing_is_carried() -> None:
    results = _run(_restorer(warm_start=False), 2)
    assert [done.carry for done in results] == [None, None]


def test_results_depend_on_the_seed_and_on_nothing_else() -> None:
    first, again, other = (_run(_restorer(), 2, seed=seed) for seed in (1, 1, 2))
    for mine, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(_luma(mine), _luma(same))
        assert not np.array_equal(_luma(mine), _luma(different))


def test_parts_side_by_side_are_the_parts_one_by_one() -> None:
    restorer = _restorer()
    alone = [_run(restorer, 3, seed=seed, first=seed) for seed in (1, 2)]
    carries: list[DiffusionCarry | None] = [None, None]
    for position in range(3):
        batch = [
            Work(
                part_index=part,
                frame=_frame(seed + position, _scene(seed + position)),
                prior=Prior(),
                carry=carries[part],
                seed=seed,
            )
            for part, seed in enumerate((1, 2))
        ]
        together = restorer.step(batch)
        for part, done in enumerate(together):
            np.testing.assert_array_equal(_luma(done), _luma(alone[part][position]))
        carries = [done.carry for done in together]  # type: ignore[misc]  # its own carries


def test_strength_moves_between_the_estimate_and_the_sample() -> None:
    pixels = np.stack([_scene(0)] * 3)
    estimate = _restorer(steps=0, strength=0.0).restore_pixels(pixels, Prior()).astype(int)
    half, full = (
        _restorer(strength=strength).restore_pixels(pixels, Prior()).astype(int) for strength in (0.5, 1.0)
    )
    inside = (full > 0) & (full < 255)
    assert np.abs(full - estimate)[inside].mean() > 1
    assert np.abs((full + estimate) / 2 - half)[inside].max() <= 1


def test_guidance_changes_the_result_away_from_the_negative() -> None:
    pixels = np.stack([_scene(0)] * 3)
    plain, guided = (_restorer(guidance_scale=scale).restore_pixels(pixels, Prior()) for scale in (1.0, 4.0))
    assert not np.array_equal(plain, guided)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_odd_sizes_are_restored_at_every_scale(scale: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 13, 21), dtype=np.uint8)
    assert _restorer(scale=scale).restore_pixels(pixels, Prior()).shape == (3, 13 * scale, 21 * scale)
