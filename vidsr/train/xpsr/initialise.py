"""Where the networks of a run begin: Stable Diffusion's UNet, or an XPSR that was trained before."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidsr.errors import CheckpointError
from vidsr.models.component import CONFIG, read_json
from vidsr.models.tensor_file import TensorFile, open_tensors
from vidsr.models.xpsr.checkpoint import (
    CONTROLNET,
    UNET,
    find_base,
    find_networks,
    load_controlnet,
    load_unet,
)
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

COMPANIONS = ("attentions_lowlevel", "attentions_connect")
"""Transformers beside the one that reads the high-level prior, and begin as copies of it."""
NEW = frozenset({
    "pixel_attentions",
    "controlnet_cond_embedding",
    "controlnet_down_blocks",
    "controlnet_mid_block",
    "conv_degradation",
    "conv_degradation_mid",
})  # fmt: skip
"""Modules of which Stable Diffusion has no like. Their first values are those that the networks are built
with: zero for the convolutions that the ControlNet ends in, random for the rest."""
CONTEXT_PROJECTIONS = ("attn2.to_k.weight", "attn2.to_v.weight")
"""Of the fusion: as wide as what it reads, which is not text."""

_SHARED_KEYS = (
    "_diffusers_version", "act_fn", "addition_embed_type", "addition_embed_type_num_heads",
    "addition_time_embed_dim", "attention_head_dim", "block_out_channels", "class_embed_type",
    "cross_attention_dim", "down_block_types", "downsample_padding", "encoder_hid_dim",
    "encoder_hid_dim_type", "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block",
    "mid_block_scale_factor", "norm_eps",
    "norm_num_groups", "num_attention_heads", "num_class_embeds", "only_cross_attention",
    "projection_class_embeddings_input_dim", "resnet_time_scale_shift", "transformer_layers_per_block",
    "upcast_attention", "use_linear_projection",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartNetworks:
    """Both networks, and what their config.json says."""

    unet: XpsrUNet
    controlnet: XpsrControlNet
    unet_config: Mapping[str, Any]
    controlnet_config: Mapping[str, Any]
    weights: tuple[Path, ...]
    """The files that the weights are from."""


def networks_from_base(root: Path, *, seed: int, with_fusion: bool) -> StartNetworks:
    """Make both networks from a folder of Stable Diffusion 1.5 with its UNet.

    Args:
        root: the folder, or a published layout that has it.
        seed: of what begins at random.
        with_fusion: whether the ControlNet has Semantic-Fusion Attention.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    folder = base_unet_folder(root)
    path = UNET.weights(folder)
    file = open_tensors(path)
    unet_config = config_of_unet(read_json(folder / CONFIG), with_fusion=with_fusion)
    controlnet_config = config_of_controlnet(unet_config, with_fusion=with_fusion)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            unet, controlnet = (
                XpsrUNet.from_config(unet_config),
                XpsrControlNet.from_config(controlnet_config),
            )
    except (TypeError, ValueError, KeyError, IndexError) as error:
        msg = f"{folder / CONFIG}: no network can be built from it ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    if surplus := sorted(file.shapes.keys() - unet.state_dict().keys()):
        msg = f"{path}: {len(surplus)} tensors are not known, first {surplus[0]}; wanted the UNet of SD 1.5"
        raise CheckpointError(msg)
    for network in (unet, controlnet):
        initialise(network, file)
    return StartNetworks(
        unet=unet,
        controlnet=controlnet,
        unet_config=unet_config,
        controlnet_config=controlnet_config,
        weights=(path,),
    )


def networks_from_checkpoint(root: Path) -> StartNetworks:
    """Take both networks from an XPSR checkpoint, to train them further.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    unet_folder, controlnet_folder = find_networks(root)
    unet, controlnet = load_unet(unet_folder), load_controlnet(controlnet_folder)
    for network in (unet, controlnet):
        for parameter in network.parameters():
            # Out of the memory of the file, which may be replaced while the run goes on.
            parameter.data = parameter.data.clone()
    return StartNetworks(
        unet=unet,
        controlnet=controlnet,
        unet_config=read_json(unet_folder / CONFIG),
        controlnet_config=read_json(controlnet_folder / CONFIG),
        weights=(UNET.weights(unet_folder), CONTROLNET.weights(controlnet_folder)),
    )


def base_unet_folder(root: Path) -> Path:
    """Return the folder of Stable Diffusion's UNet, which lies beside what else is used of it."""
    return find_base(root).vae.parent / "unet"


def initialise(network: nn.Module, base: TensorFile) -> None:
    """Copy Stable Diffusion's UNet into a network of XPSR, wherever it has a tensor for it.

    Raises:
        CheckpointError: it lacks one, or has another shape.
    """
    state = network.state_dict()
    copied = {}
    for name, tensor in state.items():
        source = source_of(name, tuple(tensor.shape), base.shapes)
        if source is not None:
            copied[name] = base.read(source).to(tensor.dtype)
        elif not may_be_fresh(name):
            msg = f"{base.path}: {name} is missing or not {list(tensor.shape)}; wanted the UNet of SD 1.5"
            raise CheckpointError(msg)
    network.load_state_dict(state | copied)


def source_of(name: str, shape: tuple[int, ...], base: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the tensor of Stable Diffusion's UNet that a tensor begins as; None where there is none.

    Args:
        name: in the state dict of the UNet or the ControlNet of XPSR.
        shape: of it.
        base: the shapes of Stable Diffusion's UNet.
    """
    for companion in COMPANIONS:
        name = name.replace(f".{companion}.", ".attentions.")
    return name if base.get(name) == shape else None


def may_be_fresh(name: str) -> bool:
    """Say whether a tensor need not come from Stable Diffusion."""
    parts = name.split(".")
    return bool(NEW & set(parts)) or ("attentions_connect" in parts and name.endswith(CONTEXT_PROJECTIONS))


def config_of_unet(base: Mapping[str, Any], *, with_fusion: bool) -> dict[str, Any]:
    """Return the config.json of XPSR's UNet: Stable Diffusion's, and whether it reads the low-level prior.

    As published it does not, unless the base's config asks for it.
    """
    flags = {
        "down_use_lowlevel_prompt": False,
        "mid_use_lowlevel_prompt": False,
        "up_use_lowlevel_prompt": [False] * len(base.get("block_out_channels", ())),
    }
    merged = {**flags, **base} if with_fusion else {**base, **flags}
    return {**merged, "_class_name": "UNet2DConditionModel"}


def config_of_controlnet(unet: Mapping[str, Any], *, with_fusion: bool) -> dict[str, Any]:
    """Return the config.json of the ControlNet that goes with a UNet."""
    return {
        **{key: unet[key] for key in _SHARED_KEYS if key in unet},
        "_class_name": "ControlNetModel",
        "conditioning_channels": 3,
        "conditioning_embedding_out_channels": [16, 32, 96, 256],
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
        "return_rgbs": True,
        "use_latent_pred": True,
        "use_lowlevel_prompt": with_fusion,
        "use_rrdb": False,
    }
