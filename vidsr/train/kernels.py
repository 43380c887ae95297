"""Blur kernels of the second-order degradation (Wang et al. 2021, Real-ESRGAN, section 3)."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.train.draw import Draw

SIZES = tuple(range(7, 22, 2))
SINC_PROBABILITY = 0.1
SHAPES = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
SHAPE_PROBABILITIES = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
GENERALIZED_BETA = (0.5, 4.0)
PLATEAU_BETA = (1.0, 2.0)


def blur_kernel(draw: Draw, sigma_range: tuple[float, float]) -> Tensor:
    """Draw a kernel [k, k] that sums to one; sigmas are in pixels of the picture that will be blurred."""
    if draw.chance(SINC_PROBABILITY):
        return sinc_kernel(draw)
    size = SIZES[draw.integer(len(SIZES))]
    shape = SHAPES[draw.pick(SHAPE_PROBABILITIES)]
    sigma_x = draw.uniform(*sigma_range)
    sigma_y = sigma_x if shape.endswith("_iso") or shape == "iso" else draw.uniform(*sigma_range)
    distance = _squared_distance(size, sigma_x, sigma_y, angle=draw.uniform(-math.pi, math.pi))
    if shape.startswith("generalized"):
        kernel = torch.exp(-0.5 * distance ** draw.uniform(*GENERALIZED_BETA))
    elif shape.startswith("plateau"):
        kernel = 1 / (1 + distance ** draw.uniform(*PLATEAU_BETA))
    else:
        kernel = torch.exp(-0.5 * distance)
    return kernel / kernel.sum()


def sinc_kernel(draw: Draw) -> Tensor:
    """Draw a circular low-pass kernel [k, k] that sums to one: it rings, as sharpening and codecs do."""
    size = SIZES[draw.integer(len(SIZES))]
    cutoff = draw.uniform(math.pi / 3 if size < 13 else math.pi / 5, math.pi)
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    radius = torch.hypot(axis[:, None], axis[None, :])
    # The limit of the Bessel quotient at the centre is cutoff**2 / (4 pi).
    kernel: Tensor = cutoff * torch.special.bessel_j1(cutoff * radius) / (2 * math.pi * radius)
    kernel[size // 2, size // 2] = cutoff**2 / (4 * math.pi)
    return (kernel / kernel.sum()).float()


def filter_picture(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel of `image` [B, C, H, W] with `kernel` [k, k], edges reflected."""
    margin = kernel.shape[0] // 2
    padded = F.pad(image, (margin, margin, margin, margin), mode="reflect")
    rows, columns = padded.shape[2:]
    # In the frequency domain: far cheaper on a CPU than a direct sum over 21 x 21 samples.
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=(rows, columns))
    filtered: Tensor = torch.fft.irfft2(spectrum, s=(rows, columns))
    return filtered[:, :, 2 * margin :, 2 * margin :]


def _squared_distance(size: int, sigma_x: float, sigma_y: float, *, angle: float) -> Tensor:
    """Return the Mahalanobis distance squared of each pixel from the centre, [size, size]."""
    axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    along = (x * math.cos(angle) + y * math.sin(angle)) / sigma_x
    across = (-x * math.sin(angle) + y * math.cos(angle)) / sigma_y
    return along**2 + across**2
