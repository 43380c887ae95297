"""The one way into FFmpeg's scaler: a filter graph that says what chroma siting, matrix and range it means.

PyAV's own reformatter is not used where chroma is resampled: it takes 4:2:0 chroma for centred (FFmpeg 8.1),
and moves colour by a quarter of a luma sample against the edges of a picture that is sited left, as MPEG-2,
H.264 and H.265 are.
"""

import functools
import threading
from dataclasses import dataclass

import av
from av.filter import Graph

from vidsr.types import UNSPECIFIED, Colour

PLAIN_BICUBIC = "bicubic"
"""swscale's fast bicubic (a = -0.6), within one level of the exact one."""
EXACT_BICUBIC = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"

KEPT_RESAMPLERS = 6
"""A part needs at most three: in, out, and alpha."""

_kept = threading.local()
_LOCATIONS = ("left", "left", "center", "topleft", "top", "bottomleft", "bottom")
"""By `Colour.chroma_location`. 0, not stated, is left, as H.264 and H.265 have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """What swscale must know of a picture."""

    width: int
    height: int
    pix_fmt: str
    colour: Colour


class Resampler:
    """Turns pictures of one format into another. For one thread at a time."""

    def __init__(self, source: PictureFormat, target: PictureFormat, *, flags: str) -> None:
        self._graph = Graph()
        # A pool of threads for each graph costs more than it gains at these sizes.
        self._graph.threads = 1
        self._graph.link_nodes(
            self._graph.add("buffer", None, **_buffer_options(source)),
            self._graph.add("scale", None, **_scale_options(source, target, flags)),
            self._graph.add("format", target.pix_fmt),
            self._graph.add("buffersink"),
        ).configure()

    def convert(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return `picture`, which has the source format, in the target format; its pts is kept."""
        self._graph.vpush(picture)
        return self._graph.vpull()


def resampler(source: PictureFormat, target: PictureFormat, *, flags: str) -> Resampler:
    """Return this thread's resampler for two formats. The last few are kept: making one takes 3 to 10 ms."""
    if not hasattr(_kept, "make"):
        _kept.make = functools.lru_cache(maxsize=KEPT_RESAMPLERS)(Resampler)
    made: Resampler = _kept.make(source, target, flags=flags)
    return made


def _buffer_options(source: PictureFormat) -> dict[str, str]:
    return {
        "video_size": f"{source.width}x{source.height}",
        "pix_fmt": source.pix_fmt,
        # Any will do: one picture comes out for each that goes in, with its pts.
        "time_base": "1/1000",
        "colorspace": str(source.colour.matrix),
        "range": str(range_code(source.colour)),
    }


def _scale_options(source: PictureFormat, target: PictureFormat, flags: str) -> dict[str, str]:
    options = {
        "w": str(target.width),
        "h": str(target.height),
        "flags": flags,
        "in_chroma_loc": _LOCATIONS[source.colour.chroma_location],
        "out_chroma_loc": _LOCATIONS[target.colour.chroma_location],
    }
    if target.colour.matrix != UNSPECIFIED:
        options["out_color_matrix"] = str(target.colour.matrix)
    if target.colour.full_range is not None:
        options["out_range"] = str(range_code(target.colour))
    return options


def range_code(colour: Colour) -> int:
    """Return FFmpeg's number for the range: 0 not stated, 1 limited, 2 full."""
    return {None: 0, False: 1, True: 2}[colour.full_range]
