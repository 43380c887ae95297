"""The UNet of XPSR: that of Stable Diffusion 1.5, whose decoder reads the ControlNet's residuals twice."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.xpsr.blocks import (
    DownBlock,
    FusionBlock,
    KeyValue,
    MidBlock,
    Text,
    UpBlock,
    each_layer,
    project,
    time_width,
)
from vidsr.models.xpsr.layout import Layout


class XpsrUNet(nn.Module):
    """Predicts the noise in latents.

    The encoder and the decoder are those of Stable Diffusion and read the high-level prior. Residuals of the
    ControlNet are added to the skips, and each is read once more by the pixel attention beside its skip.
    """

    def __init__(self, layout: Layout) -> None:
        """Make the network of `layout`."""
        super().__init__()
        self.layout = layout
        levels = range(len(layout.widths))
        self.conv_in = nn.Conv2d(layout.in_channels, layout.widths[0], 3, padding=1)
        self.time_proj = Timesteps(layout.widths[0], layout.flip_sin_to_cos, layout.freq_shift)
        self.time_embedding = TimestepEmbedding(layout.widths[0], time_width(layout))
        self.down_blocks = nn.ModuleList(DownBlock(layout, level) for level in levels)
        self.mid_block = MidBlock(layout)
        self.up_blocks = nn.ModuleList(UpBlock(layout, level) for level in levels)
        self.conv_norm_out = nn.GroupNorm(layout.groups, layout.widths[0], eps=layout.norm_eps)
        self.conv_out = nn.Conv2d(layout.widths[0], layout.out_channels, 3, padding=1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the network that a config.json describes, with fresh weights.

        Raises:
            CheckpointError: the config asks for something that XPSR has not.
        """
        return cls(Layout.of_unet(config))

    def forward(  # what the paper's UNet reads
        self,
        latents: Tensor,
        timestep: Tensor | int,
        high: Text,
        low: Text,
        residuals: Sequence[Tensor],
        mid_residual: Tensor,
    ) -> Tensor:
        """Predict the noise.

        Args:
            latents: z_t, [B, 4, h, w].
            timestep: 0 to 999, one for all or [B].
            high: the encoded high-level prior [B, T, D], or `project_high` of it.
            low: the same of the low-level one; read only where the config has fusion in the UNet.
            residuals: of the ControlNet, finest first: layers + 1 a level, less one.
            mid_residual: of its middle.

        Returns:
            [B, 4, h, w].
        """
        high_layers, low_layers = each_layer(high), each_layer(low)
        time = embed_timestep(self, latents, timestep)
        features = self.conv_in(latents)
        skips = [features]
        for block in self.down_blocks:
            skips += block(skips[-1], time, high_layers, low_layers)
        features = self.mid_block(skips[-1], time, high_layers, low_layers) + mid_residual
        skips = [skip + residual for skip, residual in zip(skips, residuals, strict=True)]
        left = list(residuals)
        for block in self.up_blocks:
            features = block(features, time, skips=skips, residuals=left, high=high_layers, low=low_layers)
        noise: Tensor = self.conv_out(F.silu(self.conv_norm_out(features)))
        return noise

    def project_high(self, text: Tensor) -> list[KeyValue]:
        """Return keys and values of the high-level prior [B, T, D] for every layer that reads it."""
        return project(text, chain.from_iterable(block.high_layers() for block in reading_order(self)))

    def project_low(self, text: Tensor) -> list[KeyValue]:
        """Return keys and values of the low-level prior; none where the UNet has no fusion."""
        return project(text, chain.from_iterable(block.low_layers() for block in reading_order(self)))


def embed_timestep(network: Any, latents: Tensor, timestep: Tensor | int) -> Tensor:  # noqa: ANN401  # UNet or ControlNet
    """Return the embedding of one timestep for all, or of one for each entry of the batch."""
    steps = torch.as_tensor(timestep, device=latents.device).expand(len(latents))
    # Sines are computed in float32 and cast afterwards, as in diffusers.
    embedded: Tensor = network.time_embedding(network.time_proj(steps).to(latents.dtype))
    return embedded


def reading_order(network: Any) -> Iterator[FusionBlock]:  # noqa: ANN401  # UNet or ControlNet
    """Yield the blocks in the order in which they read the priors."""
    yield from network.down_blocks
    yield network.mid_block
    yield from getattr(network, "up_blocks", ())
