"""One frame on its way through XPSR: conditioning, start, diffusion, picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsr.diffusion.latent import Draw, make_solver
from vidsr.diffusion.noise import Noise
from vidsr.diffusion.tiles import Grid
from vidsr.models.xpsr.autoencoder import FACTOR
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.picture import (
    Colours,
    Sizes,
    finish,
    match_colours,
    match_low_frequencies,
    prepare,
    quantise,
)
from vidsr.restore.xpsr.predict import Call, Conditioning, Denoising, Texts
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.restore.xpsr.warm import LookBack, Previous, XpsrCarry, look_back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restored:
    """What became of a frame."""

    pixels: NDArray[Any]
    """[3, scale * h, scale * w], of the type of the source."""
    decoded: Tensor
    """What the autoencoder made of `latents`, RGB [1, 3, H, W] of the canvas, unclamped."""
    latents: Tensor
    """[1, 4, H / 8, W / 8]."""
    carry: XpsrCarry
    steps: int
    """Denoising steps, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Where the diffusion of a frame starts."""

    noise: Noise
    """Its first field, [4, h, w]."""
    cold: Tensor
    """Latents at the first timestep, [1, 4, h, w]."""
    clean: Tensor | None
    """What the previous frame says the clean latents are; None without one."""
    cold_tiles: Sequence[int]
    """Tiles that take all steps even so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameRestorer:
    """Restores frames, each as a coroutine that asks for the noise in its latents."""

    networks: Networks
    settings: XpsrSettings
    tile: int
    """Side of a tile in latents."""
    look_back: LookBack = look_back
    """Finds the previous frame in this one."""

    def restore(
        self,
        pixels: NDArray[Any],
        texts: Texts,
        *,
        draw: Callable[[], Noise],
        carry: XpsrCarry | None = None,
        carried: Callable[[Previous], Noise] | None = None,
    ) -> Denoising[Restored]:
        """Restore a frame.

        Args:
            pixels: uint8 or uint16 RGB [3, h, w].
            texts: of its shot.
            draw: gives each new field of noise, [4, H / 8, W / 8] of the canvas.
            carry: of the frame before; None starts from the low-resolution picture alone.
            carried: gives the noise of the frame before, moved along; None draws anew.
        """
        settings, networks = self.settings, self.networks
        sizes = Sizes.of(pixels, settings)
        picture = prepare(pixels, sizes, settings).to(networks.device)
        grid = self._grid(sizes)
        seen = np.rint(pixels / (np.iinfo(pixels.dtype).max / 255)).astype(np.uint8)
        previous = None if carry is None else self.look_back(carry, seen, picture, sizes)
        networks.use("autoencoder")
        start = self._start(picture, grid, previous, draw, carried)
        networks.use("denoiser")
        shown = picture.to(networks.dtype)
        conditioning = Conditioning(
            grid=grid,
            embedded=[networks.controlnet.embed(tile.of(shown, FACTOR)) for tile in grid.tiles],
            texts=texts,
            guidance_scale=settings.guidance_scale,
        )
        latents, steps = yield from self._diffuse(start, conditioning, self._on_device(draw))
        networks.use("autoencoder")
        decoded = networks.autoencoder.decode(latents)
        colours = Colours.of(picture).after(None if carry is None else carry.colours)
        result = self._coloured(decoded, picture, colours)
        return Restored(
            pixels=finish(result, sizes, settings, pixels.dtype),
            decoded=decoded,
            latents=latents,
            carry=XpsrCarry(seen=seen, result=result[0].cpu().numpy(), noise=start.noise, colours=colours),
            steps=steps,
        )

    def _grid(self, sizes: Sizes) -> Grid:
        height, width = (side // FACTOR for side in sizes.canvas)
        if height * width <= self.tile**2:
            return Grid.whole(height, width)
        settings = self.settings
        return Grid.over(
            height,
            width,
            tile=self.tile,
            overlap=min(settings.overlap, self.tile // 2),
            is_centred=settings.centred_windows,
        )

    def _on_device(self, draw: Callable[[], Noise]) -> Draw:
        return lambda: torch.from_numpy(draw())[None].to(self.networks.device)

    def _start(
        self,
        picture: Tensor,
        grid: Grid,
        previous: Previous | None,
        draw: Callable[[], Noise],
        carried: Callable[[Previous], Noise] | None,
    ) -> Start:
        """Return where the diffusion begins, drawing in the order of the published sampler."""
        settings, schedule = self.settings, self.networks.schedule
        on_device = self._on_device(draw)
        cold_tiles = [] if previous is None else previous.cold_tiles(grid, settings.min_coverage)
        if len(cold_tiles) == len(grid.tiles):
            previous = None
        plain = None
        if settings.start != "noise" or previous is not None:
            posterior = self.networks.autoencoder.encode(picture)
            plain = posterior.mean
            if settings.draws_posterior:
                plain = plain + posterior.std * on_device()
        noise = draw() if previous is None or carried is None else carried(previous)
        first = torch.from_numpy(noise)[None].to(picture.device)
        cold = first
        if settings.start != "noise" and plain is not None:
            cold = schedule.add_noise(plain, first, self._timesteps()[0])
        if settings.start == "lr-twice":
            cold = schedule.add_noise(cold, on_device(), settings.added_noise_level)
        clean = None
        if previous is not None and plain is not None:
            trust = previous.trust.to(picture.device)
            clean = trust * self.networks.autoencoder.encode(previous.picture).mean + (1 - trust) * plain
        return Start(noise=noise, cold=cold, clean=clean, cold_tiles=cold_tiles)

    def _timesteps(self) -> list[int]:
        return self.networks.schedule.timesteps(self.settings.steps, self.settings.spacing)

    def _diffuse(self, start: Start, conditioning: Conditioning, draw: Draw) -> Denoising[tuple[Tensor, int]]:
        """Return clean latents, and how many steps that took."""
        settings, schedule, grid = self.settings, self.networks.schedule, conditioning.grid
        timesteps = self._timesteps()
        everywhere = range(len(grid.tiles))
        if start.clean is None:
            positions = range(settings.steps)
            latents = yield from self._walk(start.cold, conditioning, everywhere, positions, draw)
            return latents, settings.steps
        begin = settings.steps - max(1, round(settings.strength * settings.steps))
        field = torch.from_numpy(start.noise)[None].to(start.clean.device)
        latents = schedule.add_noise(start.clean, field, timesteps[begin])
        if start.cold_tiles:
            cold = yield from self._walk(start.cold, conditioning, start.cold_tiles, range(begin), draw)
            is_cold = torch.isin(grid.owners(), torch.tensor(start.cold_tiles)).to(latents.device)
            latents = torch.where(is_cold, cold, latents)
        taken = settings.steps if start.cold_tiles else settings.steps - begin
        rest = range(begin, settings.steps)
        latents = yield from self._walk(latents, conditioning, everywhere, rest, draw)
        return latents, taken

    def _walk(
        self,
        latents: Tensor,
        conditioning: Conditioning,
        tiles: Sequence[int],
        positions: range,
        draw: Draw,
    ) -> Denoising[Tensor]:
        """Take the latents of some tiles through some of the timesteps."""
        settings, timesteps = self.settings, self._timesteps()
        solver = make_solver(
            settings.solver, self.networks.schedule, timesteps, draw=draw, begin=positions.start
        )
        was_guided = False
        for position in positions:
            timestep = timesteps[position]
            low, high = settings.guidance_interval
            is_guided = settings.guidance_scale > 1 and low <= timestep < high
            noise = yield Call(
                conditioning=conditioning,
                latents=latents,
                timestep=timestep,
                tiles=tiles,
                is_guided=is_guided,
                reuses_control=(position - positions.start) % settings.control_every != 0
                and (was_guided or not is_guided),
            )
            latents = solver.step(noise, timestep, latents)
            was_guided = is_guided
        return latents

    def _coloured(self, decoded: Tensor, picture: Tensor, colours: Colours) -> Tensor:
        """Return the picture in [0, 1] with the colours of its source."""
        settings = self.settings
        result = quantise(decoded) if settings.quantised else decoded.clamp(0, 1)
        if settings.colour == "wavelet":
            return match_low_frequencies(result, picture)
        if settings.colour == "none":
            return result
        return match_colours(result, Colours.of(picture) if settings.colour == "adain" else colours)
