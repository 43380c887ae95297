"""Where the diffusion of a frame starts: from noise, or from what the previous frame became.

The previous frame's result is moved along the motion between the two low-resolution frames, in pixels and not
in the transform, where a shift would blur. Where going there and back does not lead home it is not trusted;
where too little of it is, the frame starts from noise. The noise moves along, see `vidsr.diffusion.noise`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsr.diffusion.noise import Noise, carried_noise, fresh_noise
from vidsr.flow import consistency_mask, enlarge_flow, estimate_flow, likeness_mask, warp
from vidsr.types import Carry

MIN_TRUSTED = 0.6
"""Share of the picture below which the previous frame is no use."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DiffusionCarry(Carry):
    """What a frame hands to the next."""

    seen: NDArray[np.uint8]
    """The low-resolution frame, RGB [3, H, W]."""
    lr: NDArray[np.float32]
    """The same as it was restored, perhaps with less noise, in [0, 1]."""
    sample: NDArray[np.float32]
    """Its result at strength 1, RGB in [0, 1], [3, scale * H, scale * W]."""
    result: NDArray[np.float32]
    """What was delivered for it, of the same shape."""
    noise: Noise
    """Its noise, [3, scale * H, scale * W]."""
    steps: int
    """How many steps it took."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Previous:
    """The previous frame and what it became, as seen from this one."""

    lr: NDArray[np.float32]
    """As it was restored, [3, H, W]."""
    sample: NDArray[np.float32]
    """At strength 1, [3, scale * H, scale * W]."""
    result: NDArray[np.float32]
    """As it was delivered, of the same shape."""
    trusted: NDArray[np.bool_]
    """Where both hold, [scale * H, scale * W]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Where the diffusion of a frame starts."""

    noise: Noise
    """[3, scale * H, scale * W]."""
    previous: Previous | None
    """None: start from noise."""


def cold_start(seen: NDArray[np.uint8], *, scale: int, seed: int, index: int) -> Start:
    """Start frame `index`, RGB [3, H, W], of the part with `seed` from noise."""
    shape = (3, scale * seen.shape[1], scale * seen.shape[2])
    return Start(noise=fresh_noise(shape, seed=seed, index=index), previous=None)


def warm_start(carry: DiffusionCarry, seen: NDArray[np.uint8], *, seed: int, index: int) -> Start | None:
    """Start frame `index` of the part with `seed` from the one before, or return None: it is no use.

    Args:
        carry: of the frame before.
        seen: this frame, RGB [3, H, W].
        seed: of the part.
        index: of this frame.
    """
    flow, back = estimate_flow(seen, carry.seen), estimate_flow(carry.seen, seen)
    trusted = consistency_mask(flow, back) & likeness_mask(seen, carry.seen, flow)
    if trusted.mean() < MIN_TRUSTED:
        return None
    scale = carry.sample.shape[1] // seen.shape[1]
    large = enlarge_flow(flow, scale)
    mask = trusted.repeat(scale, axis=0).repeat(scale, axis=1)
    moved = warp(np.concatenate([carry.sample, carry.result]), large)
    return Start(
        noise=carried_noise(carry.noise, large, mask, seed=seed, index=index),
        previous=Previous(lr=warp(carry.lr, flow), sample=moved[:3], result=moved[3:], trusted=mask),
    )
