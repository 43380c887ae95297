"""Tiles of latents: where they lie, and how what they say is blended.

Attention grows with the square of the area, and a Stable Diffusion UNet knows pictures of 64x64 latents:
large latents are predicted tile by tile (MultiDiffusion, Bar-Tal et al. 2023), blended by Gaussian windows
(Mixture of Diffusers, Barbero Jiménez 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

WINDOW_VARIANCE = 0.01
"""Of the Gaussian window, in squared sides of the tile."""


class Tile(NamedTuple):
    """A rectangle of latents."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def of(self, latents: Tensor, factor: int = 1) -> Tensor:
        """Cut the tile out of [..., factor * H, factor * W]."""
        rows, columns = (slice(factor * side.start, factor * side.stop) for side in self.slices)
        return latents[..., rows, columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All tiles of one picture; they have one size."""

    height: int
    width: int
    """Of the picture, in latents."""
    tiles: tuple[Tile, ...]
    is_centred: bool
    """False has the window of the published code, half a row off."""

    @classmethod
    def over(cls, height: int, width: int, *, tile: int, overlap: int, is_centred: bool = True) -> "Grid":
        """Lay tiles over a picture of latents.

        Args:
            height: of the picture.
            width: of the picture.
            tile: side of a tile; smaller where the picture is.
            overlap: by which neighbours overlap at least, less than `tile`.
            is_centred: whether windows are centred in their tiles.
        """
        side = min(tile, height, width)
        tiles = tuple(
            Tile(top, left, side, side)
            for left in offsets(width, side, min(overlap, side - 1))
            for top in offsets(height, side, min(overlap, side - 1))
        )
        return cls(height=height, width=width, tiles=tiles, is_centred=is_centred)

    @classmethod
    def whole(cls, height: int, width: int) -> "Grid":
        """Take the picture as one tile."""
        return cls(height=height, width=width, tiles=(Tile(0, 0, height, width),), is_centred=True)

    def blend(self, predictions: Tensor, chosen: Sequence[int] | None = None) -> Tensor:
        """Return the mean of what tiles predict, weighted by their windows.

        Args:
            predictions: [N, C, h, w], one for each tile.
            chosen: which tiles they are; None for all, in order.

        Returns:
            [1, C, H, W]; zero where no chosen tile is.
        """
        if len(self.tiles) == 1:
            return predictions
        shape = (1, predictions.shape[1], self.height, self.width)
        total, weights = (torch.zeros(shape, device=predictions.device) for _ in range(2))
        window = self.window(predictions.device)
        for index, prediction in zip(
            range(len(self.tiles)) if chosen is None else chosen, predictions, strict=True
        ):
            rows, columns = self.tiles[index].slices
            total[..., rows, columns] += window * prediction
            weights[..., rows, columns] += window
        return torch.where(weights > 0, total / weights.clamp_min(torch.finfo(weights.dtype).tiny), 0.0)

    def owners(self) -> Tensor:
        """Return which tile counts most at each latent, [H, W] int64."""
        most = torch.zeros(self.height, self.width, dtype=torch.float64)
        owner = torch.zeros(self.height, self.width, dtype=torch.int64)
        window = self.window("cpu")
        for index, tile in enumerate(self.tiles):
            is_more = window > most[tile.slices]
            owner[tile.slices][is_more] = index
            most[tile.slices][is_more] = window[is_more]
        return owner

    def window(self, device: torch.device | str) -> Tensor:
        """Return the weights of a tile, [h, w] float64."""
        tile = self.tiles[0]
        rows = _gaussian(tile.height, middle=(tile.height - 1) / 2 if self.is_centred else tile.height / 2)
        columns = _gaussian(tile.width, middle=(tile.width - 1) / 2)
        return torch.from_numpy(np.outer(rows, columns)).to(device)


def offsets(length: int, tile: int, overlap: int) -> list[int]:
    """Return where tiles begin: evenly, the last one flush with the end."""
    stride = tile - overlap
    count = max(0, -(-(length - tile) // stride)) + 1
    return [min(index * stride, length - tile) for index in range(count)]


def _gaussian(length: int, *, middle: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    distance = np.arange(length, dtype=np.float64) - middle
    bell: np.ndarray[tuple[int], np.dtype[np.float64]] = np.exp(
        -(distance**2) / (2 * WINDOW_VARIANCE * length**2)
    ) / np.sqrt(2 * np.pi * WINDOW_VARIANCE)
    return bell
