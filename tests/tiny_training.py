"""A Stable Diffusion of tiny networks to train XPSR on, and settings for that."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from tests.photographs import make_picture
from tests.tiny_xpsr import BASE, GROUPS
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.train.xpsr.settings import SampleOdds, Validation, XpsrTrainSettings

UNET = {
    "_class_name": "UNet2DConditionModel",
    "attention_head_dim": 2,
    "cross_attention_dim": 32,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": GROUPS,
    "out_channels": 4,
    "sample_size": 8,
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
}
TINY = XpsrTrainSettings(
    seed=3,
    steps=4,
    batch_size=4,
    micro_batch=2,
    resolution=96,
    degradation={"light": 0.5, "bicubic": 0.5},
    odds=SampleOdds(drop_captions=0.1, show_original=0.1),
    learning_rate=1e-3,
    warmup_steps=0,
    weight_decay=0.01,
    constraint_weight=0.05,
    ema_decay=0.9,
    precision="float32",
    gradient_checkpointing=False,
    validation=Validation(pictures=1, steps=2, guidance_scale=1.5),
    log_every=1,
    validate_every=100,
    checkpoint_every=2,
    export_every=100,
)


def write_base(root: Path, *, seed: int = 0, width: int = 16) -> Path:
    """Write a folder as Stable Diffusion 1.5 has it, with random weights and a UNet of `width` channels."""
    config = UNET | {"block_out_channels": [width] * 4}
    shutil.copytree(BASE, root, copy_function=shutil.copyfile)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet: Any = XpsrUNet.from_config(config)
        vae: Any = AutoencoderKL.from_config(AutoencoderKL.load_config(BASE / "vae"))
        text: Any = CLIPTextModel(CLIPTextConfig.from_pretrained(BASE / "text_encoder"))
    vae_config = root / "vae" / "config.json"
    # With random weights this makes latents as large as those of the trained one.
    vae_config.write_text(json.dumps(json.loads(vae_config.read_text()) | {"scaling_factor": 1.0}))
    (root / "unet").mkdir()
    (root / "unet" / "config.json").write_text(json.dumps(config))
    own = {name: tensor for name, tensor in unet.state_dict().items() if "pixel_attentions" not in name}
    save_file(own, root / "unet" / "diffusion_pytorch_model.safetensors")
    save_file(vae.state_dict(), root / "vae" / "diffusion_pytorch_model.safetensors")
    save_file(
        {
            f"text_model.{name.removeprefix('text_model.')}": tensor
            for name, tensor in text.state_dict().items()
        },
        root / "text_encoder" / "model.safetensors",
    )
    return root


def write_published(root: Path, *, num_pictures: int, side: int) -> Path:
    """Write pairs in the layout of XPSR's authors, one folder of them."""
    for number in range(num_pictures):
        clean = make_picture(number, side, side)
        files = {
            "HR": clean,
            "LR": clean.resize((side // 4, side // 4)).resize((side, side), Image.Resampling.BICUBIC),
            "highlevel_prompt_GT": f"picture {number}\nnot read",
            "highlevel_prompt": f"picture {number} said of LR",
            "lowlevel_prompt_q": f"quality of LR {number}",
            "lowlevel_prompt_q_GT": f"quality of HR {number}",
        }
        for kind, content in files.items():
            folder = root / "dataset_0" / kind / "source"
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (folder / f"{number:04d}.txt").write_text(content)
            else:
                content.save(folder / f"{number:04d}.png")
    return root
