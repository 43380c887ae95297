"""Tiles, noise schedule and solvers of XPSR, each against an independent computation."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

from vidsr.diffusion.latent import Multistep, NoiseSchedule, SolverName, make_solver
from vidsr.diffusion.tiles import Grid, offsets

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
SCHEDULE = NoiseSchedule(BETAS)


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 63))
def test_tiles_cover_a_side_and_overlap_as_asked(length: int, tile: int, overlap: int) -> None:
    tile, overlap = min(tile, length), min(overlap, tile - 1, length - 1)
    overlap = min(overlap, tile - 1)
    starts = offsets(length, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] + tile == length
    assert all(later <= earlier + tile - overlap for earlier, later in itertools.pairwise(starts))
    assert len(starts) == len(set(starts))


@given(st.integers(8, 40), st.integers(8, 40), st.integers(4, 16), st.booleans())
def test_what_all_tiles_agree_on_is_what_comes_out(height: int, width: int, tile: int, centred: bool) -> None:
    grid = Grid.over(height, width, tile=tile, overlap=2, is_centred=centred)
    field = torch.arange(4 * height * width, dtype=torch.float32).reshape(1, 4, height, width)
    blended = grid.blend(torch.cat([one.of(field) for one in grid.tiles]))
    torch.testing.assert_close(blended, field, rtol=1e-5, atol=0)


def test_chosen_tiles_leave_the_rest_at_zero() -> None:
    grid = Grid.over(8, 32, tile=8, overlap=2)
    blended = grid.blend(torch.ones(1, 4, 8, 8), [0])
    assert blended[..., :8].eq(1).all()
    assert blended[..., 8:].eq(0).all()


def test_each_latent_belongs_to_the_tile_whose_middle_is_nearest() -> None:
    owners = Grid.over(8, 20, tile=8, overlap=2).owners()
    assert owners[4].tolist() == [0] * 7 + [1] * 6 + [2] * 7


def test_a_picture_that_fits_is_one_tile() -> None:
    assert Grid.whole(5, 9).tiles == ((0, 0, 5, 9),)


def test_the_timesteps_are_those_of_the_published_sampler_and_of_the_recommendation() -> None:
    assert SCHEDULE.timesteps(20, "leading") == list(range(951, 0, -50))
    assert SCHEDULE.timesteps(20, "trailing") == list(range(999, 0, -50))
    reference = DDPMScheduler(**BETAS, steps_offset=1)
    reference.set_timesteps(7)
    assert SCHEDULE.timesteps(7, "leading") == reference.timesteps.tolist()


def test_noise_is_added_as_by_diffusers() -> None:
    latents, noise = torch.randn(2, 1, 4, 5, 6, generator=torch.manual_seed(0)).unbind()
    wanted = DDPMScheduler(**BETAS).add_noise(latents, noise, torch.tensor([801]))
    torch.testing.assert_close(SCHEDULE.add_noise(latents, noise, 801), wanted)


def test_ddpm_is_that_of_diffusers() -> None:
    reference = DDPMScheduler(**BETAS, steps_offset=1)
    reference.set_timesteps(5)
    timesteps = SCHEDULE.timesteps(5, "leading")
    latents = torch.randn(1, 4, 6, 6, generator=torch.manual_seed(1))
    own, theirs = latents, latents
    draws = torch.manual_seed(2)
    solver = make_solver("ddpm", SCHEDULE, timesteps, draw=lambda: torch.randn(1, 4, 6, 6, generator=draws))
    generator = torch.Generator().manual_seed(2)
    for timestep in timesteps:
        own = solver.step(torch.sin(own), timestep, own)
        theirs = reference.step(torch.sin(theirs), timestep, theirs, generator=generator).prev_sample
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["unipc", "dpm"])
def test_solvers_are_those_of_diffusers(name: SolverName) -> None:
    kind = {"unipc": UniPCMultistepScheduler, "dpm": DPMSolverMultistepScheduler}[name]
    betas = {key: value for key, value in BETAS.items() if key != "clip_sample"}
    reference = kind(**betas, timestep_spacing="trailing")
    with pytest.warns(DeprecationWarning, match="copy"):
        reference.set_timesteps(6)
    timesteps = SCHEDULE.timesteps(6, "trailing")
    assert timesteps == reference.timesteps.tolist()
    own = theirs = torch.randn(1, 4, 6, 6, generator=torch.manual_seed(1))
    solver = make_solver(name, SCHEDULE, timesteps, draw=lambda: own)
    for timestep in timesteps:
        own = solver.step(torch.sin(own), timestep, own)
        theirs = reference.step(torch.sin(theirs), timestep, theirs).prev_sample
    torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["unipc", "dpm"])
@pytest.mark.parametrize("begin", [0, 4])
def test_a_solver_that_is_told_the_truth_arrives_at_it(name: str, begin: int) -> None:
    clean, noise = torch.randn(2, 1, 4, 6, 6, generator=torch.manual_seed(3)).unbind()
    timesteps = SCHEDULE.timesteps(8, "trailing")
    latents = SCHEDULE.add_noise(clean, noise, timesteps[begin])
    solver = Multistep(name, SCHEDULE, timesteps, begin=begin)  # type: ignore[arg-type]
    for timestep in timesteps[begin:]:
        alpha = SCHEDULE.alphas_cumprod[timestep]
        latents = solver.step((latents - alpha**0.5 * clean) / (1 - alpha) ** 0.5, timestep, latents)
    assert np.abs((latents - clean).numpy()).max() < 1e-3
