"""From pictures to latents and back."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

FACTOR = 8
"""Pixels of the picture along a side of one latent."""


class Posterior(NamedTuple):
    """What the encoder says of a picture: normal latents, scaled as the diffusion knows them."""

    mean: Tensor
    """[B, 4, h, w]."""
    std: Tensor


class Autoencoder:
    """Stable Diffusion's autoencoder, or a tiny one, behind one pair of functions.

    Both are diffusers models: an AutoencoderKL, whose latents are scaled here, or an AutoencoderTiny (TAESD),
    whose latents are scaled as it gives them.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401  # either class of diffusers
        """Take the model, which must be where and in the dtype that it is to run in."""
        self._model = model
        self._is_tiny = not hasattr(model, "quant_conv")
        self._scale = float(model.config.scaling_factor)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self._model.device
        return device

    def to(self, device: torch.device | str) -> None:
        """Move the model."""
        self._model.to(device)

    def encode(self, picture: Tensor) -> Posterior:
        """Encode RGB [B, 3, 8h, 8w] in [0, 1]; float32 latents."""
        pixels = (2 * picture - 1).to(self._model.dtype)
        if self._is_tiny:
            latents = self._model.encode(pixels).latents.float()
            return Posterior(latents, torch.zeros_like(latents))
        found = self._model.encode(pixels).latent_dist
        return Posterior(self._scale * found.mean.float(), self._scale * found.std.float())

    def decode(self, latents: Tensor) -> Tensor:
        """Decode [B, 4, h, w] to RGB [B, 3, 8h, 8w], in [0, 1] but for what overshoots; float32."""
        if not self._is_tiny:
            latents = latents / self._scale
        decoded: Tensor = self._model.decode(latents.to(self._model.dtype)).sample
        return decoded.float() / 2 + 0.5

    def use_tiles(self, side: int | None) -> None:
        """Work in tiles of `side` pixels, which takes less memory and blends at the seams; None does not."""
        if side is None:
            self._model.disable_tiling()
            return
        self._model.enable_tiling()
        if not self._is_tiny:
            self._model.tile_sample_min_size = side
            self._model.tile_latent_min_size = side // FACTOR
