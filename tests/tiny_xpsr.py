"""Small real networks of XPSR, well-conditioned, for tests of what is around them."""

import json
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tests.golden.sets import HERE
from vidsr.diffusion.latent import NoiseSchedule
from vidsr.models.xpsr.autoencoder import Autoencoder
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.text import TextEncoder
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.restore.xpsr.networks import Networks

BASE = HERE / "loop" / "checkpoint" / "stable-diffusion-v1-5"
OWN = HERE / "loop" / "checkpoint" / "xpsr" / "checkpoint-300000"
GROUPS = 4


def networks(seed: int = 0) -> Networks:
    """Return all networks; the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = XpsrUNet.from_config(_config("unet"))
        controlnet = XpsrControlNet.from_config(_config("controlnet"))
        for conv in _silent(controlnet):
            nn.init.normal_(conv.weight, std=0.05)
        model: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(BASE / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(BASE / "text_encoder"))
    for network in (unet, controlnet, model, text):
        network.eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(BASE / "tokenizer", local_files_only=True)
    return Networks(
        unet=unet,
        controlnet=controlnet,
        autoencoder=Autoencoder(model),
        text=TextEncoder(tokenizer, text),
        schedule=NoiseSchedule(json.loads((BASE / "scheduler" / "scheduler_config.json").read_text())),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def _silent(controlnet: XpsrControlNet) -> list[nn.Conv2d]:
    """Return the convolutions that add nothing before training."""
    convs = [
        *controlnet.controlnet_down_blocks,
        controlnet.controlnet_mid_block,
        controlnet.controlnet_cond_embedding.conv_out,
    ]
    return [conv for conv in convs if isinstance(conv, nn.Conv2d)]


def _config(name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((OWN / name / "config.json").read_text())
    # At the coarsest level of small latents a group of two channels has two numbers to be normalised by: that
    # turns a rounding error into a change of sign.
    return config | {"norm_num_groups": GROUPS}
