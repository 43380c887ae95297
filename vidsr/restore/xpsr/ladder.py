"""What is given up, step by step, where memory runs out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

SMALL_TILES = (48, 32)
"""Sides in latents that are tried last: they change the picture, the rungs above do not."""
AUTOENCODER_TILES = (512, 256)
"""Sides in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """How much memory a frame may take."""

    max_batch: int
    autoencoder_tile: int | None = None
    offload: bool = False
    tile: int

    def __str__(self) -> str:
        """Say what the rung does, for the user."""
        parts = [f"batches of {self.max_batch}"]
        if self.autoencoder_tile is not None:
            parts.append(f"the autoencoder in tiles of {self.autoencoder_tile} pixels")
        if self.offload:
            parts.append("networks at rest kept in main memory")
        parts.append(f"tiles of {8 * self.tile} pixels")
        return ", ".join(parts)


def ladder(*, max_batch: int, tile: int) -> Iterator[Rung]:
    """Yield the rungs, from what is asked for down to what hardly needs anything."""
    rung = Rung(max_batch=max_batch, tile=tile)
    yield rung
    while rung.max_batch > 1:
        rung = replace(rung, max_batch=rung.max_batch // 2)
        yield rung
    for side in AUTOENCODER_TILES:
        rung = replace(rung, autoencoder_tile=side)
        yield rung
    rung = replace(rung, offload=True)
    yield rung
    for side in SMALL_TILES:
        if side < tile:
            rung = replace(rung, tile=side)
            yield rung


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on the device or on the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The allocator of the CPU has no class of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
