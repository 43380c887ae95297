"""The distances that training minimises, beside LPIPS (vidsr/models/lpips.py), and is watched by."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.evaluate.image import BT601, PEAK
from vidsr.models.compact.transform import BLOCK
from vidsr.train.draw import Draw

PSNR_CEILING = 40.0
"""dB: no picture is asked to be closer than this."""
LATTICE_WINDOW = 4
"""Blocks, on each side, over which an error that repeats is told from one that does not."""


def charbonnier(image: Tensor, target: Tensor, *, epsilon: float) -> Tensor:
    """Return the mean of sqrt(d^2 + eps^2) (Charbonnier 1994): L1 with a smooth bottom.

    Errors below `epsilon` count by their square: the mean of what may be there is sought, as PSNR wants it;
    above it the median.
    """
    return torch.sqrt((image - target) ** 2 + epsilon**2).mean()


def negative_psnr(image: Tensor, target: Tensor) -> Tensor:
    """Return minus the PSNR of luma in dB, the mean over pictures (PSNR loss, Chen et al. 2021, HINet).

    Pictures in RGB [B, 3, H, W] in [0, 1]. Each counts by the share of its error that is mended, so that
    smooth pictures, whose errors are small, are not forgotten over textured ones. It flattens out towards
    PSNR_CEILING.
    """
    luma = torch.tensor(BT601 / PEAK, dtype=torch.float32, device=image.device)
    error = ((image - target).float() * luma[:, None, None]).sum(1).square().mean((1, 2))
    return 10 * torch.log10(error + 10 ** (-PSNR_CEILING / 10)).mean()


def at_random_phase(pictures: Sequence[Tensor], draw: Draw) -> list[Tensor]:
    """Cut the same, up to a block, off the top and left of pictures, [B, 3, H, W] to [B, 3, H - 8, W - 8].

    LPIPS samples every fourth pixel, and the network writes blocks of eight. Were the two always in step, the
    network would learn a lattice that pleases LPIPS at that one phase: after 200 steps it scored 0.02 better
    there than elsewhere, and its pattern of eight pixels was 14 times as strong as without LPIPS.
    """
    top, left = draw.integer(BLOCK), draw.integer(BLOCK)
    height, width = pictures[0].shape[2] - BLOCK, pictures[0].shape[3] - BLOCK
    window = (..., slice(top, top + height), slice(left, left + width))
    return [picture[window] for picture in pictures]


def lattice(image: Tensor, target: Tensor) -> Tensor:
    """Return how much of the error of pictures [B, 3, 8h, 8w] repeats from block to block: a mean of sizes.

    Error is averaged over windows of LATTICE_WINDOW x LATTICE_WINDOW blocks, position by position, also with
    signs that alternate from column to column, from row to row, and both: punished for the plain repetition
    alone, a network soon painted a texture of twice the period. Zero where error has nothing to do with the
    blocks. It keeps the perceptual loss from painting the same texture into neighbouring blocks, which LPIPS
    likes and no eye does.
    """
    window = min(LATTICE_WINDOW, image.shape[2] // BLOCK, image.shape[3] // BLOCK)
    error = F.pixel_unshuffle(image - target, BLOCK)  # [B, 192, h, w]: each position in a block is a channel
    # The mean over a block is no texture.
    error = error.reshape(len(error), 3, BLOCK * BLOCK, *error.shape[2:])
    error = (error - error.mean(2, keepdim=True)).flatten(1, 2)
    columns = _alternating(error.shape[3], like=error)
    rows = _alternating(error.shape[2], like=error)[:, None]
    sizes = [
        F.avg_pool2d(error * signs, window, stride=max(1, window // 2)).abs().mean()
        for signs in (torch.ones_like(columns), columns, rows, rows * columns)
    ]
    return torch.stack(sizes).mean()


def _alternating(length: int, *, like: Tensor) -> Tensor:
    signs = torch.ones(length, device=like.device)
    signs[1::2] = -1
    return signs


def psnr(image: Tensor, target: Tensor) -> float:
    """Return the PSNR in dB over all channels of pictures in [0, 1]: for watching a run, not for reports."""
    return float(-10 * torch.log10(F.mse_loss(image.clamp(0, 1), target)))
