"""The miniature checkpoint of the sampler's reference data, with weights that are formulas of their names."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from tests.golden.fill import filled
from tests.golden.sets import HERE
from vidsr.models.xpsr.base import AutoencoderKL
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

MINIATURE = HERE / "loop" / "checkpoint"
XPSR = "xpsr/checkpoint-300000"
BASE = "stable-diffusion-v1-5"


def write_checkpoint(root: Path, *, source: Path = MINIATURE, as_bin: bool = False) -> Path:
    """Copy the folders of `source` to `root` and write the weights of every network beside its config.

    They are named and laid out as the published ones are: for the text encoder by transformers 4.
    """
    shutil.copytree(source, root, copy_function=shutil.copyfile)
    for folder, build, stem, prefix in (
        (root / XPSR / "unet", XpsrUNet.from_config, "diffusion_pytorch_model", ""),
        (root / XPSR / "controlnet", XpsrControlNet.from_config, "diffusion_pytorch_model", ""),
        (root / BASE / "vae", AutoencoderKL.from_config, "diffusion_pytorch_model", ""),
        (root / BASE / "text_encoder", _text_encoder, "pytorch_model" if as_bin else "model", "text_model."),
    ):
        state = filled(_shapes(build, folder, prefix))
        if folder.name == "vae":
            _calm(state)
        if as_bin:
            torch.save(state, folder / f"{stem}.bin")
        else:
            save_file(state, folder / f"{stem}.safetensors", metadata={"format": "pt"})
    return root


def _shapes(build: Callable[[Any], nn.Module], folder: Path, prefix: str) -> Mapping[str, torch.Size]:
    with torch.device("meta"):
        network = build(json.loads((folder / "config.json").read_text()))
    return {prefix + name.removeprefix(prefix): tensor.shape for name, tensor in network.state_dict().items()}


def _text_encoder(config: Mapping[str, Any]) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))


def _calm(vae: dict[str, Tensor]) -> None:
    """Bring latents and pictures into a range that a trained autoencoder has: tests/golden/README.md."""
    vae["decoder.conv_out.weight"] *= 0.6
    vae["encoder.conv_out.weight"][:4] *= 3
    vae["encoder.conv_out.weight"][4:] *= 0.1
    vae["encoder.conv_out.bias"][4:] = -4
