"""Single pictures: the restorer for those who have an array and no video."""

from typing import Literal

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from vidsr.errors import ConfigError
from vidsr.types import Prior, Shot


class PictureRestorer:
    """Restores pictures one at a time; made by `open_restorer`."""

    def __init__(self, device: Literal["auto", "cpu", "cuda"]) -> None:
        from vidsr.models import device as devices
        from vidsr.models.compact import weights
        from vidsr.restore import compact

        self._compact = compact
        self._model, self._info = weights.load(weights.SHIPPED)
        self._device = devices.resolve_device(device)
        self._dtype = devices.best_dtype(self._device)

    def restore_image(
        self,
        pixels: NDArray[np.uint8],
        *,
        scale: Literal[2, 3, 4] = 4,
        prior: Prior | None = None,
        steps: int | None = None,
        strength: float | None = None,
        seed: int = 0,
    ) -> NDArray[np.uint8]:
        """Restore and enlarge a picture.

        Args:
            pixels: uint8 RGB, [H, W, 3].
            scale: how many times larger.
            prior: what is known about the picture; None measures its degradation.
            steps: diffusion steps, 0 to 4; None for what the weights are best at.
            strength: share of diffused texture, [0, 1]; None for what the weights are best at.
            seed: of the noise that diffusion starts from; the estimate has none.

        Returns:
            uint8 RGB, [scale * H, scale * W, 3].

        Raises:
            ValueError: `pixels` is not such an array.
            ConfigError: a setting that the weights cannot obey.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            msg = f"pixels: wanted uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}"
            raise ValueError(msg)
        if scale not in {2, 3, 4}:
            msg = f"scale: wanted 2, 3 or 4, got {scale}"
            raise ConfigError(msg)
        if steps not in {None, 0, 1, 2, 3, 4} or not 0 <= (strength or 0) <= 1:
            msg = f"wanted steps from 0 to 4 and strength from 0 to 1, got {steps} and {strength}"
            raise ConfigError(msg)
        steps, strength = self._compact.resolve_diffusion(
            self._info, steps=steps, strength=strength, guidance_scale=1.0
        )
        settings = self._compact.CompactSettings(
            scale=scale, device=self._device, dtype=self._dtype, steps=steps, strength=strength
        )
        planar = np.ascontiguousarray(rearrange(pixels, "h w c -> c h w"))
        restorer = self._compact.CompactRestorer(self._model, settings)
        restored = restorer.restore_pixels(planar, measure(planar) if prior is None else prior, seed=seed)
        return np.ascontiguousarray(rearrange(restored, "c h w -> h w c"))


def open_restorer(
    name: str = "xpsr-s", *, device: Literal["auto", "cpu", "cuda"] = "auto"
) -> PictureRestorer:
    """Load a restorer for single pictures.

    Raises:
        ConfigError: there is no restorer of that name for pictures.
        MachineError: the device or the weights are not there.
    """
    if name != "xpsr-s":
        msg = f"unknown picture restorer {name!r}; there is: xpsr-s"
        raise ConfigError(msg)
    return PictureRestorer(device)


def measure(pixels: NDArray[np.uint8]) -> Prior:
    """Measure the degradation of one picture [3, H, W] as the captioner of videos does."""
    from vidsr.caption.measured import MeasuredCaptioner

    return MeasuredCaptioner(frames_per_shot=1).caption(Shot(index=0, start=0, stop=1), [pixels])
