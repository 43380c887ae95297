"""A clip through a network with the layers of BasicVSR, against windows around each frame."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.bench.basicvsr import FILES, FOLDER, open_basicvsr
from tests.bench.peers import to_image, to_pixels

PROGRAM = '''
import torch
from torch import nn

def flow_warp(features, flow):
    """Shift by whole pixels to the left: the flow says by how many."""
    return torch.roll(features, -int(flow[0, 0, 0, 0]), dims=3)

class BasicVSR(nn.Module):
    def __init__(self, num_feat, num_block):
        super().__init__()
        self.num_feat = 2
        self.backward_trunk, self.forward_trunk = nn.Conv2d(5, 2, 3, padding=1), nn.Conv2d(5, 2, 3, padding=1)
        self.fusion = nn.Conv2d(4, 2, 1)
        self.upconv1, self.upconv2 = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(2, 8, 3, padding=1)
        self.conv_hr, self.conv_last = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1)
        self.pixel_shuffle, self.lrelu = nn.PixelShuffle(2), nn.LeakyReLU(0.1)

    def get_flow(self, x):
        """To the frame before, to the frame after: each pair has another."""
        b, n, _, h, w = x.size()
        steps = torch.arange(1.0, n)[None, :, None, None, None].expand(b, n - 1, 2, h, w)
        return steps, -2 * steps

    def forward(self, x):
        """Return the frame in the middle of a window, as the package does."""
        before, after = self.get_flow(x)
        n = x.shape[1]
        middle = n // 2
        back = x.new_zeros(1, 2, *x.shape[3:])
        for i in range(n - 1, middle - 1, -1):
            if i < n - 1:
                back = flow_warp(back, after[:, i].permute(0, 2, 3, 1))
            back = self.backward_trunk(torch.cat([x[:, i], back], 1))
        forth = x.new_zeros(1, 2, *x.shape[3:])
        for i in range(middle + 1):
            if i:
                forth = flow_warp(forth, before[:, i - 1].permute(0, 2, 3, 1))
            forth = self.forward_trunk(torch.cat([x[:, i], forth], 1))
        out = self.lrelu(self.fusion(torch.cat([back, forth], 1)))
        out = self.lrelu(self.pixel_shuffle(self.upconv1(out)))
        out = self.lrelu(self.pixel_shuffle(self.upconv2(out)))
        base = nn.functional.interpolate(x[:, middle], scale_factor=4, mode="bilinear", align_corners=False)
        return self.conv_last(self.lrelu(self.conv_hr(out))) + base
'''


@pytest.fixture
def peers(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("")
    (folder / "basicvsr_arch.py").write_text(PROGRAM)
    torch.manual_seed(1)
    torch.save({"params": _network(tmp_path).state_dict()}, folder / FILES[-1])
    return tmp_path


def _network(peers: Path) -> nn.Module:
    """Return the network with random weights."""
    spec = importlib.util.spec_from_file_location("program", peers / FOLDER / "basicvsr_arch.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    network: nn.Module = program.BasicVSR(num_feat=64, num_block=30)
    return network


def test_the_frame_in_the_middle_is_that_of_the_window(peers: Path) -> None:
    draw = np.random.default_rng(2)
    frames = [draw.integers(0, 256, (8, 12, 3), dtype=np.uint8) for _ in range(5)]
    video = open_basicvsr(peers)
    assert video is not None
    made = video.restore(frames)
    assert [(frame.shape, frame.dtype) for frame in made] == [((32, 48, 3), np.uint8)] * 5
    network = _network(peers)
    network.load_state_dict(torch.load(peers / FOLDER / FILES[-1], weights_only=True)["params"])
    window = torch.stack([to_image(frame)[0] for frame in frames])[None]
    with torch.inference_mode():
        np.testing.assert_array_equal(made[2], to_pixels(network(window)[0]))


def test_without_all_of_its_files_there_is_no_peer(peers: Path) -> None:
    (peers / FOLDER / FILES[0]).unlink()
    assert open_basicvsr(peers) is None
