"""The invertible block transform between RGB pixels and 192 channels on a grid eight times coarser.

B = PixelUnshuffle(8) of the picture in YCbCr, then an orthonormal 8x8 DCT of each colour. There is nothing
to learn and nothing is lost: B takes the place that an autoencoder has in latent diffusion.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 8
CHANNELS = 3 * BLOCK * BLOCK

# ITU-T T.871 (JFIF): full range, chroma centred on zero here.
_RGB_TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)


def dct_matrix(size: int = BLOCK) -> Tensor:
    """Return the orthonormal DCT-II, [frequency, position], float64."""
    position = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * (position[None, :] + 0.5) * position[:, None])
    rows *= math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows


class BlockTransform(nn.Module):
    """B and its inverse as 1x1 convolutions around pixel (un)shuffling."""

    dct_weight: Tensor
    forward_weight: Tensor
    inverse_weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        colour = torch.tensor(_RGB_TO_YCBCR, dtype=torch.float64)
        dct = torch.kron(dct_matrix(), dct_matrix())  # [64, 64], rows are (vertical, horizontal) frequencies
        forward = torch.kron(colour, dct)  # channel order of PixelUnshuffle: colour, row, column
        self.register_buffer("dct_weight", dct[:, :, None, None].float(), persistent=False)
        self.register_buffer("forward_weight", forward[:, :, None, None].float(), persistent=False)
        self.register_buffer(
            "inverse_weight", torch.linalg.inv(forward)[:, :, None, None].float(), persistent=False
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map `image` [B, 3, 8h, 8w], RGB, to coefficients [B, 192, h, w]: 64 of Y, of Cb, of Cr."""
        return F.conv2d(F.pixel_unshuffle(image, BLOCK), self.forward_weight.to(image.dtype))

    def spectrum(self, planes: Tensor) -> Tensor:
        """Map `planes` [B, 3, 8h, 8w] that are YCbCr already to coefficients [B, 192, h, w].

        White noise stays white noise: the transform is orthonormal.
        """
        batch, colours, height, width = planes.shape
        blocks = F.pixel_unshuffle(planes.reshape(batch * colours, 1, height, width), BLOCK)
        return F.conv2d(blocks, self.dct_weight).reshape(batch, CHANNELS, height // BLOCK, width // BLOCK)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Map coefficients [B, 192, h, w] to RGB [B, 3, 8h, 8w]."""
        return F.pixel_shuffle(F.conv2d(coefficients, self.inverse_weight.to(coefficients.dtype)), BLOCK)
