"""Bicubic enlargement in a frame's own pixel format and bit depth."""

from dataclasses import replace

from vidsr.media.frames import from_av, to_av
from vidsr.media.swscale import PLAIN_BICUBIC, PictureFormat, Resampler
from vidsr.types import Colour, Frame


class Scaler:
    """Enlarges frames of one size and format. For one thread at a time.

    Samples keep their format, depth, matrix and range; chroma keeps its place relative to luma.
    """

    def __init__(self, like: Frame, *, factor: int) -> None:
        """Prepare for frames like `like`.

        Args:
            like: gives size, pixel format and chroma siting.
            factor: enlargement of both sides, at least 1.
        """
        if factor < 1:
            msg = f"factor must be at least 1, got {factor}"
            raise ValueError(msg)
        self._source = _format_of(like)
        target = replace(self._source, width=like.width * factor, height=like.height * factor)
        self._resampler = Resampler(self._source, target, flags=PLAIN_BICUBIC)

    def fits(self, frame: Frame) -> bool:
        """Return whether `frame` has the size, format and chroma siting this was made for."""
        return _format_of(frame) == self._source

    def scale(self, frame: Frame) -> Frame:
        """Return `frame` enlarged."""
        if not self.fits(frame):
            msg = f"{frame!r} does not have the format of this scaler, {self._source}"
            raise ValueError(msg)
        large = self._resampler.convert(to_av(replace(frame, colour=self._source.colour)))
        return from_av(
            large, index=frame.index, pts=frame.pts, time_base=frame.time_base, colour=frame.colour
        )


def scale(frame: Frame, factor: int) -> Frame:
    """Return one frame enlarged; for a sequence of frames a `Scaler` is faster."""
    return Scaler(frame, factor=factor).scale(frame)


def _format_of(frame: Frame) -> PictureFormat:
    # Matrix and range stay what they are, so swscale is not told of them: it would refuse some (YCgCo).
    siting = Colour(chroma_location=frame.colour.chroma_location)
    return PictureFormat(width=frame.width, height=frame.height, pix_fmt=frame.pix_fmt, colour=siting)
