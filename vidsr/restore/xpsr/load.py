"""From a folder with XPSR's weights to networks that can run."""

from pathlib import Path
from typing import Any

import torch

from vidsr.diffusion.latent import NoiseSchedule
from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.device import TORCH_DTYPES
from vidsr.models.xpsr.autoencoder import Autoencoder
from vidsr.models.xpsr.base import load_text, load_vae, scheduler_config
from vidsr.models.xpsr.checkpoint import find_folders, load_controlnet, load_unet
from vidsr.models.xpsr.text import TextEncoder
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.settings import XpsrSettings


def load_networks(root: Path, settings: XpsrSettings, *, tiny_autoencoder: Path | None = None) -> Networks:
    """Load everything that is needed to restore a frame.

    Args:
        root: where the weights are, in one of the layouts that `find_folders` knows.
        settings: device, dtype, and whether the networks are compiled.
        tiny_autoencoder: the folder of one to take instead of the full autoencoder.

    Raises:
        MissingWeightsError: something is not there.
        CheckpointError: something does not fit.
    """
    folders = find_folders(root)
    device, dtype = torch.device(settings.device), TORCH_DTYPES[settings.dtype]
    unet: Any = load_unet(folders.unet, dtype=dtype, device=device)
    controlnet: Any = load_controlnet(folders.controlnet, dtype=dtype, device=device)
    for network in (unet, controlnet):
        network.requires_grad_(False)
        network.eval()
        network.to(memory_format=torch.channels_last)
    if settings.compiled:
        unet.forward, controlnet.forward = torch.compile(unet.forward), torch.compile(controlnet.forward)
    if tiny_autoencoder is None:
        # float16 overflows in the decoder of Stable Diffusion 1.5 (its config says force_upcast).
        vae_dtype = torch.float32 if dtype == torch.float16 else dtype
        autoencoder: Any = load_vae(folders, dtype=vae_dtype, device=device)
    else:
        autoencoder = _load_tiny(tiny_autoencoder, dtype, device)
    autoencoder.requires_grad_(False)
    text = load_text(folders, dtype=torch.float32, device=device)
    text.encoder.requires_grad_(False)
    return Networks(
        unet=unet,
        controlnet=controlnet,
        autoencoder=Autoencoder(autoencoder),
        text=TextEncoder(text.tokenizer, text.encoder),
        schedule=NoiseSchedule(scheduler_config(folders)),
        device=device,
        dtype=dtype,
    )


def _load_tiny(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:  # noqa: ANN401  # of diffusers
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    if not (folder / "config.json").is_file():
        msg = (
            f"{folder}: no config.json of a tiny autoencoder; restore.xpsr.tiny_autoencoder wants its folder"
        )
        raise MissingWeightsError(msg)
    try:
        model: Any = AutoencoderTiny.from_pretrained(
            folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        msg = f"{folder}: no tiny autoencoder ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    return model.to(device)
