"""What a video codec does to pictures, and nothing else: in memory, without a file or a clock."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from vidsr.media.colour import from_rgb, to_rgb
from vidsr.media.frames import from_av, to_av
from vidsr.types import Colour, Frame

Codec = Literal["h264", "hevc", "mpeg2video"]

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "mpeg2video": "mpeg2video"}
_RATE = 25
_COLOUR = Colour(matrix=6, primaries=6, transfer=6, full_range=False, chroma_location=1)
"""BT.601: the pictures are small."""


def recompress(frames: Sequence[NDArray[np.uint8]], *, codec: Codec, quality: int) -> list[NDArray[np.uint8]]:
    """Encode and decode a short clip in 4:2:0.

    Args:
        frames: RGB [3, H, W], sides even and at least 16.
        codec: h264 by x264 or hevc by x265 (preset veryfast, no B-frames), or MPEG-2.
        quality: CRF of x264 and x265, 0 to 51, or the fixed quantiser of MPEG-2, 1 to 31. Lower is better.

    Returns:
        As many frames of the same size.
    """
    encoder = av.CodecContext.create(_ENCODERS[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape[1:]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, _RATE)
    encoder.framerate = Fraction(_RATE)
    encoder.thread_count = 1
    encoder.gop_size = max(12, len(frames))
    encoder.max_b_frames = 0
    encoder.options = _options(codec, quality)
    decoder = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    decoded = list(_pictures(encoder, decoder, frames))
    assert len(decoded) == len(frames)
    return [_rgb(picture, index) for index, picture in enumerate(decoded)]


def _options(codec: Codec, quality: int) -> dict[str, str]:
    if codec == "h264":
        return {"crf": str(quality), "preset": "veryfast"}
    if codec == "hevc":
        # Without pools and frame threads what x265 writes does not depend on the machine.
        quiet = "log-level=error:pools=none:frame-threads=1"
        return {"crf": str(quality), "preset": "veryfast", "x265-params": quiet}
    return {"qmin": str(quality), "qmax": str(quality)}


def _pictures(encoder: Any, decoder: Any, frames: Sequence[NDArray[np.uint8]]) -> Iterator[av.VideoFrame]:  # noqa: ANN401  # PyAV's stubs say CodecContext, which has neither encode nor decode
    for index, pixels in enumerate(frames):
        picture = to_av(_yuv(pixels, index))
        picture.pts, picture.time_base = index, Fraction(1, _RATE)
        for packet in encoder.encode(picture):
            yield from decoder.decode(packet)
    for packet in encoder.encode(None):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _yuv(pixels: NDArray[np.uint8], index: int) -> Frame:
    height, width = pixels.shape[1:]
    like = Frame(
        planes=(),
        pix_fmt="yuv420p",
        width=width,
        height=height,
        colour=_COLOUR,
        index=index,
        pts=index,
        time_base=Fraction(1, _RATE),
    )
    return from_rgb(pixels, pix_fmt="yuv420p", colour=_COLOUR, like=like)


def _rgb(picture: av.VideoFrame, index: int) -> NDArray[np.uint8]:
    frame = from_av(picture, index=index, pts=index, time_base=Fraction(1, _RATE), colour=_COLOUR)
    return np.asarray(to_rgb(frame), dtype=np.uint8)
