"""The captioner that measures: how the pictures are degraded, without any weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.artefacts import has_banding, has_ringing
from vidsr.caption.blocks import estimate_jpeg_quality
from vidsr.caption.blur import estimate_blur
from vidsr.caption.noise import estimate_noise
from vidsr.caption.tone import describe_cast, describe_exposure
from vidsr.degradation_words import Degradation, describe
from vidsr.types import Prior, Shot

BAR_LEVEL = 40.0
BAR_RANGE = 6.0
"""A line darker than BAR_LEVEL whose samples differ by less is the bar of a letterbox."""
MIN_SIDE = 16
"""Pixels that must be left without bars; otherwise the whole picture is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCaptioner:
    """Estimates noise, blur, blocks, ringing, banding, exposure and colour cast, and puts them into words.

    The high-level prior stays empty: nothing here knows what is seen. Each estimator names its source.
    """

    frames_per_shot: int = 3
    name: str = "measured/1"
    is_cacheable: bool = True

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Describe how the shot is degraded, in the words of vidsr.degradation_words."""
        if not pictures:
            msg = f"shot {shot.index}: no picture to measure"
            raise ValueError(msg)
        lumas = [luma_of(picture) for picture in pictures]
        phrases = [describe(measure(lumas)), *_artefacts(lumas, pictures)]
        return Prior(low_level=", ".join(phrase for phrase in phrases if phrase), captioner=self.name)


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
    red, green, blue = picture.astype(np.float32)
    luma: NDArray[np.float32] = 0.299 * red + 0.587 * green + 0.114 * blue
    rows, columns = _without_bars(luma), _without_bars(luma.T)
    if rows.stop - rows.start < MIN_SIDE or columns.stop - columns.start < MIN_SIDE:
        return luma
    return np.ascontiguousarray(luma[rows, columns])


def _without_bars(luma: NDArray[np.float32]) -> slice:
    """Return the rows between the bars; none where every row is one."""
    is_bar = (luma.mean(axis=1) < BAR_LEVEL) & (np.ptp(luma, axis=1) < BAR_RANGE)
    content = np.flatnonzero(~is_bar)
    return slice(int(content[0]), int(content[-1]) + 1) if content.size else slice(0, 0)


def _artefacts(lumas: Sequence[NDArray[np.float32]], pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Return a phrase for each further artefact that is plain to see."""
    phrases = ["ringing"] if has_ringing(lumas) else []
    if has_banding(lumas):
        phrases.append("banding")
    tone = (describe_exposure(pictures), describe_cast(pictures))
    return [*phrases, *(phrase for phrase in tone if phrase)]
