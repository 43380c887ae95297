"""The words for how a picture is degraded, shared by those who measure it and the model that reads it.

One vocabulary and one set of bin edges: a captioner that says "strong noise" means what the model was
trained to understand by it. Edges are in physical units of the low-resolution picture.
"""

from bisect import bisect_right
from dataclasses import dataclass

NEGATIVE_HIGH_LEVEL = "blurry, noisy, low quality"
"""The high-level prior that training pairs with degraded pictures: what guidance leads away from."""
LEVELS = ("no", "light", "moderate", "strong")

NOISE_EDGES = (1.5, 4.0, 9.0)
"""Standard deviation in 8-bit levels of luma: below 1.5 nobody sees it."""
BLUR_EDGES = (0.35, 0.6, 1.0)
"""Standard deviation of an equal Gaussian in pixels of the picture that is described."""
COMPRESSION_EDGES = (5.0, 15.0, 35.0)
"""100 minus the JPEG quality that leaves as much blocking: above quality 95 none is visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """How strongly a picture is degraded; None where it is not known, and then it is not mentioned."""

    noise_sigma: float | None = None
    """8-bit levels."""
    blur_sigma: float | None = None
    """Pixels."""
    jpeg_quality: float | None = None
    """1 to 100."""


def describe(degradation: Degradation) -> str:
    """Return the low-level prior, such as "moderate noise, strong blur, light compression blocks"."""
    phrases = []
    if degradation.noise_sigma is not None:
        phrases.append(f"{level(degradation.noise_sigma, NOISE_EDGES)} noise")
    if degradation.blur_sigma is not None:
        phrases.append(f"{level(degradation.blur_sigma, BLUR_EDGES)} blur")
    if degradation.jpeg_quality is not None:
        phrases.append(f"{level(100 - degradation.jpeg_quality, COMPRESSION_EDGES)} compression blocks")
    return ", ".join(phrases)


def level(value: float, edges: tuple[float, float, float]) -> str:
    """Return the word for `value`: the number of edges at or below it picks from LEVELS."""
    return LEVELS[bisect_right(edges, value)]


def known_phrases(text: str) -> str:
    """Return the phrases of `text` that this vocabulary knows, in their order, the rest left out.

    The weights have seen these phrases and no others: a word that was never trained would be noise to them.
    """
    phrases = [phrase.strip().lower() for phrase in text.split(",")]
    return ", ".join(phrase for phrase in phrases if phrase in _PHRASES)


_PHRASES = frozenset(
    f"{level_word} {noun}" for level_word in LEVELS for noun in ("noise", "blur", "compression blocks")
)
