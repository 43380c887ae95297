"""Writes both networks in the layout in which XPSR was published."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from vidsr.files import write_error, write_whole
from vidsr.models.component import CONFIG
from vidsr.train.xpsr.initialise import StartNetworks

WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_checkpoint(output: Path, networks: StartNetworks, *, step: int) -> Path:
    """Write output/checkpoint-STEP with unet/ and controlnet/, whole or not at all, and return it.

    Raises:
        UnwritableError, DiskFullError: naming the folder.
    """
    folder = output / f"checkpoint-{step}"
    temporary = output / f".{folder.name}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        _write(temporary / "unet", networks.unet, networks.unet_config)
        _write(temporary / "controlnet", networks.controlnet, networks.controlnet_config)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise write_error(folder, error) from error
    return folder


def _write(folder: Path, network: nn.Module, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    write_whole(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
