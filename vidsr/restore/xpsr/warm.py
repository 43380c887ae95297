"""The warm start: what the previous frame says about this one, in latents."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidsr.diffusion.noise import Noise, carried_noise
from vidsr.diffusion.tiles import Grid
from vidsr.flow import Flow, consistency_mask, estimate_flow, likeness_mask, resize_flow, warp
from vidsr.models.xpsr.autoencoder import FACTOR
from vidsr.restore.xpsr.picture import Colours, Sizes
from vidsr.types import Carry

MIN_NOISE_TRUST = 0.5
"""Share of a latent's pixels that must be trusted for its noise to move with the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class XpsrCarry(Carry):
    """What a frame hands to the next."""

    seen: NDArray[np.uint8]
    """The low-resolution frame, RGB [3, h, w]."""
    result: NDArray[np.float32]
    """What it became, RGB [3, H, W] in [0, 1] of the canvas."""
    noise: Noise
    """That it started from, [4, H / 8, W / 8]."""
    colours: Colours
    """Of the shot up to here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Previous:
    """The previous frame, as seen from this one."""

    picture: Tensor
    """Its result, RGB [1, 3, H, W] of the canvas; the low-resolution picture where it is not trusted."""
    trust: Tensor
    """Share of each latent's pixels that are trusted, [1, 1, H / 8, W / 8]."""
    flow: Flow
    """To it, in latents, [2, H / 8, W / 8]."""

    def noise(self, carry: XpsrCarry, *, seed: int, index: int) -> Noise:
        """Return the noise of this frame, moved along from the one before."""
        trusted = self.trust[0, 0].numpy() >= MIN_NOISE_TRUST
        return carried_noise(carry.noise, self.flow, trusted, seed=seed, index=index)

    def cold_tiles(self, grid: Grid, min_coverage: float) -> list[int]:
        """Return the tiles of which too little is trusted."""
        return [
            index for index, tile in enumerate(grid.tiles) if float(tile.of(self.trust).mean()) < min_coverage
        ]


LookBack = Callable[[XpsrCarry, NDArray[np.uint8], Tensor, Sizes], Previous]


def look_back(carry: XpsrCarry, seen: NDArray[np.uint8], picture: Tensor, sizes: Sizes) -> Previous:
    """Find the previous frame in this one.

    The previous result is moved in pixels: moving latents loses high frequencies (docs/xpsr.md).

    Args:
        carry: of the frame before.
        seen: this frame, RGB [3, h, w].
        picture: as the networks see it, [1, 3, H, W].
        sizes: of it.
    """
    flow, back = estimate_flow(seen, carry.seen), estimate_flow(carry.seen, seen)
    trusted = consistency_mask(flow, back) & likeness_mask(seen, carry.seen, flow)
    large = _padded(resize_flow(flow, _inner(sizes)), sizes)
    mask = torch.from_numpy(trusted.astype(np.float32))[None, None]
    mask = F.interpolate(mask, _inner(sizes), mode="nearest")
    mask = torch.from_numpy(_padded(mask[0].numpy(), sizes))[None]
    moved = torch.from_numpy(warp(carry.result, large))[None].clamp(0, 1).to(picture.device)
    on_device = mask.to(picture.device)
    latent_size = (sizes.canvas[0] // FACTOR, sizes.canvas[1] // FACTOR)
    return Previous(
        picture=on_device * moved + (1 - on_device) * picture,
        trust=F.avg_pool2d(mask, FACTOR),
        flow=resize_flow(large, latent_size),
    )


def _inner(sizes: Sizes) -> tuple[int, int]:
    """Return the size of the picture on its canvas: smaller where the canvas is padded."""
    height, width = (min(sides) for sides in zip(sizes.shown, sizes.canvas, strict=True))
    return height, width


def _padded(planes: NDArray[np.float32], sizes: Sizes) -> NDArray[np.float32]:
    """Extend [C, h, w] to the canvas."""
    bottom, right = (canvas - side for canvas, side in zip(sizes.canvas, _inner(sizes), strict=True))
    return np.pad(planes, [(0, 0), (0, bottom), (0, right)], mode="edge")
