"""Where the chapters of a source go in its output."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from av.container import InputContainer

from vidsr.media.copies import ticks_of

if TYPE_CHECKING:
    from av.container.core import Chapter  # in PyAV's stubs only


def placed_chapters(source: InputContainer, *, offset: Fraction) -> "list[Chapter]":
    """Return the chapters of `source`, `offset` seconds later, in the order of their starts.

    Damaged files have some that begin below zero or end before they begin, which muxers refuse, and some out
    of order or at the same time, of which FFmpeg reads one alone in Matroska: a tick puts them apart.
    """
    placed: list[Chapter] = []
    least = Fraction(0)
    for chapter in sorted(source.chapters(), key=lambda chapter: chapter["start"] * _tick(chapter)):
        tick = _tick(chapter)
        shift = ticks_of(offset, tick)
        start = max(math.ceil(least / tick), chapter["start"] + shift)
        placed.append(cast("Chapter", {**chapter, "start": start, "end": max(start, chapter["end"] + shift)}))
        least = (start + 1) * tick
    return placed


def _tick(chapter: "Chapter") -> Fraction:
    return cast(Fraction, chapter["time_base"])
