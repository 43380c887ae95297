"""What comes with a decoded picture beside its samples."""

from collections.abc import Iterable
from typing import cast

import av
from av.sidedata.sidedata import SideData

_CRASHING = frozenset({"png", "apng"})


def side_data_of(picture: av.VideoFrame, codec: str) -> tuple[SideData, ...] | None:
    """Return what comes with a picture that `codec` decoded; None where PyAV cannot be asked.

    PyAV 18.1 fails at all side data of a picture that has EXIF, and frees the name of a PNG's colour profile,
    which is FFmpeg's: the process crashes.
    """
    if codec in _CRASHING:
        return None
    try:
        return tuple(cast(Iterable[SideData], picture.side_data))
    except ValueError:
        return None
