"""The miniature checkpoint of the reference runs, with weights by formula."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.golden.fill import fill, filled
from vidsr.diffusion.latent import NoiseSchedule
from vidsr.models.xpsr.autoencoder import Autoencoder
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.text import TextEncoder
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.restore.xpsr.networks import Networks


def miniature(checkpoint: Path, dtype: torch.dtype = torch.float32) -> Networks:
    """Return the networks of a `loop/checkpoint` folder, UNet and ControlNet in `dtype`."""
    base = checkpoint / "stable-diffusion-v1-5"
    own = next((checkpoint / "xpsr").glob("checkpoint-*"))
    unet = XpsrUNet.from_config(_config(own / "unet"))
    controlnet = XpsrControlNet.from_config(_config(own / "controlnet"))
    # Filled in float32 and widened: the reference runs had float32 weights.
    for network in (unet, controlnet):
        fill(network, torch.float32)
        network.to(dtype).eval()
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True)
    schedule = json.loads((base / "scheduler" / "scheduler_config.json").read_text())
    return Networks(
        unet=unet,
        controlnet=controlnet,
        autoencoder=Autoencoder(_autoencoder(base / "vae")),
        text=TextEncoder(tokenizer, _text_model(base / "text_encoder")),
        schedule=NoiseSchedule(schedule),
        device=torch.device("cpu"),
        dtype=dtype,
    )


def autoencoder_weights(shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Return weights of the autoencoder that keep pictures and latents in a sane range."""
    state = filled(shapes)
    state["decoder.conv_out.weight"] *= 0.6
    state["encoder.conv_out.weight"][:4] *= 3
    state["encoder.conv_out.weight"][4:] *= 0.1
    state["encoder.conv_out.bias"][4:] = -4
    return state


def text_weights(shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Return weights of the text encoder, which are named with a prefix that newer versions leave out."""
    prefix = "text_model."
    named = filled({prefix + key.removeprefix(prefix): shape for key, shape in shapes.items()})
    return {key: named[prefix + key.removeprefix(prefix)] for key in shapes}


def _autoencoder(folder: Path) -> Any:
    model: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(folder))
    model.load_state_dict(autoencoder_weights(_shapes(model)))
    return model.eval()


def _text_model(folder: Path) -> Any:
    model = CLIPTextModel(CLIPTextConfig.from_pretrained(folder)).eval()
    model.load_state_dict(text_weights(_shapes(model)))
    return model


def _shapes(model: torch.nn.Module) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in model.state_dict().items()}


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())
