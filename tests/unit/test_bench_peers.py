"""Networks in ncnn's files, against the same sums written out in torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.bench.peers import HALF_PRECISION, NcnnNetwork, read_layers

PARAM = """7767517
8 10
Input         in     0 1 data
Split         split  1 2 data data_0 data_1
Convolution   conv0  1 1 data_0 a 0=3 1=3 4=1 5=1 6=81 9=2 -23310=1,2.000000e-01
PReLU         act    1 1 a b 0=3
Eltwise       mix    2 1 b data_1 c 0=1 -23301=2,2.000000e-01,1.000000e+00
Convolution   conv1  1 1 c d 0=48 1=1 4=0 5=0 6=144
PixelShuffle  up     1 1 d e 0=4
Interp        resize 1 1 e output 0=1 1=1.000000e+00 2=1.000000e+00
"""

GATED = """7767517
7 9
Input         in     0 1 data
MemoryData    mean   0 1 mean 0=1 1=1 2=3
BinaryOp      sub    2 1 data mean a 0=1
BinaryOp      mul    1 1 a b 0=2 1=1 2=2.550000e+02
Split         split  1 2 b b_0 b_1
Swish         swish  1 1 b_0 c
Sigmoid       gate   1 1 b_1 d
BinaryOp      out    2 1 c d output 0=2
"""


@pytest.fixture
def model(tmp_path: Path) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = {
        "first": torch.randn(3, 3, 3, 3, generator=generator).half().float() / 4,
        "bias": torch.randn(3, generator=generator),
        "slopes": torch.rand(3, generator=generator),
        "second": torch.randn(48, 3, 1, 1, generator=generator),
    }
    (tmp_path / "tiny.param").write_text(PARAM)
    half = weights["first"].half().numpy().tobytes()
    (tmp_path / "tiny.bin").write_bytes(
        np.uint32(HALF_PRECISION).tobytes()
        + half
        + bytes(-len(half) % 4)
        + weights["bias"].numpy().tobytes()
        + weights["slopes"].numpy().tobytes()
        + np.uint32(0).tobytes()
        + weights["second"].numpy().tobytes()
    )
    return weights


def test_the_layers_do_what_their_names_say(model: dict[str, torch.Tensor], tmp_path: Path) -> None:
    image = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(2))
    hidden = F.leaky_relu(F.conv2d(image, model["first"], model["bias"], padding=1), 0.2)
    hidden = torch.where(hidden > 0, hidden, hidden * model["slopes"][:, None, None])
    wanted = F.pixel_shuffle(F.conv2d(0.2 * hidden + image, model["second"]), 4)
    network = NcnnNetwork(tmp_path / "tiny.param")
    torch.testing.assert_close(network(image), wanted, atol=1e-5, rtol=1e-5)
    assert network.num_parameters == 81 + 3 + 3 + 144


def test_a_peer_takes_and_gives_pictures(model: dict[str, torch.Tensor], tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = NcnnNetwork(tmp_path / "tiny.param").enlarge(picture)
    assert (large.shape, large.dtype) == ((24, 32, 3), np.uint8)


def test_a_list_among_the_parameters_is_read_as_one(model: dict[str, torch.Tensor], tmp_path: Path) -> None:
    mix = next(layer for layer in read_layers(tmp_path / "tiny.param") if layer.kind == "Eltwise")
    assert mix.numbers == {0: [1.0], 1: [0.2, 1.0]}
    assert mix.inputs == ("b", "data_1")


def test_weights_that_are_left_over_or_unknown_are_refused(
    model: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.bin"
    path.write_bytes(path.read_bytes() + b"1234")
    with pytest.raises(ValueError, match="4 bytes are left over"):
        NcnnNetwork(tmp_path / "tiny.param")
    path.write_bytes(np.uint32(77).tobytes() + path.read_bytes()[4:])
    with pytest.raises(ValueError, match="stored as 0x4d"):
        NcnnNetwork(tmp_path / "tiny.param")


def test_constants_and_gates_do_what_their_names_say(tmp_path: Path) -> None:
    (tmp_path / "gated.param").write_text(GATED)
    constant = torch.tensor([0.1, 0.2, 0.3])
    (tmp_path / "gated.bin").write_bytes(constant.numpy().tobytes())
    image = torch.rand(1, 3, 5, 4, generator=torch.Generator().manual_seed(3))
    scaled = 255 * (image - constant[:, None, None])
    wanted = scaled / (1 + torch.exp(-scaled)) * torch.sigmoid(scaled)
    torch.testing.assert_close(NcnnNetwork(tmp_path / "gated.param")(image), wanted, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    "change", [("PReLU ", "Mystery "), ("0=48 ", "9=7 0=48 "), ("0=1 -23301", "0=2 -23301")]
)
def test_layers_that_are_not_known_are_refused(
    change: tuple[str, str], model: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    (tmp_path / "tiny.param").write_text(PARAM.replace(*change))
    with pytest.raises(ValueError, match="known here"):
        NcnnNetwork(tmp_path / "tiny.param")


def test_arithmetic_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gated.param").write_text(GATED.replace("c d output 0=2", "c d output 0=4"))
    (tmp_path / "gated.bin").write_bytes(bytes(12))
    with pytest.raises(ValueError, match="layer out: of two operands"):
        NcnnNetwork(tmp_path / "gated.param")
