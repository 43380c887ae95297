"""A smaller denoiser that begins with what a larger one has left: training mends what it lost."""

from vidsr.errors import CheckpointError
from vidsr.models.compact.denoiser import DenoiserNet
from vidsr.models.compact.unet import UNetShape


def pruned(network: DenoiserNet, shape: UNetShape) -> DenoiserNet:
    """Return a denoiser of `shape` made of the first blocks of `network`.

    Args:
        network: the larger one; it is left as it is.
        shape: as wide, with at most as many pairs and attention blocks at each level, and with a stem of the
            same size or of one pixel, which keeps the middle of the larger one.

    Raises:
        CheckpointError: `shape` has more somewhere, or other widths or heads.
    """
    old = network.shape
    if old == shape:
        return network
    same = (old.widths, old.num_heads) == (shape.widths, shape.num_heads)
    fewer = all(wanted <= known for known, wanted in zip(old.pairs, shape.pairs, strict=True))
    if not (same and fewer and shape.num_sfa <= old.num_sfa and shape.stem_side in {1, old.stem_side}):
        msg = f"a denoiser of {old} cannot be cut down to {shape}"
        raise CheckpointError(msg)
    result = DenoiserNet(shape)
    state = network.state_dict()
    if shape.stem_side != old.stem_side:
        middle = old.stem_side // 2
        state["unet.stem.weight"] = state["unet.stem.weight"][..., middle : middle + 1, middle : middle + 1]
    result.load_state_dict({name: state[name] for name in result.state_dict()})
    return result
