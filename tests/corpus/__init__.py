"""Small inputs of every kind, made by the ffmpeg program of imageio-ffmpeg, and what is true of each.

`make(name, folder)` makes one, or returns the one that is there. What it should turn out to be is in
`EVERY[name]`, taken from how it was made and not from what vidsr reads in it.
"""

from pathlib import Path

from tests.corpus.colour import COLOUR
from tests.corpus.commands import ABBREVIATIONS, PICTURE
from tests.corpus.damage import DAMAGE
from tests.corpus.degenerate import DEGENERATE
from tests.corpus.facts import HEIGHT, NUM_FRAMES, RATE, WIDTH, CorpusClass, Outcome, Track
from tests.corpus.geometry import GEOMETRY
from tests.corpus.maker import ffmpeg, make_one, run
from tests.corpus.streams import STREAMS
from tests.corpus.timing import TIMING

__all__ = [
    "ABBREVIATIONS", "CLASSES", "EVERY", "EXTRAS", "HEIGHT", "NUM_FRAMES", "PICTURE", "RATE", "THEMES",
    "WIDTH", "CorpusClass", "Outcome", "Track", "ffmpeg", "make", "run",
]  # fmt: skip

THEMES: dict[str, dict[str, CorpusClass]] = {
    "timing": TIMING,
    "damage": DAMAGE,
    "streams": STREAMS,
    "geometry": GEOMETRY,
    "colour": COLOUR,
    "degenerate": DEGENERATE,
}

EVERY: dict[str, CorpusClass] = {
    name: facts for classes in THEMES.values() for name, facts in classes.items()
}
"""Every class of input."""

CLASSES = {name: facts for name, facts in EVERY.items() if facts.is_plain}
"""Every kind of input that runs exactly."""

EXTRAS = {name: facts for name, facts in EVERY.items() if not facts.is_plain}
"""Inputs that need mending, are damaged, are refused, or take long."""


def make(name: str, folder: Path) -> Path:
    """Make the input `name` in `folder`, once, and return its path."""
    return make_one(name, folder, every=EVERY)
