"""Pictures of another size or format than the first, brought to its shape: recordings are joined."""

from dataclasses import replace

import av

from vidsr.media.clock import capped
from vidsr.media.colour import resolved_colour
from vidsr.media.frames import colour_of, planar_format, tag
from vidsr.media.swscale import EXACT_BICUBIC, PictureFormat, resampler
from vidsr.types import UNSPECIFIED, Colour, VideoInfo


def fitted(picture: av.VideoFrame, video: VideoInfo) -> av.VideoFrame:
    """Return a planar picture at the size and in the format of `video`: itself where it has them.

    Its time stays, and its colours are those of `video` where it states others.
    """
    if _shape(picture) == (video.width, video.height, video.pix_fmt):
        return picture
    source, target = _formats(picture, video)
    tag(picture, source.colour)
    result = resampler(source, target, flags=EXACT_BICUBIC).convert(picture)
    result.pts = picture.pts
    return result


class ShapeChanges:
    """Remembers which pictures were fitted: one run of frames for each change."""

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self._runs: list[tuple[int, int, str]] = []

    def note(self, index: int, picture: av.VideoFrame) -> None:
        """Look at the picture as it was decoded; called for each frame, in order."""
        width, height, pix_fmt = _shape(picture)
        if (width, height, pix_fmt) == (self._video.width, self._video.height, self._video.pix_fmt):
            return
        name = f"{width}x{height} {pix_fmt}"
        if self._runs and self._runs[-1][1:] == (index, name):
            self._runs[-1] = (self._runs[-1][0], index + 1, name)
        else:
            self._runs.append((index, index + 1, name))

    def lines(self) -> list[str]:
        """Return a line for each run."""
        first = f"{self._video.width}x{self._video.height} {self._video.pix_fmt}"
        return capped([f"{_are(*run)}: scaled to the {first} of the first frame" for run in self._runs])


def _are(start: int, stop: int, name: str) -> str:
    frames = f"frame {start} is" if stop - start == 1 else f"frames {start} to {stop - 1} are"
    return f"{frames} {name}"


def _shape(picture: av.VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, planar_format(picture.format.name)


def _formats(picture: av.VideoFrame, video: VideoInfo) -> tuple[PictureFormat, PictureFormat]:
    width, height, pix_fmt = _shape(picture)
    stated, like = colour_of(picture), video.colour
    # What the picture leaves open is as the first one states it; where that is silent too, by its own size.
    own = replace(
        stated,
        matrix=like.matrix if stated.matrix == UNSPECIFIED else stated.matrix,
        full_range=like.full_range if stated.full_range is None else stated.full_range,
        chroma_location=like.chroma_location,
    )
    own = resolved_colour(own, pix_fmt=pix_fmt, height=height)
    first = resolved_colour(like, pix_fmt=video.pix_fmt, height=video.height)
    if (own.matrix, own.full_range) == (first.matrix, first.full_range):
        # swscale need not know of them, and would refuse some (YCgCo).
        own = first = Colour(chroma_location=like.chroma_location)
    return (
        PictureFormat(width=width, height=height, pix_fmt=pix_fmt, colour=own),
        PictureFormat(width=video.width, height=video.height, pix_fmt=video.pix_fmt, colour=first),
    )
