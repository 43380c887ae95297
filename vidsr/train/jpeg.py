"""JPEG's loss without its file: what baseline JPEG does to a picture (ITU-T T.81, tables of annex K)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.models.compact.transform import dct_matrix

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8),) * 4,
)
_TO_YCBCR = torch.tensor(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)
_TO_RGB = torch.linalg.inv(_TO_YCBCR.double()).float()
_DCT = dct_matrix().float()


def jpeg(image: Tensor, quality: float) -> Tensor:
    """Return `image` [B, 3, H, W], RGB in [0, 1], as baseline JPEG with 4:2:0 chroma would give it back.

    Args:
        image: any size; edges are padded to whole blocks by repetition.
        quality: 1 to 100 in libjpeg's scale.
    """
    height, width = image.shape[2:]
    padded = F.pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
    levels = torch.round(padded * 255).clamp(0, 255)
    ycbcr = torch.einsum("ij,bjhw->bihw", _TO_YCBCR, levels)
    luma = _quantize(ycbcr[:, :1] - 128, _table(_LUMA, quality)) + 128
    chroma = _quantize(F.avg_pool2d(ycbcr[:, 1:], 2), _table(_CHROMA, quality))
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear")
    rgb = torch.einsum("ij,bjhw->bihw", _TO_RGB, torch.cat([luma, chroma], dim=1))
    return (torch.round(rgb).clamp(0, 255) / 255)[:, :, :height, :width]


def _table(base: tuple[tuple[int, ...], ...], quality: float) -> Tensor:
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(base, dtype=torch.float32) * scale + 50) / 100).floor().clamp(1, 255)


def _quantize(plane: Tensor, table: Tensor) -> Tensor:
    """Round the 8x8 DCT of `plane` [B, C, H, W] to multiples of `table` [8, 8]."""
    batch, channels, height, width = plane.shape
    blocks = plane.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = torch.round(_DCT @ blocks @ _DCT.T / table) * table
    return (_DCT.T @ coefficients @ _DCT).transpose(3, 4).flatten(4, 5).flatten(2, 3)
