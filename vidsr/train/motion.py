"""Two frames of a clip out of one photograph, with the motion between them known.

The later frame is the photograph itself, so that targets stay sharp; the earlier one is the photograph
shifted, turned and enlarged a little.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.models.compact.estimate import SCALE
from vidsr.train.draw import Draw
from vidsr.train.settings import MotionPolicy

ALIGNMENT = 4
ERROR_GRID = 4
"""The error of the flow is drawn on a grid of this many points a side and enlarged smoothly."""


class Pair(NamedTuple):
    """Two clean frames and the way from the later to the earlier."""

    clean: Tensor
    """[3, s, s]."""
    previous: Tensor
    """[3, s, s]."""
    flow: Tensor
    """clean[y, x] is found at previous[y + dy, x + dx], up to the flow's error: (dx, dy), [2, s, s]."""
    inside: Tensor
    """Where that is inside of the picture, [1, s, s], 0 or 1."""


def margin_of(motion: MotionPolicy) -> int:
    """Return how many pixels around a crop `move` needs, a multiple of ALIGNMENT, for crops up to 256."""
    reach = SCALE * motion.max_shift + 128 * math.sqrt(2) * (math.radians(motion.max_turn) + motion.max_zoom)
    return ALIGNMENT * math.ceil((reach + 2) / ALIGNMENT)


def move(square: Tensor, size: int, motion: MotionPolicy, draw: Draw) -> Pair:
    """Make two frames of `size` out of `square` [3, s, s], which is larger by twice the margin."""
    margin = (square.shape[1] - size) // 2
    turn = math.radians(draw.uniform(-motion.max_turn, motion.max_turn))
    zoom = 1 + draw.uniform(-motion.max_zoom, motion.max_zoom)
    reach = SCALE * motion.max_shift
    shift = torch.tensor([draw.uniform(-reach, reach), draw.uniform(-reach, reach)])
    cosine, sine = zoom * math.cos(turn), zoom * math.sin(turn)
    matrix = torch.tensor([[cosine, -sine], [sine, cosine]])
    axis = torch.arange(size) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    here = torch.stack([x, y], dim=-1)  # [s, s, 2], from the centre
    # The earlier frame shows at q what the photograph has at matrix q + shift.
    place = here @ matrix.T + shift
    grid = place / (square.shape[1] / 2)
    previous = F.grid_sample(
        square[None], grid[None], mode="bicubic", padding_mode="reflection", align_corners=False
    )[0]
    flow = (here - shift) @ torch.linalg.inv(matrix).T - here
    error = F.interpolate(
        draw.normal(1, 2, ERROR_GRID, ERROR_GRID), size=(size, size), mode="bicubic", align_corners=True
    )[0]
    flow = flow.permute(2, 0, 1) + SCALE * motion.flow_error * error
    ends = flow + here.permute(2, 0, 1)
    inside = (ends.abs() <= (size - 1) / 2).all(0, keepdim=True).float()
    clean = square[:, margin : margin + size, margin : margin + size]
    return Pair(clean, previous.clamp(0, 1), flow, inside)


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Return `pictures` [B, C, H, W] as seen along `flow` [B, 2, H, W], bicubic, edges repeated."""
    height, width = flow.shape[2:]
    columns = torch.arange(width, device=flow.device) + flow[:, 0]
    rows = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    return F.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)
