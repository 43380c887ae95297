"""The ControlNet of XPSR: reads the low-resolution picture and both priors, and steers the UNet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple, Self

from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.models.xpsr.blocks import DownBlock, KeyValue, MidBlock, Text, each_layer, project, time_width
from vidsr.models.xpsr.layout import Layout
from vidsr.models.xpsr.unet import embed_timestep, reading_order

PICTURE_CHANNELS = 3
LATENT_CHANNELS = 4


class Embedded(NamedTuple):
    """The picture as the ControlNet sees it: the same at every timestep."""

    features: Tensor
    """[B, C, h, w], a pixel for 8x8 of the picture."""
    rgb_heads: tuple[Tensor, ...]
    """What the degradation-free heads make of it at 1/2, 1/4 and 1/8 of its size, [B, 3, ...] in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ControlOutput:
    """What the ControlNet says at one timestep."""

    residuals: tuple[Tensor, ...]
    """One for each skip of the UNet, finest first, times the conditioning scale."""
    mid_residual: Tensor
    latent_heads: tuple[Tensor, ...]
    """What the degradation-free heads make of the residuals before the scale: latents [B, 4, ...]. Only the
    loss reads them; empty where they were not asked for."""
    latent_head_mid: Tensor | None
    rgb_heads: tuple[Tensor, ...]


class ConditioningEmbedding(nn.Module):
    """From a picture to features on the grid of the latents: the paper's image encoder."""

    def __init__(self, widths: Sequence[int], out_channels: int) -> None:
        """Make it with the channels of each size, finest first."""
        super().__init__()
        self.conv_in = nn.Conv2d(PICTURE_CHANNELS, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for wide, wider in pairwise(widths):
            self.blocks.append(nn.Conv2d(wide, wide, 3, padding=1))
            self.blocks.append(nn.Conv2d(wide, wider, 3, padding=1, stride=2))
        self.to_rgbs = nn.ModuleList(nn.Conv2d(wider, PICTURE_CHANNELS, 3, padding=1) for wider in widths[1:])
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        _silence(self.conv_out)

    def forward(self, picture: Tensor) -> Embedded:
        """Embed RGB [B, 3, 8h, 8w] in [0, 1]."""
        features = F.silu(self.conv_in(picture))
        rgb_heads = []
        for index, block in enumerate(self.blocks):
            features = F.silu(block(features))
            if index % 2 == 1:
                rgb_heads.append(self.to_rgbs[index // 2](features))
        return Embedded(self.conv_out(features), tuple(rgb_heads))


class XpsrControlNet(nn.Module):
    """The encoder of Stable Diffusion with Semantic-Fusion Attention, beside the UNet's own."""

    def __init__(self, layout: Layout) -> None:
        """Make the network of `layout`."""
        super().__init__()
        self.layout = layout
        channels = _skip_channels(layout)
        self.conv_in = nn.Conv2d(layout.in_channels, layout.widths[0], 3, padding=1)
        self.time_proj = Timesteps(layout.widths[0], layout.flip_sin_to_cos, layout.freq_shift)
        self.time_embedding = TimestepEmbedding(layout.widths[0], time_width(layout))
        self.controlnet_cond_embedding = ConditioningEmbedding(layout.embedding_widths, layout.widths[0])
        self.down_blocks = nn.ModuleList(DownBlock(layout, level) for level in range(len(layout.widths)))
        self.mid_block = MidBlock(layout)
        self.controlnet_down_blocks = nn.ModuleList(_zero_conv(width) for width in channels)
        self.controlnet_mid_block = _zero_conv(layout.widths[-1])
        self.conv_degradation = nn.ModuleList(_latent_head(width) for width in channels)
        self.conv_degradation_mid = _latent_head(layout.widths[-1])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the network that a config.json describes, with fresh weights.

        Raises:
            CheckpointError: the config asks for something that XPSR has not, such as use_rrdb.
        """
        return cls(Layout.of_controlnet(config))

    def embed(self, picture: Tensor) -> Embedded:
        """Embed RGB [B, 3, 8h, 8w] in [0, 1] once for all timesteps."""
        embedded: Embedded = self.controlnet_cond_embedding(picture)
        return embedded

    def forward(  # what the paper's ControlNet reads
        self,
        latents: Tensor,
        timestep: Tensor | int,
        high: Text,
        low: Text,
        image: Tensor | Embedded,
        conditioning_scale: float = 1.0,
        *,
        with_heads: bool = True,
    ) -> ControlOutput:
        """Say how the UNet is to be steered.

        Args:
            latents: z_t, [B, 4, h, w].
            timestep: 0 to 999, one for all or [B].
            high: the encoded high-level prior [B, T, D], or `project_high` of it.
            low: the same of the low-level one.
            image: the low-resolution picture at the size of the result, RGB [B, 3, 8h, 8w] in [0, 1], or
                `embed` of it.
            conditioning_scale: multiplies the residuals, for both of their uses.
            with_heads: also compute the latent heads, which only the loss reads.
        """
        embedded = self.embed(image) if isinstance(image, Tensor) else image
        high_layers, low_layers = each_layer(high), each_layer(low)
        time = embed_timestep(self, latents, timestep)
        skips = [self.conv_in(latents) + embedded.features]
        for block in self.down_blocks:
            skips += block(skips[-1], time, high_layers, low_layers)
        middle = self.mid_block(skips[-1], time, high_layers, low_layers)
        residuals = [conv(skip) for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        mid_residual = self.controlnet_mid_block(middle)
        heads = zip(self.conv_degradation, residuals, strict=True) if with_heads else ()
        return ControlOutput(
            residuals=tuple(conditioning_scale * residual for residual in residuals),
            mid_residual=conditioning_scale * mid_residual,
            latent_heads=tuple(head(residual) for head, residual in heads),
            latent_head_mid=self.conv_degradation_mid(mid_residual) if with_heads else None,
            rgb_heads=embedded.rgb_heads,
        )

    def project_high(self, text: Tensor) -> list[KeyValue]:
        """Return keys and values of the high-level prior [B, T, D] for every layer that reads it."""
        return project(text, chain.from_iterable(block.high_layers() for block in reading_order(self)))

    def project_low(self, text: Tensor) -> list[KeyValue]:
        """Return keys and values of the low-level prior [B, T, D] for every layer that reads it."""
        return project(text, chain.from_iterable(block.low_layers() for block in reading_order(self)))


def _skip_channels(layout: Layout) -> list[int]:
    """Return the channels of each skip, finest first."""
    channels = [layout.widths[0]]
    for level, width in enumerate(layout.widths):
        is_last = level == len(layout.widths) - 1
        channels += [width] * (layout.layers + (not is_last))
    return channels


def _zero_conv(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 1)
    _silence(conv)
    return conv


def _latent_head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, LATENT_CHANNELS, 3, padding=1))


def _silence(conv: nn.Conv2d) -> None:
    """Let a convolution add nothing until it is trained."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
