"""How much blur is left at the end of a degradation, in the units of the captioner.

Blur kernels, resizes and ringing all soften, each in its own way and at its own size; none of their numbers
says how soft the result is. So a probe with the spectrum of photographs, 1/f, goes through the same filters
and resizes, and the Gaussian that brings the undegraded probe nearest to it is the answer.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.models.compact.estimate import SCALE
from vidsr.train.kernels import filter_picture

SIDE = 96
MARGIN = 3
"""Pixels of the reduced probe that are left out at its edges."""
STEP = 0.05
NUM_CANDIDATES = 81
"""Sigmas of 0 to 4 pixels."""
RADIUS = 11


class BlurProbe:
    """A small test picture that shares the way of a larger one."""

    def __init__(self, *, sides: tuple[int, int]) -> None:
        self._height = sides[0]
        self._picture = _undegraded()

    def filter(self, kernel: Tensor) -> None:
        """Convolve with `kernel` [k, k]."""
        self._picture = filter_picture(self._picture, kernel)

    def resize(self, size: tuple[int, int], mode: str) -> None:
        """Resize as the picture is resized to `size` (height, width)."""
        side = round(SIDE * size[0] / self._height)
        self._picture = F.interpolate(self._picture, size=(side, side), mode=mode)

    def sigma(self) -> float:
        """Return the standard deviation of the Gaussian, in pixels, that blurs as much."""
        distances = (_candidates() - _inside(self._picture)).square().sum((1, 2, 3))
        return STEP * int(distances.argmin())


@functools.lru_cache(maxsize=1)
def _undegraded() -> Tensor:
    """Return noise with a spectrum of 1/f, [1, 1, SIDE, SIDE]."""
    white = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.fft.fftfreq(SIDE), torch.fft.rfftfreq(SIDE)
    frequency = torch.hypot(rows[:, None], columns[None, :]).clamp_min(1 / SIDE)
    picture: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(SIDE, SIDE))
    return (picture / picture.std())[None, None]


@functools.lru_cache(maxsize=1)
def _candidates() -> Tensor:
    """Return the reduced probe at each sigma, [NUM_CANDIDATES, 1, h, w]."""
    sharp = F.avg_pool2d(_undegraded(), SCALE)
    axis = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float32)
    blurred = [sharp]
    for number in range(1, NUM_CANDIDATES):
        line = torch.exp(-(axis**2) / (2 * (STEP * number) ** 2))
        kernel = torch.outer(line, line)
        blurred.append(filter_picture(sharp, kernel / kernel.sum()))
    return _inside(torch.cat(blurred))


def _inside(picture: Tensor) -> Tensor:
    return picture[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
