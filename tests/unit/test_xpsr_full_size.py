"""XPSR at its real size, with random weights, on a CPU: it fits, and it comes to an end."""

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from tests.bench.xpsr_gpu import FULL_AUTOENCODER
from tests.golden.checkpoint import BASE, MINIATURE, XPSR
from tests.golden.sets import HERE
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

SECONDS, GIBIBYTES = 180, 12
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from vidsr.restore.xpsr.load import load_networks
from vidsr.restore.xpsr.restorer import XpsrRestorer
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.types import Prior

settings = XpsrSettings.recommended(steps=4, dtype="bfloat16", guidance_interval=(0, 1000))
restorer = XpsrRestorer(lambda: load_networks(Path(sys.argv[1]), settings), settings)
pixels = np.random.default_rng(0).integers(0, 256, (3, 128, 128), dtype=np.uint8)
restored = restorer.restore_pixels(pixels, Prior(high_level="a cat", low_level="strong noise"))
print(restored.pixels.shape, restored.pixels.std() > 0, restored.steps)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_frame_of_512_takes_three_minutes_and_12_gib_at_most(tmp_path: Path) -> None:
    write_full_size(tmp_path / "checkpoint")
    started = time.monotonic()
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "checkpoint")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert done.stdout.split("\n")[0] == "(3, 512, 512) True 4"
    assert seconds < SECONDS
    assert peak < GIBIBYTES


def write_full_size(root: Path) -> None:
    """Write a checkpoint as large as the published one: 3.8 GB in bfloat16."""
    shutil.copytree(MINIATURE, root, copy_function=shutil.copyfile)
    text = json.loads((root / BASE / "text_encoder" / "config.json").read_text())
    text |= {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    configs = {
        root / XPSR / "unet": json.loads((HERE / "full_unet_config.json").read_text()),
        root / XPSR / "controlnet": json.loads((HERE / "full_controlnet_config.json").read_text()),
        root / BASE / "vae": FULL_AUTOENCODER,
        root / BASE / "text_encoder": text,
    }
    builders: list[Callable[[Any], torch.nn.Module]] = [
        XpsrUNet.from_config,
        XpsrControlNet.from_config,
        AutoencoderKL.from_config,
        lambda config: CLIPTextModel(CLIPTextConfig.from_dict(config)),
    ]
    for (folder, config), build in zip(configs.items(), builders, strict=True):
        (folder / "config.json").write_text(json.dumps(config))
        with torch.device("meta"):
            network = build(config)
        stem = "model" if folder.name == "text_encoder" else "diffusion_pytorch_model"
        state = {name: _random(tensor.shape) for name, tensor in network.state_dict().items()}
        save_file(state, folder / f"{stem}.safetensors", metadata={"format": "pt"})


def _random(shape: torch.Size) -> torch.Tensor:
    """Return weights that keep the size of what passes through them."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    fan_in = shape.numel() / shape[0]
    return torch.empty(shape, dtype=torch.bfloat16).uniform_(-1, 1).mul_((3 / fan_in) ** 0.5)
