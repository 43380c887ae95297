"""The blocks that the UNet and the ControlNet are made of: diffusers' layers, put together as XPSR does.

A spatial transformer ("T2D") is diffusers' Transformer2DModel with one layer. Semantic-Fusion Attention
(eq. 3 of the paper) is three of them,

    x' = fuse(high(x, c_h), tokens(low(x, c_l)))

beside each other on the same x: `attentions`, `attentions_lowlevel` and `attentions_connect` in the keys of
the published checkpoints.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vidsr.models.xpsr.layout import Layout

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of a text for one layer, each [B, T, C]."""
Text = Tensor | Sequence[KeyValue]
"""Encoded text [B, T, D], or its keys and values for each layer that reads it, in the order of reading."""
Context = Tensor | KeyValue
"""What one cross-attention reads."""


def each_layer(text: Text) -> Iterator[Context]:
    """Return what each layer reads, in turn."""
    if isinstance(text, Tensor):
        while True:
            yield text
    yield from text


def tokens(features: Tensor) -> Tensor:
    """Return a map as tokens in row-major order: [B, C, h, w] to [B, h w, C]."""
    return features.flatten(2).transpose(1, 2)


def project(text: Tensor, layers: Iterator[Attention]) -> list[KeyValue]:
    """Return the keys and values of a text [B, T, D] for each layer, so that every step can reuse them."""
    return [(layer.to_k(text), layer.to_v(text)) for layer in layers]


class ProjectedAttention:
    """Attention whose context may come as keys and values: diffusers' processor protocol."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Context | None = None,
        attention_mask: None = None,
    ) -> Tensor:
        """Return what attention adds to `hidden_states`, [B, N, C]."""
        del attention_mask
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        key, value = (
            context if isinstance(context, tuple) else (attention.to_k(context), attention.to_v(context))
        )
        # "b n (heads c) -> b heads n c"; einops would say so, but tests/bench/xpsr_gpu.py runs without it.
        query, key, value = (
            part.unflatten(2, (attention.heads, -1)).transpose(1, 2)
            for part in (attention.to_q(hidden_states), key, value)
        )
        if attention.upcast_attention:
            query, key = query.float(), key.float()
        read = F.scaled_dot_product_attention(query, key, value.to(query.dtype)).to(hidden_states.dtype)
        # to_out is the projection and a dropout that is never on.
        return cast(Tensor, attention.to_out[0](read.transpose(1, 2).flatten(2)))


def spatial_transformer(layout: Layout, channels: int, heads: int, context_width: int) -> Transformer2DModel:
    """Return a T2D on maps of `channels` that reads a context of `context_width`."""
    transformer: Transformer2DModel = Transformer2DModel(
        num_attention_heads=heads,
        attention_head_dim=channels // heads,
        in_channels=channels,
        num_layers=1,
        cross_attention_dim=context_width,
        norm_num_groups=layout.groups,
        use_linear_projection=layout.linear_projection,
        upcast_attention=layout.upcast_attention,
    )
    for name in ("attn1", "attn2"):
        getattr(cast(Any, transformer).transformer_blocks[0], name).set_processor(ProjectedAttention())
    return transformer


def _read(transformer: nn.Module, features: Tensor, context: Context) -> Tensor:
    """Return the features after a T2D has read a context."""
    read: Tensor = transformer(features, context, return_dict=False)[0]
    return read


def cross_attention(transformer: nn.Module) -> Attention:
    """Return the layer of a T2D that reads the context."""
    layer: Attention = cast(Any, transformer).transformer_blocks[0].attn2
    return layer


class FusionBlock(nn.Module):
    """A block with, per layer, text attention and on request Semantic-Fusion Attention."""

    def __init__(
        self, layout: Layout, *, channels: int, heads: int, count: int, text: bool, fusion: bool
    ) -> None:
        """Make `count` text attentions where `text`, and their companions where `fusion`."""
        super().__init__()
        if not text:
            return

        def transformers(context_width: int) -> nn.ModuleList:
            return nn.ModuleList(
                spatial_transformer(layout, channels, heads, context_width) for _ in range(count)
            )

        self.attentions = transformers(layout.text_width)
        if fusion:
            self.attentions_lowlevel = transformers(layout.text_width)
            self.attentions_connect = transformers(channels)

    @property
    def has_fusion(self) -> bool:
        """Whether the block reads the low-level prior."""
        return hasattr(self, "attentions_lowlevel")

    def attend(self, features: Tensor, index: int, high: Iterator[Context], low: Iterator[Context]) -> Tensor:
        """Return the features after layer `index` has read the priors."""
        if not hasattr(self, "attentions"):
            return features
        seen = _read(self.attentions[index], features, next(high))
        if not self.has_fusion:
            return seen
        degraded = _read(self.attentions_lowlevel[index], features, next(low))
        return _read(self.attentions_connect[index], seen, tokens(degraded))

    def high_layers(self) -> Iterator[Attention]:
        """Yield the layers that read the high-level prior, in the order of reading."""
        if hasattr(self, "attentions"):
            yield from map(cross_attention, self.attentions)

    def low_layers(self) -> Iterator[Attention]:
        """Yield the layers that read the low-level prior, in the order of reading."""
        if self.has_fusion:
            yield from map(cross_attention, self.attentions_lowlevel)


def residual_block(
    layout: Layout, in_channels: int, out_channels: int, *, scale: float = 1.0
) -> ResnetBlock2D:
    """Return a residual block that is steered by the timestep."""
    return ResnetBlock2D(
        in_channels=in_channels,
        out_channels=out_channels,
        temb_channels=time_width(layout),
        eps=layout.norm_eps,
        groups=layout.groups,
        output_scale_factor=scale,
    )


def time_width(layout: Layout) -> int:
    """Return the width of the timestep's embedding."""
    return 4 * layout.widths[0]


class DownBlock(FusionBlock):
    """One level on the way down."""

    def __init__(self, layout: Layout, level: int) -> None:
        """Make the block of `level`, 0 being the finest."""
        channels = layout.widths[level]
        super().__init__(
            layout,
            channels=channels,
            heads=layout.heads[level],
            count=layout.layers,
            text=layout.has_attention[level],
            fusion=layout.down_fusion,
        )
        before = layout.widths[max(level - 1, 0)]
        self.resnets = nn.ModuleList(
            residual_block(layout, before if index == 0 else channels, channels)
            for index in range(layout.layers)
        )
        is_last = level == len(layout.widths) - 1
        self.downsamplers = (
            None
            if is_last
            else nn.ModuleList([Downsample2D(channels, use_conv=True, out_channels=channels, name="op")])
        )

    def forward(
        self, features: Tensor, time: Tensor, high: Iterator[Context], low: Iterator[Context]
    ) -> list[Tensor]:
        """Return the output of each layer; the last one is what goes on."""
        outputs = []
        for index, resnet in enumerate(self.resnets):
            features = self.attend(resnet(features, time), index, high, low)
            outputs.append(features)
        if self.downsamplers is not None:
            outputs.append(self.downsamplers[0](features))
        return outputs


class MidBlock(FusionBlock):
    """The coarsest level."""

    def __init__(self, layout: Layout) -> None:
        """Make the block."""
        channels = layout.widths[-1]
        super().__init__(
            layout,
            channels=channels,
            heads=layout.heads[-1],
            count=1,
            text=True,
            fusion=layout.mid_fusion,
        )
        self.resnets = nn.ModuleList(
            residual_block(layout, channels, channels, scale=layout.mid_scale) for _ in range(2)
        )

    def forward(
        self, features: Tensor, time: Tensor, high: Iterator[Context], low: Iterator[Context]
    ) -> Tensor:
        """Return the features after the block."""
        features = self.attend(self.resnets[0](features, time), 0, high, low)
        after: Tensor = self.resnets[1](features, time)
        return after


class UpBlock(FusionBlock):
    """One level on the way up, where pixel attention reads the ControlNet's residuals as tokens.

    The paper calls it Conditional Attention; the keys say `pixel_attentions`.
    """

    def __init__(self, layout: Layout, level: int) -> None:
        """Make the block of `level`, 0 being the coarsest."""
        widths, heads = layout.widths[::-1], layout.heads[::-1]
        channels, last = widths[level], len(widths) - 1
        before, skip = widths[max(level - 1, 0)], widths[min(level + 1, last)]
        has_text = layout.has_attention[::-1][level]
        count = layout.layers + 1
        super().__init__(
            layout,
            channels=channels,
            heads=heads[level],
            count=count,
            text=has_text,
            fusion=layout.up_fusion[level],
        )
        skips = [channels] * (count - 1) + [skip]
        self.resnets = nn.ModuleList(
            residual_block(layout, (before if index == 0 else channels) + skips[index], channels)
            for index in range(count)
        )
        # In the plain block the last residual is as wide as the others: the two deepest widths are equal.
        contexts = skips if has_text else [channels] * count
        self.pixel_attentions = nn.ModuleList(
            spatial_transformer(layout, channels, heads[level], width) for width in contexts
        )
        self.upsamplers = (
            None
            if level == last
            else nn.ModuleList([Upsample2D(channels, use_conv=True, out_channels=channels)])
        )

    def forward(  # what a decoder reads
        self,
        features: Tensor,
        time: Tensor,
        *,
        skips: list[Tensor],
        residuals: list[Tensor],
        high: Iterator[Context],
        low: Iterator[Context],
    ) -> Tensor:
        """Return the features, enlarged to the size of the next skip.

        Args:
            features: [B, C, h, w].
            time: the timestep's embedding.
            skips: what the encoder left, residuals added; used up from its end.
            residuals: of the ControlNet, alone; used up in step.
            high: what each layer reads of the high-level prior.
            low: the same of the low-level one.
        """
        for index, resnet in enumerate(self.resnets):
            features = resnet(torch.cat([features, skips.pop()], dim=1), time)
            features = self.attend(features, index, high, low)
            features = _read(self.pixel_attentions[index], features, tokens(residuals.pop()))
        if self.upsamplers is None:
            return features
        enlarged: Tensor = self.upsamplers[0](features, tuple(skips[-1].shape[-2:]))
        return enlarged


def recompute_in_backward(network: nn.Module) -> None:
    """Keep of each residual block and spatial transformer its input alone, for training in less memory.

    What is between is computed a second time on the way back, with the same result: nothing in it is random.
    """
    for module in network.modules():
        if isinstance(module, ResnetBlock2D | Transformer2DModel):
            layer = cast(Any, module)
            layer.forward = functools.partial(
                checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
            )
