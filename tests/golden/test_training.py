"""Losses, gradients and the first weights of training against the published modules, in float64."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.golden.case import Case, input_field
from tests.golden.fill import filled
from tests.golden.sets import HERE, module_sets
from vidsr.errors import CheckpointError
from vidsr.models.tensor_file import open_tensors
from vidsr.models.xpsr.blocks import recompute_in_backward
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.train.xpsr.initialise import config_of_controlnet, config_of_unet, initialise
from vidsr.train.xpsr.objective import Example, Losses, TrainedPair
from vidsr.train.xpsr.trained import choose_trained

TOLERANCE = 1e-9
"""Absolute for numbers below 1 and relative above: what float64 leaves of sums of a million terms."""
WEIGHT = 0.05
ELEMENTS = 64
"""The reference data has as many of each gradient."""


class Trained(NamedTuple):
    """What one backward pass of a set gives."""

    case: Case
    losses: Losses
    gradients: dict[str, Tensor]


def backward(path: Path, *, recomputed: bool = False) -> Trained:
    case = Case(path)
    batch, (height, width) = case.set["batch"], case.set["latent_hw"]
    trained = choose_trained(case.unet, case.controlnet, with_heads=True)
    if recomputed:
        recompute_in_backward(case.unet)
        recompute_in_backward(case.controlnet)
    example = Example(
        noisy=case.latents,
        timestep=case.timestep.expand(batch),
        noise=1.7 * input_field("in.noise_target", batch, 4, height, width),
        high=case.high,
        low=case.low,
        shown=case.image,
        clean=input_field("in.hr_pixels", batch, 3, 8 * height, 8 * width),
        clean_latents=1.7 * input_field("in.hr_latents", batch, 4, height, width),
    )
    pair = TrainedPair(case.unet, case.controlnet)
    losses = pair(example, constraint_weight=WEIGHT, conditioning_scale=case.set["conditioning_scale"])
    losses.total.backward()
    gradients = {name: parameter.grad for name, parameter in trained.items() if parameter.grad is not None}
    assert len(gradients) == sum(parameter.grad is not None for parameter in pair.parameters())
    return Trained(case, losses, gradients)


@pytest.fixture(params=module_sets(), ids=lambda path: path.stem, scope="module")
def trained(request: pytest.FixtureRequest) -> Trained:
    return backward(request.param)


def assert_equal(name: str, found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(
        found.double(), wanted.double(), rtol=TOLERANCE, atol=TOLERANCE, msg=lambda text: f"{name}: {text}"
    )


def test_the_losses_are_the_published_ones(trained: Trained) -> None:
    wanted = trained.case.wanted
    assert_equal("mse", trained.losses.noise, wanted["loss.mse"])
    assert_equal("dfc", trained.losses.constraint, wanted["loss.dfc"])
    assert_equal("total", trained.losses.total, wanted["loss.total"])


@pytest.mark.parametrize("network", ["unet", "controlnet"])
def test_the_gradients_are_the_published_ones(trained: Trained, network: str) -> None:
    own = {name: grad for name, grad in trained.gradients.items() if name.startswith(f"{network}.")}
    wanted = {
        name.removeprefix("grad."): tensor
        for name, tensor in trained.case.wanted.items()
        if name.startswith(f"grad.{network}.")
    }
    assert len(own) == int(wanted.pop(f"{network}.count"))
    norm = torch.stack([grad.norm() for grad in own.values()]).norm()
    assert_equal("norm", norm, wanted.pop(f"{network}.norm"))
    assert len(wanted) >= 8
    for name, tensor in wanted.items():
        assert_equal(name, own[name].flatten()[:ELEMENTS], tensor.flatten())


def test_with_less_memory_the_gradients_are_the_same() -> None:
    path = module_sets()[0]
    kept, recomputed = backward(path), backward(path, recomputed=True)
    assert kept.gradients.keys() == recomputed.gradients.keys()
    for name, gradient in kept.gradients.items():
        torch.testing.assert_close(recomputed.gradients[name], gradient, rtol=0, atol=0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Stable Diffusion's UNet in the widths of the published map, each tensor another one."""
    config = json.loads((HERE / "m1.json").read_text())["unet"]
    with torch.device("meta"):
        state = XpsrUNet.from_config(config).state_dict()
    shapes = {name: tensor.shape for name, tensor in state.items() if "pixel_attentions" not in name}
    save_file(filled(shapes), tmp_path / "unet.safetensors")
    return tmp_path / "unet.safetensors"


def controlnet(seed: int, base: Path) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    network = XpsrControlNet.from_config(json.loads((HERE / "m1.json").read_text())["controlnet"])
    initialise(network, open_tensors(base))
    return network.state_dict()


def test_each_tensor_of_the_controlnet_begins_as_the_published_one(base: Path) -> None:
    wanted = json.loads((HERE / "controlnet_from_unet_map_a.json").read_text())
    found, other = controlnet(0, base), controlnet(1, base)
    unet = open_tensors(base)
    assert found.keys() == wanted.keys()
    for name, source in wanted.items():
        if source == "zero":
            assert not found[name].any(), name
        elif source == "fresh":
            assert not torch.equal(found[name], other[name]), name
        else:
            torch.testing.assert_close(found[name], unet.read(source), rtol=0, atol=0, msg=name)


def test_the_unet_begins_as_that_of_stable_diffusion_with_fresh_pixel_attentions(base: Path) -> None:
    config = json.loads((HERE / "m1.json").read_text())["unet"]
    torch.manual_seed(0)
    network = XpsrUNet.from_config(config)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    file = open_tensors(base)
    initialise(network, file)
    for name, tensor in network.state_dict().items():
        wanted = fresh[name] if "pixel_attentions" in name else file.read(name)
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=0, msg=name)


def test_a_unet_that_reads_the_low_level_prior_begins_with_copies_too(base: Path) -> None:
    config = json.loads((HERE / "m1.json").read_text())["unet"] | {"mid_use_lowlevel_prompt": True}
    network, file = XpsrUNet.from_config(config), open_tensors(base)
    initialise(network, file)
    state = network.state_dict()
    stem = "transformer_blocks.0.ff.net.2.weight"
    for companion in ("attentions_lowlevel", "attentions_connect"):
        wanted = file.read(f"mid_block.attentions.0.{stem}")
        torch.testing.assert_close(state[f"mid_block.{companion}.0.{stem}"], wanted, rtol=0, atol=0)


def test_a_base_without_a_tensor_is_refused(base: Path) -> None:
    file = open_tensors(base)
    state = {name: file.read(name).clone() for name in file.shapes if name != "conv_in.bias"}
    save_file(state, base)
    with pytest.raises(CheckpointError, match=r"conv_in\.bias is missing"):
        controlnet(0, base)


def test_the_configs_are_the_published_ones() -> None:
    unet, wanted = (
        json.loads((HERE / f"full_{name}_config.json").read_text()) for name in ("unet", "controlnet")
    )
    flags = [name for name in unet if name.endswith("use_lowlevel_prompt")]
    base = {name: value for name, value in unet.items() if name not in flags}
    assert config_of_unet(base, with_fusion=True) == unet
    assert config_of_controlnet(unet, with_fusion=True) == wanted
