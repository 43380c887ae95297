"""The diffusion of Stable Diffusion's latents: its noise schedule, starts, and the steps back from noise.

DDPM is written out here, with its noise given from outside, so that a run can be compared with the published
one draw by draw; the faster solvers are those of diffusers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

SolverName = Literal["ddpm", "unipc", "dpm"]
Spacing = Literal["leading", "trailing"]
Draw = Callable[[], Tensor]
"""Gives the next field of standard normal numbers, in the shape of the latents."""

MIN_VARIANCE = 1e-20
"""Below which DDPM's variance is not let fall."""


class NoiseSchedule:
    """How much noise there is at each timestep: the betas of a scheduler_config.json."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read the config of a Stable Diffusion folder; its own scheduler class does not matter."""
        self.config = {
            "num_train_timesteps": config.get("num_train_timesteps", 1000),
            "beta_start": config.get("beta_start", 0.00085),
            "beta_end": config.get("beta_end", 0.012),
            "beta_schedule": config.get("beta_schedule", "scaled_linear"),
            "steps_offset": config.get("steps_offset", 1),
            "prediction_type": config.get("prediction_type", "epsilon"),
        }
        # One solver knows the betas as diffusers reads them; all of them agree.
        self.alphas_cumprod: Tensor = UniPCMultistepScheduler(**self.config).alphas_cumprod

    @property
    def num_timesteps(self) -> int:
        """Timesteps of training."""
        return len(self.alphas_cumprod)

    def timesteps(self, steps: int, spacing: Spacing) -> list[int]:
        """Return `steps` timesteps, falling.

        `leading` begins below the noisiest timestep, as the published sampler does. `trailing` begins at it,
        as Lin et al. 2024 ("Common diffusion noise schedules and sample steps are flawed") recommend.
        """
        total = self.num_timesteps
        if spacing == "leading":
            return [
                index * (total // steps) + self.config["steps_offset"] for index in reversed(range(steps))
            ]
        return [round(total - index * total / steps) - 1 for index in range(steps)]

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """Return sqrt(a) latents + sqrt(1 - a) noise."""
        alpha = self.alphas_cumprod[timestep].to(latents.device)
        return alpha**0.5 * latents + (1 - alpha) ** 0.5 * noise


class Solver(Protocol):
    """Takes latents from one timestep to the next."""

    def step(self, noise: Tensor, timestep: int, latents: Tensor) -> Tensor:
        """Return the latents at the timestep after this one.

        Args:
            noise: predicted at this timestep.
            timestep: the next one of those it was made for.
            latents: at this timestep.
        """
        ...


class Ddpm:
    """The ancestral sampler of Ho et al. 2020, eq. 7 and 11, with the smaller variance."""

    def __init__(self, schedule: NoiseSchedule, timesteps: list[int], draw: Draw) -> None:
        """Take steps that are as long as the first one."""
        self._schedule = schedule
        self._draw = draw
        self._stride = schedule.num_timesteps // len(timesteps)

    def step(self, noise: Tensor, timestep: int, latents: Tensor) -> Tensor:
        """Return the latents at the timestep after this one; see Solver."""
        alphas = self._schedule.alphas_cumprod.to(latents.device)
        previous = timestep - self._stride
        alpha = alphas[timestep]
        alpha_before = alphas[previous] if previous >= 0 else torch.ones_like(alpha)
        step_alpha = alpha / alpha_before
        beta = 1 - step_alpha
        clean = (latents - (1 - alpha) ** 0.5 * noise) / alpha**0.5
        mean = (
            alpha_before**0.5 * beta / (1 - alpha) * clean
            + step_alpha**0.5 * (1 - alpha_before) / (1 - alpha) * latents
        )
        variance = ((1 - alpha_before) / (1 - alpha) * beta).clamp_min(MIN_VARIANCE)
        # Drawn at the last step too, where it is nothing: the published sampler draws there.
        return mean + variance**0.5 * self._draw()


class Multistep:
    """A multistep solver of diffusers, which may begin anywhere on its way."""

    def __init__(
        self, name: Literal["unipc", "dpm"], schedule: NoiseSchedule, timesteps: list[int], *, begin: int = 0
    ) -> None:
        """Go through `timesteps` from position `begin`.

        UniPC is Zhao et al. 2023, dpm is DPM-Solver++(2M) of Lu et al. 2022; both of second order.
        """
        scheduler = (
            UniPCMultistepScheduler(**schedule.config, solver_order=2)
            if name == "unipc"
            else DPMSolverMultistepScheduler(**schedule.config, solver_order=2)
        )
        self._scheduler: Any = scheduler
        _follow(self._scheduler, schedule, timesteps)
        self._scheduler.set_begin_index(begin)

    def step(self, noise: Tensor, timestep: int, latents: Tensor) -> Tensor:
        """Return the latents at the timestep after this one; see Solver."""
        after: Tensor = self._scheduler.step(noise, timestep, latents, return_dict=False)[0]
        return after


def _follow(scheduler: Any, schedule: NoiseSchedule, timesteps: list[int]) -> None:  # noqa: ANN401  # diffusers
    """Put a new scheduler on our timesteps: what its set_timesteps does, which has spacings of its own."""
    alphas = schedule.alphas_cumprod[timesteps]
    sigmas = ((1 - alphas) / alphas) ** 0.5
    scheduler.num_inference_steps = len(timesteps)
    scheduler.timesteps = torch.tensor(timesteps)
    scheduler.sigmas = torch.cat([sigmas, torch.zeros(1)])


def make_solver(
    name: SolverName, schedule: NoiseSchedule, timesteps: list[int], *, draw: Draw, begin: int = 0
) -> Solver:
    """Return the solver of that name; only DDPM draws."""
    if name == "ddpm":
        return Ddpm(schedule, timesteps, draw)
    return Multistep(name, schedule, timesteps, begin=begin)
