"""Bicubic scaling in the frame's own pixel format and bit depth: no model, no torch."""

from collections.abc import Sequence

from vidsr.media.scale import Scaler
from vidsr.types import Done, Work


class BicubicRestorer:
    """Enlarges with swscale's bicubic filter; samples never leave their format."""

    def __init__(self, *, scale: int) -> None:
        self._scale = scale
        self._scaler: Scaler | None = None

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Scale each frame by itself; nothing is carried."""
        return [Done(frame=self._scaler_for(work).scale(work.frame), carry=None) for work in batch]

    def _scaler_for(self, work: Work) -> Scaler:
        # One filter graph serves all frames of a video; it is rebuilt where the picture's shape changes.
        if self._scaler is None or not self._scaler.fits(work.frame):
            self._scaler = Scaler(work.frame, factor=self._scale)
        return self._scaler
