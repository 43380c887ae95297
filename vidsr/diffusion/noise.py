"""Noise that belongs to the picture: drawn for the first frame of a part, then carried along the motion.

Noise that is drawn anew for every frame makes texture flicker, and noise that stays where it is makes it
stick to the screen. Each sample of a carried field is one sample of the field before, not a mean of several,
so it stays standard normal (the aim of Chang et al. 2024, "How I warped your noise"; here by the nearest
sample), and is drawn anew where nothing was seen before.
"""

import numpy as np
from numpy.typing import NDArray

from vidsr.flow import Flow

Noise = NDArray[np.float32]
"""Standard normal, [C, H, W]."""


def fresh_noise(shape: tuple[int, int, int], *, seed: int, index: int) -> Noise:
    """Draw a field for frame `index` of the part with `seed`: the same on every machine."""
    return _generator(seed, index).standard_normal(shape, dtype=np.float32)


class NoiseDraws:
    """Fields for frame `index` of the part with `seed`, one after the other."""

    def __init__(self, shape: tuple[int, int, int], *, seed: int, index: int) -> None:
        """Begin with the field that `fresh_noise` gives."""
        self._shape = shape
        self._generator = _generator(seed, index)

    def __call__(self) -> Noise:
        """Draw the next one."""
        return self._generator.standard_normal(self._shape, dtype=np.float32)


def carried_noise(before: Noise, flow: Flow, trusted: NDArray[np.bool_], *, seed: int, index: int) -> Noise:
    """Return the noise of a frame whose previous frame had `before`.

    Args:
        before: [C, H, W].
        flow: from this frame to the previous one, [2, H, W].
        trusted: where it holds, [H, W]; elsewhere noise is drawn anew.
        seed: of the part.
        index: of this frame.
    """
    height, width = flow.shape[1:]
    rows = np.clip(np.rint(np.arange(height)[:, None] + flow[1]).astype(np.intp), 0, height - 1)
    columns = np.clip(np.rint(np.arange(width)[None, :] + flow[0]).astype(np.intp), 0, width - 1)
    carried = before[:, rows, columns]
    is_new = ~trusted
    carried[:, is_new] = _generator(seed, index).standard_normal(
        (len(before), int(is_new.sum())), dtype=np.float32
    )
    return carried


def _generator(seed: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
