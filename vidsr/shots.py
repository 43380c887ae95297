"""Shots: where the picture changes from one frame to the next because somebody cut."""

import itertools
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vidsr.types import Shot

if TYPE_CHECKING:
    from scenedetect.detectors import ContentDetector

WINDOW = 5
"""Frames before and after a candidate that tell how much the picture changes anyway."""
PEAK_SHARE = 0.5
"""Part of the threshold by which a cut stands above that."""
ASSUMED_RATE = 25.0
"""PySceneDetect wants frame numbers with a rate; only the numbers are used."""


class ShotDetector(Protocol):
    """Looks at small pictures of all frames and divides the video into shots."""

    def feed(self, index: int, thumbnail: NDArray[np.uint8]) -> None:
        """Look at the next frame.

        Args:
            index: its number; 0 begins a new video.
            thumbnail: [rows, columns, 3], blue, green, red; one size for all frames.
        """
        ...

    def shots(self, num_frames: int) -> tuple[Shot, ...]:
        """Return the shots of the `num_frames` frames that were fed. They tile the video."""
        ...


class OneShot:
    """Takes the whole video as one shot."""

    def feed(self, index: int, thumbnail: NDArray[np.uint8]) -> None:
        """Look at nothing."""

    def shots(self, num_frames: int) -> tuple[Shot, ...]:
        """Return a single shot."""
        return shots_between((), num_frames=num_frames)


class ContentShots:
    """Cuts where PySceneDetect's content score peaks: the mean change of hue, saturation and value.

    Differs: its ContentDetector cuts wherever the score is above the threshold, which makes every frame of a
    fast pan or of dark, noisy footage a shot (scores of 30 to 49 in all frames, against a threshold of 27).
    Here the score must also stand above what is usual in the frames before and in the frames after. Shots
    of a single frame are found; of a strobe that changes in every frame, none.
    """

    def __init__(self, *, threshold: float) -> None:
        """Set the score that makes a cut.

        Args:
            threshold: 0..255, above 0; PySceneDetect's own default is 27.
        """
        self._threshold = threshold
        self._detector: ContentDetector | None = None
        self._scores = array("f")

    def feed(self, index: int, thumbnail: NDArray[np.uint8]) -> None:
        """Score the change from the frame before to this one."""
        # OpenCV and PySceneDetect take a third of a second to import: only who detects pays for it.
        from scenedetect import FrameTimecode
        from scenedetect.detectors import ContentDetector

        if index == 0 or self._detector is None:
            self._detector = ContentDetector(threshold=self._threshold, min_scene_len=1)
            self._scores = array("f")
        if index != len(self._scores):
            msg = f"frame {index} was fed after {len(self._scores)} frames"
            raise ValueError(msg)
        self._detector.process_frame(FrameTimecode(index, ASSUMED_RATE), thumbnail)
        # The score has no public name but a column of the statistics, which keep a dictionary for each frame.
        self._scores.append(float(self._detector._frame_score or 0.0))

    def shots(self, num_frames: int) -> tuple[Shot, ...]:
        """Return the shots between peaks of the score."""
        if num_frames != len(self._scores):
            msg = f"{len(self._scores)} frames were fed, shots of {num_frames} are wanted"
            raise ValueError(msg)
        scores = np.array(self._scores, dtype=np.float32)
        cuts = [
            int(index)
            for index in np.flatnonzero(scores >= self._threshold)
            if self._is_peak(scores, int(index))
        ]
        return shots_between(cuts, num_frames=num_frames)

    def _is_peak(self, scores: NDArray[np.float32], index: int) -> bool:
        before, after = scores[max(1, index - WINDOW) : index], scores[index + 1 : index + 1 + WINDOW]
        usual = max(_usual(before), _usual(after))
        return bool(scores[index] - usual >= PEAK_SHARE * self._threshold)


def shots_between(cuts: Sequence[int], *, num_frames: int) -> tuple[Shot, ...]:
    """Return the shots of a video whose frames `cuts` begin new ones. `cuts` rise; 0 is not among them."""
    bounds = [0, *cuts, num_frames]
    return tuple(
        Shot(index=index, start=start, stop=stop)
        for index, (start, stop) in enumerate(itertools.pairwise(bounds))
    )


def _usual(scores: NDArray[np.float32]) -> float:
    """Return the lower median: of a few frames around a cut, up to half may be cuts themselves."""
    return float(np.sort(scores)[(len(scores) - 1) // 2]) if len(scores) else 0.0
