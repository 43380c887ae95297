"""ControlNet and UNet against the published modules, in float64."""

import json
from typing import Any

import pytest
import torch

from tests.golden.case import Case, input_field
from tests.golden.sets import HERE, module_sets
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet


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
        setattr(case, name, kept + 0.1 * input_field(name, *kept.shape))
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
