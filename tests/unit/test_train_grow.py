"""A grown network says what the smaller one said, and can learn more."""

import pytest
import torch

from tests.tiny_compact import talkative
from vidsr.errors import CheckpointError
from vidsr.models.compact import text
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import Priors, UNetShape
from vidsr.train.grow import grown

SMALL = UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_heads=2)
SHAPES = [
    SMALL,
    UNetShape(widths=(12, 12, 16), pairs=(1, 1, 1), num_heads=2),
    UNetShape(widths=(8, 20, 16), pairs=(1, 1, 1), num_heads=2),
    UNetShape(widths=(8, 12, 16), pairs=(2, 1, 3), num_heads=2),
    UNetShape(widths=(16, 16, 16), pairs=(3, 2, 1), num_heads=2),
]


@pytest.fixture
def small() -> EstimateNet:
    return talkative(EstimateNet, SMALL)


def _priors(network: EstimateNet) -> Priors:
    return network.read(text.tokenize(["", "a dog"]), text.tokenize(["strong noise", "light blur"]))


def _said(network: EstimateNet) -> torch.Tensor:
    picture = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    said: torch.Tensor = network(picture, _priors(network)).image
    return said


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_it_says_what_the_smaller_one_said(small: EstimateNet, shape: UNetShape) -> None:
    large = grown(small, shape)
    assert large.shape == shape
    torch.testing.assert_close(_said(large), _said(small), rtol=0, atol=1e-5)


def test_what_is_new_can_be_learnt(small: EstimateNet) -> None:
    large = grown(small, SHAPES[-1])
    optimizer = torch.optim.SGD(large.parameters(), lr=1e-2)
    # Twice: what reads the new channels has to leave zero before they matter.
    for _ in range(2):
        optimizer.zero_grad()
        _said(large).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    gradient = large.unet.stem.weight.grad
    assert gradient is not None
    assert float(gradient[SMALL.widths[0] :].abs().min()) > 0
    added = large.unet.get_submodule("up1.2").get_parameter("conv1.weight").grad
    assert added is not None
    assert float(added.abs().max()) > 0


def test_the_smaller_one_stays_as_it_is(small: EstimateNet) -> None:
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    large = grown(small, SHAPES[-1])
    for parameter in large.parameters():
        parameter.data.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())


@pytest.mark.parametrize(
    "shape",
    [
        UNetShape(widths=(4, 12, 16), pairs=(1, 1, 1), num_heads=2),
        UNetShape(widths=(8, 12, 32), pairs=(1, 1, 1), num_heads=2),
        UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_heads=4),
        UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_heads=2, num_sfa=1),
        UNetShape(widths=(8, 12, 16), pairs=(1, 0, 1), num_heads=2),
        UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_heads=2, stem_side=5),
    ],
    ids=str,
)
def test_it_grows_only_where_it_can(small: EstimateNet, shape: UNetShape) -> None:
    with pytest.raises(CheckpointError, match="cannot grow to"):
        grown(small, shape)
