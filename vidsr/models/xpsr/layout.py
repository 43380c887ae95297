"""What a config.json of an XPSR checkpoint says about its network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from vidsr.errors import CheckpointError

CROSS_DOWN, PLAIN_DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"

_ONLY = {
    "act_fn": "silu",
    "addition_embed_type": None,
    "attention_type": "default",
    "center_input_sample": False,
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "controlnet_conditioning_channel_order": "rgb",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "global_pool_conditions": False,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "return_rgbs": True,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": 1,
    "use_latent_pred": True,
    "use_rrdb": False,
}
"""Keys that change the network, with the one value that is built here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes of a UNet or a ControlNet; each tuple goes from the finest level to the coarsest."""

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    """Channels of each level."""
    heads: tuple[int, ...]
    """Attention heads of each level: what diffusers' configs call attention_head_dim."""
    has_attention: tuple[bool, ...]
    """Whether the down block of the level has text attention; the up block of the same level has it too."""
    layers: int
    """Residual blocks of a down block; an up block has one more."""
    text_width: int
    groups: int
    norm_eps: float
    mid_scale: float
    flip_sin_to_cos: bool
    freq_shift: float
    linear_projection: bool
    upcast_attention: bool
    down_fusion: bool
    """Whether the down blocks with attention have Semantic-Fusion Attention."""
    mid_fusion: bool
    up_fusion: tuple[bool, ...]
    """The same for each up block, from the coarsest level to the finest."""
    embedding_widths: tuple[int, ...]
    """Channels of the ControlNet's conditioning embedding; empty for a UNet."""

    @classmethod
    def of_unet(cls, config: Mapping[str, Any]) -> Self:
        """Read the config.json of a UNet.

        Raises:
            CheckpointError: it asks for something that XPSR has not.
        """
        levels = len(config["block_out_channels"])
        fusion = _per_level(config.get("up_use_lowlevel_prompt", False), levels, "up_use_lowlevel_prompt")
        layout = cls._read(
            config,
            down_fusion=bool(config.get("down_use_lowlevel_prompt", False)),
            mid_fusion=bool(config.get("mid_use_lowlevel_prompt", False)),
            up_fusion=tuple(bool(flag) for flag in fusion),
            embedding_widths=(),
        )
        up_types = tuple(CROSS_UP if has else PLAIN_UP for has in reversed(layout.has_attention))
        if tuple(config["up_block_types"]) != up_types:
            found = config["up_block_types"]
            msg = f"up_block_types: wanted {list(up_types)}, to mirror the down blocks, got {found}"
            raise CheckpointError(msg)
        if layout.widths[-1] != layout.widths[-2] and not layout.has_attention[-1]:
            msg = f"block_out_channels: the two deepest widths must be equal, got {list(layout.widths)}"
            raise CheckpointError(msg)
        return layout

    @classmethod
    def of_controlnet(cls, config: Mapping[str, Any]) -> Self:
        """Read the config.json of a ControlNet.

        Raises:
            CheckpointError: it asks for something that XPSR has not.
        """
        return cls._read(
            config,
            down_fusion=bool(config.get("use_lowlevel_prompt", True)),
            mid_fusion=bool(config.get("use_lowlevel_prompt", True)),
            up_fusion=(),
            embedding_widths=tuple(config["conditioning_embedding_out_channels"]),
        )

    @classmethod
    def _read(cls, config: Mapping[str, Any], **own: Any) -> Self:  # noqa: ANN401  # the fields that differ
        _refuse_what_is_not_built(config)
        widths = tuple(config["block_out_channels"])
        types = config["down_block_types"]
        if unknown := set(types) - {CROSS_DOWN, PLAIN_DOWN}:
            msg = f"down_block_types: {min(unknown)} is not part of XPSR"
            raise CheckpointError(msg)
        return cls(
            in_channels=config["in_channels"],
            out_channels=config.get("out_channels", config["in_channels"]),
            widths=widths,
            heads=_per_level(config["attention_head_dim"], len(widths), "attention_head_dim"),
            has_attention=tuple(name == CROSS_DOWN for name in types),
            layers=_one_for_all(config["layers_per_block"], "layers_per_block"),
            text_width=_one_for_all(config["cross_attention_dim"], "cross_attention_dim"),
            groups=config["norm_num_groups"],
            norm_eps=config["norm_eps"],
            mid_scale=config["mid_block_scale_factor"],
            flip_sin_to_cos=config["flip_sin_to_cos"],
            freq_shift=config["freq_shift"],
            linear_projection=config.get("use_linear_projection", False),
            upcast_attention=config.get("upcast_attention", False),
            **own,
        )


def _refuse_what_is_not_built(config: Mapping[str, Any]) -> None:
    for key, wanted in _ONLY.items():
        if config.get(key, wanted) != wanted:
            msg = (
                f"config.json: {key} is {config[key]!r}, and the network is built for {wanted!r} alone; "
                "this is a checkpoint of another model, or of a variant of XPSR that was not published"
            )
            raise CheckpointError(msg)
    for key in ("block_out_channels", "down_block_types", "attention_head_dim", "cross_attention_dim"):
        if key not in config:
            msg = f"config.json: {key} is missing; wanted the config.json that lies beside the weights"
            raise CheckpointError(msg)


def _per_level(value: Any, levels: int, key: str) -> tuple[Any, ...]:  # noqa: ANN401  # JSON until it is checked
    found = tuple(value) if isinstance(value, list | tuple) else (value,) * levels
    if len(found) != levels:
        msg = f"config.json: {key}: wanted {levels} values, got {len(found)}"
        raise CheckpointError(msg)
    return found


def _one_for_all(value: Any, key: str) -> int:  # noqa: ANN401  # JSON until it is checked
    values = set(value) if isinstance(value, list | tuple) else {value}
    if len(values) != 1:
        msg = f"config.json: {key}: wanted one value for all levels, got {value}"
        raise CheckpointError(msg)
    number: int = values.pop()
    return number
