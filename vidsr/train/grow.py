"""A larger network that begins as a smaller one (Net2Net, Chen et al. 2016).

What the smaller one learnt is kept: right after growing, both say the same. New channels and new residual
blocks are not read by anything yet, and training decides what they are for.
"""

import torch
from torch import Tensor

from vidsr.errors import CheckpointError
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape


def grown(network: EstimateNet, shape: UNetShape) -> EstimateNet:
    """Return an estimate of `shape` that says what `network` says.

    Args:
        network: the smaller one; it is left as it is.
        shape: at least as wide at the upper two levels, at least as many pairs at each; the lowest width, the
            attention and the stem's kernel cannot grow.

    Raises:
        CheckpointError: `shape` is smaller somewhere, or differs where nothing can grow.
    """
    old = network.shape
    fixed = [(each.widths[2], each.num_sfa, each.num_heads, each.stem_side) for each in (old, shape)]
    sizes = zip(old.widths + old.pairs, shape.widths + shape.pairs, strict=True)
    larger = all(known <= wanted for known, wanted in sizes)
    if not (fixed[0] == fixed[1] and larger):
        msg = f"a network of {old} cannot grow to {shape}"
        raise CheckpointError(msg)
    result = EstimateNet(shape)
    source = dict(network.named_modules())
    with torch.no_grad():
        for name, module in result.named_modules():
            if name not in source:
                continue
            for key, parameter in module.named_parameters(recurse=False):
                # FiLM's rows are all gains and then all shifts.
                _fill(parameter, getattr(source[name], key), parts=2 if name.endswith(".film") else 1)
    return result


def _fill(new: Tensor, old: Tensor, *, parts: int) -> None:
    """Copy `old` into the corner of each of `parts` runs of rows; what was there reads no new channel."""
    for rows, known in zip(new.chunk(parts), old.chunk(parts), strict=True):
        first = rows[: len(known)]
        if first.dim() > 1:
            first[:, known.shape[1] :] = 0
            first[:, : known.shape[1]] = known
        else:
            first.copy_(known)
