"""The diffusion of a residual in few steps.

ResShift (Yue et al. 2023, "ResShift: efficient diffusion model for image super-resolution by residual
shifting", eq. 2 and 5) with the end point of the shift at zero, since the estimate is subtracted before:

    x_t = (1 - eta_t) r0 + kappa sqrt(eta_t) eps

The way back keeps its eps instead of drawing new noise at each step, as DDIM does (Song et al. 2021, eq. 12
with sigma = 0): a frame then has one field of noise, and that can be carried along its motion.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NUM_TIMESTEPS = 4
ETAS: tuple[float, ...] = tuple(
    0.04 * 4.95 ** (2 * (index / (NUM_TIMESTEPS - 1)) ** 0.3) for index in range(NUM_TIMESTEPS)
)
"""eta_1 to eta_4: 0.040, 0.399, 0.679, 0.980. Exponential with p = 0.3, from sqrt(eta) = 0.2 to 0.99."""
TIMESTEPS = {1: (4,), 2: (4, 2), 3: (4, 3, 2), 4: (4, 3, 2, 1)}
"""Where each number of steps stops on the way from pure noise."""
WARM_TIMESTEPS = {1: (2,), 2: (2,), 3: (2,), 4: (2, 1)}
"""The same, by the steps of a frame that starts from noise, on the way from the previous frame's result: that
is noised as far as the first of these, and needs half the steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResidualSchedule:
    """The process for residuals whose channels have unit variance."""

    kappa: Tensor
    """Noise of each channel at the end, [1, C, 1, 1]."""

    def eta(self, timestep: Tensor) -> Tensor:
        """Return eta of `timestep` [B], 1 to NUM_TIMESTEPS, as [B, 1, 1, 1]."""
        etas = torch.tensor(ETAS, device=timestep.device)
        return etas.index_select(0, timestep - 1).reshape(-1, 1, 1, 1)

    def noised(self, residual: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Return x_t of r0 = `residual` and eps = `noise`, [B, C, h, w] both."""
        eta = self.eta(timestep)
        noisy: Tensor = (1 - eta) * residual + self.kappa * eta.sqrt() * noise
        return noisy

    def reverse(self, noisy: Tensor, residual: Tensor, *, source: int, target: int) -> Tensor:
        """Go from x_source to x_target, given the predicted r0."""
        high, low = ETAS[source - 1], ETAS[target - 1]
        grain = (noisy - (1 - high) * residual) * math.sqrt(low / high)
        return (1 - low) * residual + grain

    def input_scale(self, timestep: Tensor) -> Tensor:
        """Return the factor, [B, C, 1, 1], that brings x_t to unit variance."""
        eta = self.eta(timestep)
        return ((1 - eta) ** 2 + self.kappa**2 * eta).rsqrt()
