"""Second-order degradation (Wang et al. 2021, Real-ESRGAN), and what was done in the captioner's words.

    blur -> resize -> noise -> JPEG -> blur -> resize -> noise -> { resize, sinc, JPEG in either order }

Everything about a sample follows from its Draw. Beside the degraded picture travels a twin that has had
everything but noise, so that the noise that is left at the end is known exactly.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.degradation_words import Degradation
from vidsr.models.compact.estimate import SCALE
from vidsr.train.draw import Draw
from vidsr.train.jpeg import jpeg
from vidsr.train.kernels import blur_kernel, sinc_kernel, variance

RESIZE_MODES = ("area", "bilinear", "bicubic")
FINAL_SINC_PROBABILITY = 0.8

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationStage:
    """One of the two rounds; see configs/train/degradation."""

    blur_probability: float
    blur_sigma: Range
    resize_probabilities: tuple[float, float, float]
    """Up, down, keep."""
    resize_range: Range
    gaussian_probability: float
    """Otherwise Poisson."""
    gaussian_sigma: Range
    """8-bit levels."""
    poisson_scale: Range
    gray_probability: float
    jpeg_quality: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationSet:
    """A named set of ranges. None: plain bicubic reduction."""

    stages: tuple[DegradationStage, DegradationStage] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Degraded:
    """A low-resolution picture and what is known about it."""

    lr: Tensor
    """[3, h, w], RGB in [0, 1], in steps of 1/255."""
    without_noise: Tensor
    """The same with no noise added anywhere, [3, h, w]."""
    without_compression: Tensor
    """The same before the last JPEG, [3, h, w]."""
    truth: Degradation


def degrade(clean: Tensor, draw: Draw, degradation: DegradationSet) -> Degraded:
    """Reduce `clean` [3, 4h, 4w], RGB in [0, 1], to [3, h, w] and degrade it on the way."""
    height, width = clean.shape[1] // SCALE, clean.shape[2] // SCALE
    if degradation.stages is None:
        lr = F.interpolate(clean[None], size=(height, width), mode="bicubic", antialias=True)[0]
        lr = _to_levels(lr)
        truth = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
        return Degraded(lr=lr, without_noise=lr, without_compression=lr, truth=truth)
    first, second = degradation.stages
    pair, blur1 = _blur(clean[None], draw, first)
    blur_variance = blur1 / SCALE**2
    pair = _resize(pair, draw, first, base=(clean.shape[1], clean.shape[2]))
    pair = _compress(_noise(pair, draw, first), draw, first)[0]
    pair, blur2 = _blur(pair, draw, second)
    blur_variance += blur2 * (height / pair.shape[2]) ** 2
    pair = _noise(_resize(pair, draw, second, base=(height, width)), draw, second)
    pair, uncompressed, quality = _finish(pair, draw, second, size=(height, width))
    noise = pair[1] - pair[0]
    luma = 0.299 * noise[0] + 0.587 * noise[1] + 0.114 * noise[2]
    truth = Degradation(
        noise_sigma=255 * float(luma.std()), blur_sigma=math.sqrt(blur_variance), jpeg_quality=quality
    )
    return Degraded(lr=pair[1], without_noise=pair[0], without_compression=uncompressed, truth=truth)


def filter_picture(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel of `image` [B, C, H, W] with `kernel` [k, k], edges reflected."""
    margin = kernel.shape[0] // 2
    padded = F.pad(image, (margin, margin, margin, margin), mode="reflect")
    rows, columns = padded.shape[2:]
    # In the frequency domain: far cheaper on a CPU than a direct sum over 21 x 21 samples.
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=(rows, columns))
    filtered: Tensor = torch.fft.irfft2(spectrum, s=(rows, columns))
    return filtered[:, :, 2 * margin :, 2 * margin :]


def _blur(pair: Tensor, draw: Draw, stage: DegradationStage) -> tuple[Tensor, float]:
    """Return the blurred pictures and the variance of the blur in their squared pixels."""
    if not draw.chance(stage.blur_probability):
        return pair, 0.0
    kernel = blur_kernel(draw, stage.blur_sigma)
    return filter_picture(pair, kernel), variance(kernel)


def _resize(pair: Tensor, draw: Draw, stage: DegradationStage, *, base: tuple[int, int]) -> Tensor:
    direction = draw.pick(stage.resize_probabilities)
    low, high = stage.resize_range
    factor = (draw.uniform(1, high), draw.uniform(low, 1), 1.0)[direction]
    size = (max(8, round(base[0] * factor)), max(8, round(base[1] * factor)))
    return _to_size(pair, size, draw)


def _to_size(pair: Tensor, size: tuple[int, int], draw: Draw) -> Tensor:
    mode = RESIZE_MODES[draw.integer(len(RESIZE_MODES))]
    return F.interpolate(pair, size=size, mode=mode).clamp(0, 1)


def _noise(pair: Tensor, draw: Draw, stage: DegradationStage) -> Tensor:
    """Return [without, with] noise, [2, 3, H, W], from one picture or a pair."""
    without, noisy = pair[:1], pair[-1:]
    shape = noisy.shape[2:]
    is_gray = draw.chance(stage.gray_probability)
    if draw.chance(stage.gaussian_probability):
        noise = draw.normal(1 if is_gray else 3, *shape) * draw.uniform(*stage.gaussian_sigma) / 255
    else:
        signal = noisy[0].mean(0, keepdim=True) if is_gray else noisy[0]
        counts = draw.poisson(signal.clamp(0, 1) * 255)
        noise = (counts / 255 - signal) * draw.uniform(*stage.poisson_scale)
    return torch.cat([without, (noisy + noise).clamp(0, 1)])


def _compress(pair: Tensor, draw: Draw, stage: DegradationStage) -> tuple[Tensor, float]:
    quality = draw.uniform(*stage.jpeg_quality)
    return jpeg(pair, quality), quality


def _finish(
    pair: Tensor, draw: Draw, stage: DegradationStage, *, size: tuple[int, int]
) -> tuple[Tensor, Tensor, float]:
    """Bring to size, ring, compress; return the pair, the noisy one before its JPEG, and the quality."""
    kernel = sinc_kernel(draw) if draw.chance(FINAL_SINC_PROBABILITY) else None

    def shrink_and_ring(pictures: Tensor) -> Tensor:
        pictures = _to_size(pictures, size, draw)
        return pictures if kernel is None else filter_picture(pictures, kernel).clamp(0, 1)

    if draw.chance(0.5):
        ready = shrink_and_ring(pair)
        compressed, quality = _compress(ready, draw, stage)
        return _to_levels(compressed), _to_levels(ready[1]), quality
    compressed, quality = _compress(pair, draw, stage)
    both = shrink_and_ring(torch.cat([compressed, pair[1:]]))
    return _to_levels(both[:2]), _to_levels(both[2]), quality


def _to_levels(image: Tensor) -> Tensor:
    return torch.round(image.clamp(0, 1) * 255) / 255
