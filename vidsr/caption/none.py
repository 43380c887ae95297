"""The captioner that says nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidsr.types import Prior, Shot


class NoCaptioner:
    """Leaves both priors empty, so that the restorer goes by the pictures alone."""

    name = "none/1"
    frames_per_shot = 0
    is_cacheable = True

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Return an empty prior."""
        del shot, pictures
        return Prior(captioner=self.name)
