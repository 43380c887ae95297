"""Second-order degradation (Wang et al. 2021, Real-ESRGAN), and what was done in the captioner's words.

    blur -> resize -> noise -> JPEG -> blur -> resize -> noise -> { resize, sinc, JPEG in either order }
                                                               or resize, sinc, H.264, HEVC or MPEG-2

Everything about a sample follows from its Draw. Beside the degraded picture travels a twin that has had
everything but noise, so that the noise that is left at the end is known exactly, and a probe that has had
blur and resizing alone, from which the blur that is left is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.degradation_words import Degradation
from vidsr.models.compact.estimate import SCALE
from vidsr.train.blur_probe import BlurProbe
from vidsr.train.draw import Draw
from vidsr.train.jpeg import jpeg
from vidsr.train.kernels import blur_kernel, filter_picture, sinc_kernel

RESIZE_MODES = ("area", "bilinear", "bicubic")
FINAL_SINC_PROBABILITY = 0.8
JPEG_BISECTIONS = 6
"""To within a quality of 1.6."""

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
class CodecRange:
    """A video codec in place of the last JPEG."""

    h264_probability: float
    hevc_probability: float
    """Otherwise MPEG-2."""
    h264_crf: tuple[int, int]
    hevc_crf: tuple[int, int]
    mpeg2_quantizer: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlaceRange:
    """Combing, as a poor deinterlacer leaves it where something moves; of clips, before their codec."""

    probability: float
    strength: Range
    """Share of the next frame in every other row; 1 is two fields woven together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationSet:
    """A named set of ranges."""

    stages: tuple[DegradationStage, DegradationStage] | None
    """None: plain bicubic reduction."""
    codec: CodecRange | None = None
    interlace: InterlaceRange | None = None


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
    return degrade_clip([clean], draw, degradation, grains=[draw])[0]


def degrade_clip(
    frames: Sequence[Tensor], draw: Draw, degradation: DegradationSet, *, grains: Sequence[Draw]
) -> list[Degraded]:
    """Degrade the frames of a clip alike but for their noise, through one codec where the set has one.

    Args:
        frames: [3, 4h, 4w] each, RGB in [0, 1].
        draw: what is done to them, and how strongly.
        degradation: the ranges to draw from.
        grains: for each frame, where its grains of noise are drawn from.
    """
    if degradation.stages is None:
        return [_reduced(frame) for frame in frames]
    start = draw.state
    ways: list[_Way] = []
    for frame, grain in zip(frames, grains, strict=True):
        if ways:
            draw.state = start
        ways.append(_travel(frame, draw, grain, degradation))
    if degradation.interlace is not None and draw.chance(degradation.interlace.probability):
        _comb(ways, draw, degradation.interlace)
    if degradation.codec is not None:
        _through_codec(ways, draw, degradation.codec)
    return [way.arrive() for way in ways]


def _reduced(clean: Tensor) -> Degraded:
    size = (clean.shape[1] // SCALE, clean.shape[2] // SCALE)
    lr = _to_levels(F.interpolate(clean[None], size=size, mode="bicubic", antialias=True)[0])
    truth = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
    return Degraded(lr=lr, without_noise=lr, without_compression=lr, truth=truth)


def _travel(clean: Tensor, draw: Draw, grains: Draw, degradation: DegradationSet) -> "_Way":
    """Take one picture all the way, but for a codec at its end."""
    size = (clean.shape[1] // SCALE, clean.shape[2] // SCALE)
    assert degradation.stages is not None
    first, second = degradation.stages
    way = _Way(clean)
    way.blur(draw, first)
    way.resize(_drawn_size(draw, first, base=(clean.shape[1], clean.shape[2])), draw)
    way.add_noise(draw, grains, first)
    way.compress(draw.uniform(*first.jpeg_quality))
    way.blur(draw, second)
    way.resize(_drawn_size(draw, second, base=size), draw)
    way.add_noise(draw, grains, second)
    kernel = sinc_kernel(draw) if draw.chance(FINAL_SINC_PROBABILITY) else None
    quality = draw.uniform(*second.jpeg_quality)
    is_compressed_last = draw.chance(0.5)
    is_resized = way.pair.shape[2:] != size
    if degradation.codec is None and not is_compressed_last:
        way.compress(quality, is_last=True)
        # Where a resize follows there is no block grid left to speak of, though its traces are.
        way.jpeg_quality = None if is_resized else quality
    way.resize(size, draw)
    way.ring(kernel)
    if degradation.codec is None and is_compressed_last:
        way.compress(quality, is_last=True)
        way.jpeg_quality = quality
    return way


def _comb(ways: Sequence["_Way"], draw: Draw, interlace: InterlaceRange) -> None:
    """Leave in each frame something of the one that follows; the last has none."""
    parity, strength = draw.integer(2), draw.uniform(*interlace.strength)
    for way, following in pairwise(ways):
        way.comb(following, parity=parity, strength=strength)


def _through_codec(ways: Sequence["_Way"], draw: Draw, codec: CodecRange) -> None:
    """Encode and decode the frames of a clip: those without noise, and those with it."""
    # PyAV is not there on every machine that trains; only a set with a codec needs it.
    from vidsr.media.recompress import recompress

    share = draw.uniform(0, 1)
    name: Literal["h264", "hevc", "mpeg2video"] = "mpeg2video"
    low, high = codec.mpeg2_quantizer
    if share < codec.h264_probability:
        name, (low, high) = "h264", codec.h264_crf
    elif share < codec.h264_probability + codec.hevc_probability:
        name, (low, high) = "hevc", codec.hevc_crf
    quality = low + draw.integer(high - low + 1)
    clips = [[(255 * way.pair[twin]).round().byte().numpy() for way in ways] for twin in (0, 1)]
    coded = [recompress(clip, codec=name, quality=quality) for clip in clips]
    for way, *twins in zip(ways, *coded, strict=True):
        way.uncompressed = way.pair[1:]
        way.pair = torch.from_numpy(np.stack(twins)).float() / 255
        way.jpeg_quality = equal_jpeg_quality(way.uncompressed, way.pair[1:])


def equal_jpeg_quality(before: Tensor, after: Tensor) -> float:
    """Return the quality, 1 to 100, at which JPEG loses as much of `before` [1, 3, H, W] as `after` did."""
    lost = F.mse_loss(after, before)
    low, high = 1.0, 100.0
    for _ in range(JPEG_BISECTIONS):
        middle = (low + high) / 2
        if F.mse_loss(jpeg(before, middle), before) > lost:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class _Way:
    """A picture on its way down, with its companions."""

    def __init__(self, clean: Tensor) -> None:
        self.pair = clean[None]
        """[without, with] noise, [2, 3, H, W]; one picture, [1, 3, H, W], before the first noise."""
        self.uncompressed: Tensor | None = None
        """The noisy one as it would be without the last JPEG, [1, 3, H, W]; None before that JPEG."""
        self.probe = BlurProbe(sides=(clean.shape[1], clean.shape[2]))
        self.jpeg_quality: float | None = None
        """Of the last compression; None where its blocks cannot be told."""

    def blur(self, draw: Draw, stage: DegradationStage) -> None:
        if draw.chance(stage.blur_probability):
            self._filter(blur_kernel(draw, stage.blur_sigma))

    def resize(self, size: tuple[int, int], draw: Draw) -> None:
        mode = RESIZE_MODES[draw.integer(len(RESIZE_MODES))]
        self.probe.resize(size, mode)
        self._each(lambda pictures: F.interpolate(pictures, size=size, mode=mode).clamp(0, 1))

    def ring(self, kernel: Tensor | None) -> None:
        if kernel is not None:
            self._filter(kernel)
            self._each(lambda pictures: pictures.clamp(0, 1))

    def add_noise(self, draw: Draw, grains: Draw, stage: DegradationStage) -> None:
        without, noisy = self.pair[:1], self.pair[-1:]
        shape = noisy.shape[2:]
        is_gray = draw.chance(stage.gray_probability)
        if draw.chance(stage.gaussian_probability):
            noise = grains.normal(1 if is_gray else 3, *shape) * draw.uniform(*stage.gaussian_sigma) / 255
        else:
            signal = noisy[0].mean(0, keepdim=True) if is_gray else noisy[0]
            counts = grains.poisson(signal.clamp(0, 1) * 255)
            noise = (counts / 255 - signal) * draw.uniform(*stage.poisson_scale)
        self.pair = torch.cat([without, (noisy + noise).clamp(0, 1)])

    def compress(self, quality: float, *, is_last: bool = False) -> None:
        if is_last:
            self.uncompressed = self.pair[1:]
        self.pair = jpeg(self.pair, quality)

    def comb(self, following: "_Way", *, parity: int, strength: float) -> None:
        pictures = [(self.pair, following.pair)]
        if self.uncompressed is not None and following.uncompressed is not None:
            pictures.append((self.uncompressed, following.uncompressed))
        for own, other in pictures:
            own[:, :, parity::2] = torch.lerp(own[:, :, parity::2], other[:, :, parity::2], strength)

    def arrive(self) -> Degraded:
        without_noise, lr = _to_levels(self.pair)
        noise = lr - without_noise
        luma = 0.299 * noise[0] + 0.587 * noise[1] + 0.114 * noise[2]
        truth = Degradation(
            noise_sigma=255 * float(luma.std()), blur_sigma=self.probe.sigma(), jpeg_quality=self.jpeg_quality
        )
        return Degraded(
            lr=lr,
            without_noise=without_noise,
            without_compression=lr if self.uncompressed is None else _to_levels(self.uncompressed[0]),
            truth=truth,
        )

    def _filter(self, kernel: Tensor) -> None:
        self.probe.filter(kernel)
        self._each(lambda pictures: filter_picture(pictures, kernel))

    def _each(self, change: Callable[[Tensor], Tensor]) -> None:
        self.pair = change(self.pair)
        if self.uncompressed is not None:
            self.uncompressed = change(self.uncompressed)


def _drawn_size(draw: Draw, stage: DegradationStage, *, base: tuple[int, int]) -> tuple[int, int]:
    direction = draw.pick(stage.resize_probabilities)
    low, high = stage.resize_range
    factor = (draw.uniform(1, high), draw.uniform(low, 1), 1.0)[direction]
    return max(8, round(base[0] * factor)), max(8, round(base[1] * factor))


def _to_levels(image: Tensor) -> Tensor:
    return torch.round(image.clamp(0, 1) * 255) / 255
