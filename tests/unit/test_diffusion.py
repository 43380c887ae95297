"""Schedule, sampler, noise and warm start, each against what its definition says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidsr.diffusion.noise import carried_noise, fresh_noise
from vidsr.diffusion.sampler import guided, sample
from vidsr.diffusion.schedule import ETAS, NUM_TIMESTEPS, TIMESTEPS, WARM_TIMESTEPS, ResidualSchedule
from vidsr.diffusion.warm_start import DiffusionCarry, cold_start, warm_start
from vidsr.flow import likeness_mask

KAPPA = torch.tensor([1.0, 0.25])[None, :, None, None]
SCHEDULE = ResidualSchedule(kappa=KAPPA)


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_etas_are_those_of_the_recipe() -> None:
    assert [round(eta, 3) for eta in ETAS] == [0.04, 0.399, 0.679, 0.98]


@given(timestep=st.integers(1, NUM_TIMESTEPS))
def test_a_noised_residual_has_the_mean_and_the_variance_of_the_process(timestep: int) -> None:
    steps = torch.full((1,), timestep)
    residual = torch.full((1, 2, 64, 64), 3.0)
    noisy = SCHEDULE.noised(residual, _normal(1, 2, 64, 64, seed=timestep), steps)
    eta = ETAS[timestep - 1]
    for channel, kappa in enumerate((1.0, 0.25)):
        assert float(noisy[0, channel].mean()) == pytest.approx(3 * (1 - eta), abs=0.06)
        assert float(noisy[0, channel].std()) == pytest.approx(kappa * eta**0.5, rel=0.06)


def test_the_way_back_meets_the_way_there() -> None:
    """With the true r0, a reverse step lands on the very x_s that the same noise leads to."""
    residual, noise = _normal(1, 2, 8, 8), _normal(1, 2, 8, 8, seed=1)
    noisy = SCHEDULE.noised(residual, noise, torch.tensor([4]))
    back = SCHEDULE.reverse(noisy, residual, source=4, target=2)
    torch.testing.assert_close(
        back, SCHEDULE.noised(residual, noise, torch.tensor([2])), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("timestep", range(1, NUM_TIMESTEPS + 1))
def test_what_the_network_reads_has_unit_variance(timestep: int) -> None:
    steps = torch.full((1,), timestep)
    noisy = SCHEDULE.noised(_normal(1, 2, 200, 200), _normal(1, 2, 200, 200, seed=1), steps)
    scaled = noisy * SCHEDULE.input_scale(steps)
    assert scaled.std((0, 2, 3)).tolist() == pytest.approx([1, 1], abs=0.03)


@pytest.mark.parametrize("timesteps", [*TIMESTEPS.values(), *WARM_TIMESTEPS.values()])
def test_a_perfect_denoiser_is_believed_whatever_the_steps(timesteps: tuple[int, ...]) -> None:
    residual, asked = _normal(2, 2, 4, 4), []

    def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
        asked.append(timestep.tolist())
        return residual

    drawn = sample(predict, _normal(2, 2, 4, 4, seed=1), timesteps=timesteps, schedule=SCHEDULE)
    assert torch.equal(drawn, residual)
    assert asked == [[step] * 2 for step in timesteps]


def test_a_warm_start_takes_at_most_half_the_steps() -> None:
    assert all(2 * len(WARM_TIMESTEPS[steps]) <= steps for steps in (2, 3, 4))
    assert len(WARM_TIMESTEPS[1]) == 1


def test_guidance_leads_away_from_the_negative() -> None:
    positive, negative = (lambda noisy, _: noisy + 2), (lambda noisy, _: noisy - 1)
    nothing, step = torch.zeros(1), torch.tensor([1])
    assert float(guided(positive, negative, 1.0)(nothing, step)) == 2
    assert float(guided(positive, negative, 3.0)(nothing, step)) == -1 + 3 * 3


def test_without_guidance_the_negative_is_not_asked() -> None:
    def never(noisy: Tensor, timestep: Tensor) -> Tensor:
        raise AssertionError

    assert guided(lambda noisy, _: noisy, never, 1.0)(torch.ones(1), torch.tensor([1])) == 1


def test_noise_belongs_to_part_and_frame() -> None:
    same = [fresh_noise((3, 8, 8), seed=5, index=7) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    for seed, index in ((6, 7), (5, 8)):
        assert not np.array_equal(same[0], fresh_noise((3, 8, 8), seed=seed, index=index))


def test_carried_noise_moves_with_the_picture_and_stays_standard_normal() -> None:
    before = fresh_noise((3, 64, 64), seed=1, index=0)
    flow = np.zeros((2, 64, 64), dtype=np.float32)
    flow[0] = 3.4
    trusted = np.ones((64, 64), dtype=bool)
    trusted[:, -4:] = False
    carried = carried_noise(before, flow, trusted, seed=1, index=1)
    np.testing.assert_array_equal(carried[:, :, :60], before[:, :, 3:63])
    assert not np.isin(carried[:, :, 60:], before).any()
    assert carried.std() == pytest.approx(1, abs=0.03)


def _moving(num: int, *, shift: int = 2) -> list[np.ndarray]:
    """Frames of a textured picture that moves to the right by `shift` pixels a frame."""
    rng = np.random.default_rng(0)
    wide = rng.random((3, 12, 40)).repeat(8, axis=1).repeat(8, axis=2) * 200
    return [wide[:, :, 100 - shift * k : 196 - shift * k].astype(np.uint8) for k in range(num)]


def _carry(seen: np.ndarray) -> DiffusionCarry:
    restored = seen.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32) / 255
    noise = fresh_noise(restored.shape, seed=3, index=0)
    lr = seen.astype(np.float32) / 255
    return DiffusionCarry(seen=seen, lr=lr, sample=restored, result=1 - restored, noise=noise, steps=4)


def test_the_result_before_is_moved_to_where_it_is_now() -> None:
    before, now = _moving(2)
    start = warm_start(_carry(before), now, seed=3, index=1)
    assert start is not None
    assert start.previous is not None
    trusted, moved = start.previous.trusted, start.previous.sample
    np.testing.assert_allclose(start.previous.result, 1 - moved, atol=1e-5)
    here = now.astype(np.float32) / 255
    there = _carry(before).lr
    assert np.abs(start.previous.lr - here)[:, :, 12:-12].mean() < 0.25 * np.abs(there - here).mean()
    wanted = now.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32) / 255
    inside = np.zeros_like(trusted)
    inside[:, 48:-48] = trusted[:, 48:-48]
    assert inside.mean() > 0.5
    assert (
        np.abs(moved - wanted)[:, inside].mean()
        < 0.25 * np.abs(wanted - _carry(before).sample)[:, inside].mean()
    )


def test_another_scene_is_no_start() -> None:
    other = np.random.default_rng(9).integers(0, 256, (3, 96, 96), dtype=np.uint8)
    assert warm_start(_carry(_moving(1)[0]), other, seed=3, index=1) is None


def test_a_lamp_that_goes_on_is_not_trusted() -> None:
    (scene,) = _moving(1)
    lit = scene.copy()
    lit[:, 32:64, 32:64] = np.minimum(lit[:, 32:64, 32:64].astype(int) + 60, 255)
    alike = likeness_mask(lit, scene, np.zeros((2, 96, 96), dtype=np.float32))
    assert not alike[40:56, 40:56].any()
    assert alike[:24].all()


def test_noise_is_no_change() -> None:
    (scene,) = _moving(1)
    rng = np.random.default_rng(2)
    noisy = [np.clip(scene + rng.normal(0, 12, scene.shape), 0, 255).astype(np.uint8) for _ in range(2)]
    assert likeness_mask(*noisy, np.zeros((2, 96, 96), dtype=np.float32)).mean() > 0.98


def test_a_cold_start_has_noise_of_the_results_size_and_nothing_else() -> None:
    start = cold_start(_moving(1)[0], scale=4, seed=1, index=2)
    assert start.noise.shape == (3, 384, 384)
    assert start.previous is None
