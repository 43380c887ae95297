"""From pictures and captions to what the networks and the losses read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidsr.diffusion.latent import NoiseSchedule
from vidsr.models.xpsr.autoencoder import FACTOR, Autoencoder
from vidsr.models.xpsr.text import TextEncoder
from vidsr.train.draw import Draw
from vidsr.train.xpsr.objective import Example
from vidsr.train.xpsr.pairs import NOISE, Batch

LATENT_CHANNELS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoder:
    """What is used of Stable Diffusion beside its UNet; none of it is trained."""

    autoencoder: Autoencoder
    text: TextEncoder
    schedule: NoiseSchedule
    device: torch.device
    seed: int

    @torch.no_grad()
    def example(self, batch: Batch) -> Example:
        """Encode a batch, and noise each of its latents to a timestep of its own.

        Like the sample, its timestep and its noise follow from (seed, step, position) alone.
        """
        clean = batch.clean.to(self.device)
        height, width = (side // FACTOR for side in clean.shape[-2:])
        timesteps, posterior_noise, noise = [], [], []
        for position in batch.positions:
            draw = Draw(self.seed, batch.step, position, NOISE)
            timesteps.append(draw.integer(self.schedule.num_timesteps))
            posterior_noise.append(draw.normal(LATENT_CHANNELS, height, width))
            noise.append(draw.normal(LATENT_CHANNELS, height, width))
        posterior = self.autoencoder.encode(clean)
        latents = posterior.mean + posterior.std * self._stacked(posterior_noise)
        wanted = self._stacked(noise)
        noisy = torch.cat([
            self.schedule.add_noise(latents[row : row + 1], wanted[row : row + 1], timestep)
            for row, timestep in enumerate(timesteps)
        ])  # fmt: skip
        return Example(
            noisy=noisy,
            timestep=torch.tensor(timesteps, device=self.device),
            noise=wanted,
            high=self._read(batch.high),
            low=self._read(batch.low),
            shown=batch.shown.to(self.device),
            clean=2 * clean - 1,
            clean_latents=latents,
        )

    def _stacked(self, fields: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(fields)).to(self.device)

    def _read(self, texts: list[str]) -> Tensor:
        # A copy: what is made in inference mode cannot be read by layers that are trained.
        return self.text.encode(texts).clone()
