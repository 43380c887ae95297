"""Pictures before and after the networks: sizes, and the colours of the source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from vidsr.models.xpsr.autoencoder import FACTOR
from vidsr.restore.xpsr.settings import XpsrSettings

ADAIN_EPSILON = 1e-5
WAVELET_LEVELS = 5
COLOUR_INERTIA = 0.8
"""Share of the frame before in the smoothed colours of a shot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes that a picture goes through, each (height, width)."""

    wanted: tuple[int, int]
    """scale times the source: what is delivered."""
    shown: tuple[int, int]
    """Enlarged where a side is shorter than the model knows."""
    canvas: tuple[int, int]
    """With sides that are multiples of 8: what the networks see."""

    @classmethod
    def of(cls, pixels: NDArray[Any], settings: XpsrSettings) -> "Sizes":
        """Return the sizes of a source [3, h, w]."""
        height, width = pixels.shape[1:]
        wanted = (settings.scale * height, settings.scale * width)
        short = min(wanted)
        shown = wanted
        if short < settings.process_size:
            size = settings.process_size
            shown = (
                (size, int(size * wanted[1] / short))
                if wanted[0] <= wanted[1]
                else (int(size * wanted[0] / short), size)
            )
        if settings.fit == "squeeze":
            canvas = tuple(side // FACTOR * FACTOR for side in shown)
        else:
            canvas = tuple(-(-side // FACTOR) * FACTOR for side in shown)
        return cls(wanted=wanted, shown=shown, canvas=(canvas[0], canvas[1]))


def prepare(pixels: NDArray[Any], sizes: Sizes, settings: XpsrSettings) -> Tensor:
    """Return the picture as the networks see it: RGB [1, 3, H, W] in [0, 1] of the canvas, float32.

    Args:
        pixels: uint8 or uint16 RGB [3, h, w].
        sizes: of it.
        settings: `quantised` takes PIL's 8-bit resizing, as the published code does.
    """
    if settings.quantised:
        return _prepare_by_pil(_as_uint8(pixels), sizes)
    top = np.iinfo(pixels.dtype).max
    picture = torch.from_numpy(pixels.astype(np.float32) / top)[None]
    picture = resize(picture, sizes.wanted)
    picture = resize(picture, sizes.shown).clamp(0, 1)
    if settings.fit == "squeeze":
        return resize(picture, sizes.canvas).clamp(0, 1)
    bottom, right = (canvas - side for canvas, side in zip(sizes.canvas, sizes.shown, strict=True))
    return F.pad(picture, (0, right, 0, bottom), mode="replicate")


def finish(picture: Tensor, sizes: Sizes, settings: XpsrSettings, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the result at the size that is wanted, [3, H, W] of `dtype`.

    Args:
        picture: RGB [1, 3, H, W] in [0, 1] of the canvas.
        sizes: of it.
        settings: as for `prepare`.
        dtype: uint8 or uint16.
    """
    if settings.quantised:
        # Truncated, not rounded: the published code does.
        levels = (255 * picture[0]).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        height, width = sizes.wanted
        resized = np.asarray(Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC))
        planar = np.ascontiguousarray(resized.transpose(2, 0, 1))
        return planar if dtype == np.uint8 else (planar.astype(np.uint16) * 257)
    if settings.fit == "pad":
        picture = picture[..., : sizes.shown[0], : sizes.shown[1]]
    top = float(np.iinfo(dtype).max)
    picture = resize(picture, sizes.wanted).clamp(0, 1)[0]
    return (top * picture).round().to("cpu", torch.float32).numpy().astype(dtype)


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize [1, 3, h, w] as PIL's bicubic filter does (a = -0.5, antialiased), without its rounding."""
    if tuple(picture.shape[-2:]) == size:
        return picture
    return F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False)


def quantise(picture: Tensor) -> Tensor:
    """Round a picture in [0, 1] to 8 bits."""
    return (255 * picture.clamp(0, 1)).round() / 255


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Colours:
    """Mean and standard deviation of each channel over a picture, [1, 3, 1, 1]."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, picture: Tensor) -> "Colours":
        """Measure RGB [1, 3, H, W] in [0, 1]."""
        variance = picture.var(dim=(2, 3), keepdim=True)
        return cls(mean=picture.mean(dim=(2, 3), keepdim=True), std=(variance + ADAIN_EPSILON) ** 0.5)

    def after(self, before: "Colours | None") -> "Colours":
        """Return these colours smoothed by those of the frame before: a shot does not flicker."""
        if before is None:
            return self
        keep = COLOUR_INERTIA
        return Colours(
            mean=keep * before.mean.to(self.mean.device) + (1 - keep) * self.mean,
            std=keep * before.std.to(self.std.device) + (1 - keep) * self.std,
        )


def match_colours(picture: Tensor, wanted: Colours) -> Tensor:
    """Give a picture the mean and standard deviation that are wanted (AdaIN, Huang and Belongie 2017)."""
    own = Colours.of(picture)
    return ((picture - own.mean) / own.std * wanted.std + wanted.mean).clamp(0, 1)


def match_low_frequencies(picture: Tensor, source: Tensor) -> Tensor:
    """Take the low frequencies from the source: the à trous wavelets of StableSR (Wang et al. 2024)."""
    return (picture - _low_frequencies(picture) + _low_frequencies(source)).clamp(0, 1)


def _low_frequencies(picture: Tensor) -> Tensor:
    binomial = torch.tensor([1.0, 2.0, 1.0], device=picture.device)
    kernel = (binomial[:, None] * binomial[None, :] / 16).expand(3, 1, 3, 3)
    for level in range(WAVELET_LEVELS):
        reach = 2**level
        padded = F.pad(picture, (reach,) * 4, mode="replicate")
        picture = F.conv2d(padded, kernel, dilation=reach, groups=3)
    return picture


def _prepare_by_pil(pixels: NDArray[np.uint8], sizes: Sizes) -> Tensor:
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image = image.resize(sizes.wanted[::-1], Image.Resampling.BICUBIC)
    if sizes.shown != sizes.wanted:
        image = image.resize(sizes.shown[::-1], Image.Resampling.BILINEAR)
    image = image.resize(sizes.canvas[::-1], Image.Resampling.BICUBIC)
    planar = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    return torch.from_numpy(planar)[None].float() / 255


def _as_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8)
