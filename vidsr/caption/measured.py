"""The captioner that measures: how the pictures are degraded, and on request tags of what is seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.artefacts import has_banding, has_ringing
from vidsr.caption.blocks import estimate_jpeg_quality
from vidsr.caption.blur import estimate_blur
from vidsr.caption.letterbox import content, full_luma
from vidsr.caption.noise import estimate_noise
from vidsr.caption.tone import describe_cast, describe_exposure
from vidsr.degradation_words import BLUR_EDGES, NOISE_EDGES, Degradation, describe
from vidsr.types import Prior, Shot


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCaptioner:
    """Estimates noise, blur, blocks, ringing, banding, exposure and colour cast, and puts them into words.

    None of this needs weights; each estimator names its source. What is seen is said in tags, and only where
    a classifier is given; otherwise the high-level prior stays empty.
    """

    frames_per_shot: int = 3
    tags_of: Callable[[Sequence[NDArray[np.uint8]]], Sequence[str]] | None = None
    """Returns the tags of pictures of one shot: Tagger.tags of vidsr.caption.tags."""
    is_cacheable: bool = True

    @property
    def name(self) -> str:
        """Say with what it describes."""
        return "measured/2" if self.tags_of is None else "measured+tags/2"

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Say how the shot is degraded, in the words of vidsr.degradation_words, and tag what is seen."""
        if not pictures:
            msg = f"shot {shot.index}: no picture to measure"
            raise ValueError(msg)
        lumas = [luma_of(picture) for picture in pictures]
        phrases = [describe(_sure_of(measure(lumas))), *_artefacts(lumas, pictures)]
        tags = [] if self.tags_of is None else self.tags_of(pictures)
        return Prior(
            high_level=", ".join(tags),
            low_level=", ".join(phrase for phrase in phrases if phrase),
            captioner=self.name,
        )


def measure(lumas: Sequence[NDArray[np.float32]]) -> Degradation:
    """Return the estimates for pictures of one shot; None where a picture does not show it.

    Args:
        lumas: [H, W] each, in 0..255, all of one size.
    """
    return Degradation(
        noise_sigma=estimate_noise(lumas),
        blur_sigma=estimate_blur(lumas),
        jpeg_quality=estimate_jpeg_quality(lumas),
    )


def luma_of(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the luma (ITU-R BT.601) of uint8 RGB [3, H, W] in 0..255, [h, w], without letterbox bars."""
    luma = full_luma(picture)
    return np.ascontiguousarray(luma[content(luma)])


def _sure_of(found: Degradation) -> Degradation:
    """Leave out more than light blur where there is no noise.

    Blur is told from how soft the sharpest edges are, and of a clean picture they can be soft by nature: fur,
    water, what is out of focus. A quarter of 48 clean photographs would be called blurred, and sharpened for
    it; where the blur was real, nothing said did better than the right word (docs/experiments.md).
    """
    has_noise = found.noise_sigma is None or found.noise_sigma >= NOISE_EDGES[0]
    if has_noise or found.blur_sigma is None or found.blur_sigma < BLUR_EDGES[1]:
        return found
    return replace(found, blur_sigma=None)


def _artefacts(lumas: Sequence[NDArray[np.float32]], pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Return a phrase for each further artefact that is plain to see."""
    phrases = ["ringing"] if has_ringing(lumas) else []
    if has_banding(lumas):
        phrases.append("banding")
    tone = (describe_exposure(pictures), describe_cast(pictures))
    return [*phrases, *(phrase for phrase in tone if phrase)]
