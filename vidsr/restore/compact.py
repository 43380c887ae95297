"""The embedded model xpsr-s as a restorer of video frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidsr.degradation_words import known_phrases
from vidsr.errors import ConfigError, MachineError
from vidsr.media.colour import from_rgb, to_rgb
from vidsr.models.compact import text, weights
from vidsr.models.compact.estimate import SCALE, EstimateNet, Priors
from vidsr.models.compact.precision import has_fast_bfloat16
from vidsr.types import Done, Prior, Work

Device = Literal["cpu", "cuda"]
DType = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedWeights:
    """The weights file in the package."""

    path: Path
    digest: str


def shipped_weights() -> ShippedWeights:
    """Return the weights that came with the package.

    Raises:
        MissingWeightsError: they are not there.
    """
    return ShippedWeights(path=weights.SHIPPED, digest=weights.digest(weights.SHIPPED))


def check_settings(*, steps: int, strength: float, guidance_scale: float) -> None:
    """Refuse settings that these weights cannot obey.

    Raises:
        ConfigError: diffusion is asked of weights that hold the estimate alone.
    """
    if steps or strength or guidance_scale != 1:
        msg = (
            "restore.steps, restore.strength and restore.guidance_scale are of the diffusion, and the "
            "weights of this version hold the estimate alone; leave them at 0, 0 and 1"
        )
        raise ConfigError(msg)


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device to use.

    Raises:
        MachineError: CUDA is asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        msg = "device cuda: this torch sees no CUDA device; take --device cpu"
        raise MachineError(msg)
    return "cuda" if has_cuda and wanted != "cpu" else "cpu"


def best_dtype(device: Device) -> DType:
    """Return bfloat16 where the device is faster in it, float32 elsewhere."""
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


class CompactRestorer:
    """Restores each frame by itself: the estimate carries nothing from frame to frame."""

    def __init__(self, network: EstimateNet, *, scale: int, device: Device, dtype: DType) -> None:
        self._dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
        self._device = device
        self._scale = scale
        self._network = network.to(device=device, dtype=self._dtype, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._read: tuple[Prior, Priors] | None = None

    @classmethod
    def load(cls, path: Path, *, scale: int, device: Device, dtype: DType) -> Self:
        """Read the weights at `path` and make a restorer of them."""
        return cls(weights.load(path)[0], scale=scale, device=device, dtype=dtype)

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Restore the frames one after the other.

        A convolution over a larger batch may sum in another order, and a CPU gains nothing by it: frame by
        frame the result depends on the frame alone, to the bit.
        """
        return [self._restore(work) for work in batch]

    def restore_pixels(self, pixels: NDArray[Any], prior: Prior) -> NDArray[Any]:
        """Restore one picture.

        Args:
            pixels: [3, H, W] RGB, uint8 or uint16.
            prior: what is known about it.

        Returns:
            [3, scale * H, scale * W] of the same type.
        """
        top = np.iinfo(pixels.dtype).max
        lr = torch.from_numpy(pixels.astype(np.float32) / top)[None].to(self._device)
        with torch.inference_mode():
            lr = lr.contiguous(memory_format=torch.channels_last)
            image = reduce_to(self._network(lr, self._priors(prior)).image, self._scale)[0]
            levels = (image.clamp(0, 1) * float(top)).round_().to("cpu", torch.float32)
        return levels.numpy().astype(pixels.dtype)

    def _restore(self, work: Work) -> Done:
        frame = work.frame
        restored = self.restore_pixels(to_rgb(frame), work.prior)
        made = from_rgb(restored, pix_fmt=frame.pix_fmt, colour=frame.colour, like=frame)
        return Done(frame=made, carry=None)

    def _priors(self, prior: Prior) -> Priors:
        # The prior is the same for all frames of a shot: its text is read once.
        if self._read is None or self._read[0] != prior:
            high, low = (
                tuple(part.to(self._device) for part in text.tokenize([words]))
                # These weights were trained without high-level text and with the three kinds of degradation.
                for words in ("", known_phrases(prior.low_level))
            )
            self._read = (prior, self._network.read(high, low))
        return self._read[1]


def reduce_to(image: Tensor, scale: int) -> Tensor:
    """Average [B, C, 4h, 4w] down to [B, C, scale * h, scale * w] by exact area weights.

    Costs as much as scale 4 and a little: the network has one size.
    """
    if scale == SCALE:
        return image
    for dim in (2, 3):
        # Each output sample covers 4/scale input samples: repeat to a common grid, then average.
        fine = image.repeat_interleave(scale, dim=dim).transpose(dim, -1)
        image = F.avg_pool2d(fine, (1, SCALE)).transpose(dim, -1)
    return image
