"""ControlNet and UNet against the published modules, in float64."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.golden.fill import fill, uniform
from tests.golden.sets import HERE, module_sets
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
        self.latents = 1.7 * _input("in.sample", batch, 4, height, width)
        self.high = 1.7 * _input("in.encoder_hidden_states", batch, self.set["tokens_high"], text_width)
        self.low = 1.7 * _input(
            "in.lowlevel_encoder_hidden_states", batch, self.set["tokens_low"], text_width
        )
        self.image = (_input("in.controlnet_cond", batch, 3, 8 * height, 8 * width) + 1) / 2
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


@pytest.fixture(params=module_sets(), ids=lambda path: path.stem, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_the_controlnet_gives_the_published_residuals_and_heads(case: Case) -> None:
    control = case.control()
    assert control.latent_head_mid is not None
    for kind, tensors in (
        ("down_res", control.residuals),
        ("dfc_latent", control.latent_heads),
    ):
        for index, tensor in enumerate(tensors):
            case.assert_close(f"out.{kind}.{index:02d}", tensor)
    for index, tensor in enumerate(control.rgb_heads):
        case.assert_close(f"out.dfc_rgb.{index}", tensor)
    case.assert_close("out.mid_res", control.mid_residual)
    case.assert_close("out.dfc_latent_mid", control.latent_head_mid)


def test_the_unet_predicts_the_published_noise(case: Case) -> None:
    case.assert_close("out.unet", case.noise(case.control()))


@torch.no_grad()
def test_text_that_was_projected_once_says_the_same(case: Case) -> None:
    high, low = case.controlnet.project_high(case.high), case.controlnet.project_low(case.low)
    embedded = case.controlnet.embed(case.image)
    scale = case.set["conditioning_scale"]
    control = case.controlnet(case.latents, case.timestep, high, low, embedded, scale, with_heads=False)
    torch.testing.assert_close(control.mid_residual, case.control().mid_residual, rtol=0, atol=0)
    assert (control.latent_heads, control.latent_head_mid) == ((), None)
    case.assert_close("out.unet", case.noise(control, projected=True))


@torch.no_grad()
def test_each_prior_and_the_picture_are_read(case: Case) -> None:
    before = case.noise(case.control())
    for name in ("high", "low", "image"):
        kept = getattr(case, name)
        setattr(case, name, kept + 0.1 * _input(name, *kept.shape))
        assert (case.noise(case.control()) - before).abs().max() > 1e-4, name
        setattr(case, name, kept)


@pytest.mark.parametrize(("name", "network"), [("unet", XpsrUNet), ("controlnet", XpsrControlNet)])
def test_at_full_size_keys_and_shapes_are_the_published_ones(name: str, network: Any) -> None:
    config = json.loads((HERE / f"full_{name}_config.json").read_text())
    with torch.device("meta"):
        state = network.from_config(config).state_dict()
    wanted = json.loads((HERE / "full_sd15_keys.json").read_text())[name]
    assert {key: list(tensor.shape) for key, tensor in state.items()} == wanted
    assert len(wanted) == {"unet": 998, "controlnet": 736}[name]


def _input(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(uniform(name, shape))
