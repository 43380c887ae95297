"""One set of reference data: networks, inputs and what must come out."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.golden.fill import fill, uniform
from vidsr.models.xpsr.controlnet import ControlOutput, XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

TOLERANCE = 1e-9


class Case:
    """One set: networks, inputs and what must come out."""

    def __init__(self, path: Path) -> None:
        self.set: dict[str, Any] = json.loads(path.read_text())
        self.wanted = load_file(path.with_suffix(".safetensors"))
        self.unet = XpsrUNet.from_config(self.set["unet"])
        self.controlnet = XpsrControlNet.from_config(self.set["controlnet"])
        fill(self.unet)
        fill(self.controlnet)
        batch, (height, width) = self.set["batch"], self.set["latent_hw"]
        text_width = self.set["unet"]["cross_attention_dim"]
        self.latents = 1.7 * input_field("in.sample", batch, 4, height, width)
        self.high = 1.7 * input_field("in.encoder_hidden_states", batch, self.set["tokens_high"], text_width)
        self.low = 1.7 * input_field(
            "in.lowlevel_encoder_hidden_states", batch, self.set["tokens_low"], text_width
        )
        self.image = (input_field("in.controlnet_cond", batch, 3, 8 * height, 8 * width) + 1) / 2
        self.timestep = torch.tensor(self.set["timestep"])

    @torch.no_grad()
    def control(self) -> ControlOutput:
        scale = self.set["conditioning_scale"]
        return self.controlnet(self.latents, self.timestep, self.high, self.low, self.image, scale)

    @torch.no_grad()
    def noise(self, control: ControlOutput, *, projected: bool = False) -> Tensor:
        high: Any = self.unet.project_high(self.high) if projected else self.high
        low: Any = self.unet.project_low(self.low) if projected else self.low
        return self.unet(self.latents, self.timestep, high, low, control.residuals, control.mid_residual)

    def assert_close(self, name: str, found: Tensor) -> None:
        if name in self.wanted:
            wanted = self.wanted[name]
        else:
            found, wanted = (
                found.flatten()[:: int(self.wanted[f"{name}.every"])],
                self.wanted[f"{name}.sample"],
            )
            found = found[: len(wanted)]
        torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE, msg=lambda text: f"{name}: {text}")


def input_field(name: str, *shape: int) -> Tensor:
    """Return an input by its name in the reference data: numbers in [-1, 1)."""
    return torch.from_numpy(uniform(name, shape))
