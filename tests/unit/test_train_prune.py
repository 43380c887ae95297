"""A pruned denoiser is made of the larger one's first blocks."""

import pytest
import torch

from tests.tiny_compact import talkative
from vidsr.errors import CheckpointError
from vidsr.models.compact import text
from vidsr.models.compact.denoiser import Condition, DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.transform import CHANNELS
from vidsr.models.compact.unet import UNetShape
from vidsr.train.prune import pruned

LARGE = UNetShape(widths=(8, 12, 16), pairs=(2, 2, 2), num_sfa=2, num_heads=2)
SMALL = UNetShape(widths=(8, 12, 16), pairs=(2, 1, 1), num_sfa=1, num_heads=2, stem_side=1)


@pytest.fixture
def large() -> DenoiserNet:
    return talkative(DenoiserNet, LARGE)


@torch.no_grad()
def _said(network: DenoiserNet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    grid = (1, CHANNELS, 8, 8)
    condition = Condition(
        torch.rand(1, 3, 16, 16, generator=generator),
        torch.rand(1, 3, 64, 64, generator=generator),
        torch.randn(grid, generator=generator),
        torch.ones(1, 1, 8, 8),
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        reader = EstimateNet(UNetShape(widths=(8, 8, 8), pairs=(1, 1, 1), num_sfa=1, num_heads=2))
    priors = reader.read(text.tokenize(["a dog"]), text.tokenize(["strong noise"]))
    said: torch.Tensor = network(torch.randn(grid, generator=generator), torch.tensor([2]), condition, priors)
    return said


def test_where_the_rest_said_nothing_it_says_the_same(large: DenoiserNet) -> None:
    with torch.no_grad():
        for name, parameter in large.named_parameters():
            # The last layer of each block that goes, so that the block adds nothing.
            if name.startswith(("unet.down2.1.conv2", "unet.up2.1.conv2", "unet.down3.1.conv2")):
                parameter.zero_()
            if name == "unet.stem.weight":
                middle = parameter[..., 1:2, 1:2].clone()
                parameter.zero_()
                parameter[..., 1:2, 1:2] = middle
    one_block_less = UNetShape(widths=(8, 12, 16), pairs=(2, 1, 1), num_sfa=2, num_heads=2, stem_side=1)
    torch.testing.assert_close(_said(pruned(large, one_block_less)), _said(large), rtol=0, atol=1e-5)


def test_it_keeps_the_first_blocks_and_leaves_the_larger_one_alone(large: DenoiserNet) -> None:
    before = {name: tensor.clone() for name, tensor in large.state_dict().items()}
    small = pruned(large, SMALL)
    assert small.shape == SMALL
    first = small.unet.get_submodule("sfa.0").get_parameter("fuse.out.weight")
    assert torch.equal(first, before["unet.sfa.0.fuse.out.weight"])
    for parameter in small.parameters():
        parameter.data.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in large.state_dict().items())


def test_the_same_shape_is_the_same_network(large: DenoiserNet) -> None:
    assert pruned(large, LARGE) is large


@pytest.mark.parametrize(
    "shape",
    [
        UNetShape(widths=(8, 12, 12), pairs=(2, 2, 2), num_heads=2),
        UNetShape(widths=(8, 12, 16), pairs=(2, 2, 3), num_heads=2),
        UNetShape(widths=(8, 12, 16), pairs=(2, 2, 2), num_heads=4),
        UNetShape(widths=(8, 12, 16), pairs=(2, 2, 2), num_heads=2, num_sfa=3),
        UNetShape(widths=(8, 12, 16), pairs=(2, 2, 2), num_heads=2, stem_side=5),
    ],
    ids=str,
)
def test_it_is_cut_down_only_where_it_can(large: DenoiserNet, shape: UNetShape) -> None:
    with pytest.raises(CheckpointError, match="cannot be cut down to"):
        pruned(large, shape)
