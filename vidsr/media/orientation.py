"""How the picture is shown: the shape of its pixels, and its turn, as far as an output can state them."""

from fractions import Fraction

from vidsr.media.copies import MATROSKA_FAMILY
from vidsr.types import VideoInfo

MAX_ASPECT = 100
"""Wider or narrower pixels are damage: anamorphic film has 2."""
ONE = 65_536
"""In the fixed-point numbers of a display matrix."""


def kept_aspect(video: VideoInfo) -> Fraction:
    """Return the shape of pixels that the output states: square where the source states nonsense."""
    ratio = video.sample_aspect_ratio
    return ratio if 1 <= MAX_ASPECT * ratio <= MAX_ASPECT**2 else Fraction(1)


def kept_matrix(video: VideoInfo, *, muxer: str) -> tuple[int, ...] | None:
    """Return the display matrix that the output states; Matroska has turns by 90 degrees and flips alone."""
    matrix = video.display_matrix
    is_held = matrix is None or muxer not in MATROSKA_FAMILY or _is_turn_or_flip(matrix)
    return matrix if is_held else None


def orientation_lost(video: VideoInfo, *, muxer: str) -> list[str]:
    """Return a line for each thing of these that the output does not state as the source does."""
    lines = []
    if kept_aspect(video) != video.sample_aspect_ratio:
        lines.append(f"pixels of {video.sample_aspect_ratio} are no shape that pixels have: taken for square")
    if kept_matrix(video, muxer=muxer) != video.display_matrix:
        lines.append(f"the display matrix is no turn or flip, and {muxer} holds no other: it is left out")
    return lines


def _is_turn_or_flip(matrix: tuple[int, ...]) -> bool:
    first, second = (tuple(map(abs, matrix[start : start + 3])) for start in (0, 3))
    return {first, second} == {(ONE, 0, 0), (0, ONE, 0)}
