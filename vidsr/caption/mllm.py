"""The captioner that asks a multimodal language model what a shot shows and how it is degraded."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.cache import PriorCache, key_of
from vidsr.caption.protocol import ShownShot
from vidsr.caption.sharpness import sharpest
from vidsr.errors import CaptionError, MemoryExhaustedError
from vidsr.models.device import Device, DType
from vidsr.models.vision_language import VisionLanguageModel, release
from vidsr.types import Prior, Shot

NAME = "mllm/1"
"""Its version changes with the pictures that are chosen, the prompt's form and how answers are cleaned."""
ANSWER_MARK = "ASSISTANT:"
"""In LLaVA's conversations the answer is what follows the last of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """One question and the model that answers it."""

    folder: Path
    digest: str
    """Of the model: model_folder.digest_of."""
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How answers are computed; always greedily."""

    max_new_tokens: int
    device: Device
    dtype: DType


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """Stands for an answer. Not the exception itself, whose traceback would hold on to a batch."""

    reason: str


class MllmCaptioner:
    """Shows the sharpest picture of each shot to a model and asks it two questions, several shots at once.

    The model is loaded when the first shot comes that is not in the cache, and let go by `close`.
    """

    name = NAME
    is_cacheable = True

    def __init__(
        self,
        *,
        high_level: Inquiry,
        low_level: Inquiry,
        decoding: Decoding,
        frames_per_shot: int,
        batch_shots: int,
        cache: PriorCache | None,
    ) -> None:
        """Load nothing yet.

        Args:
            high_level: asks what is seen.
            low_level: asks how it is degraded, the same model or another; two models are held at once.
            decoding: how both are run.
            frames_per_shot: pictures of a shot that the sharpest is chosen from.
            batch_shots: shots that are asked about at once.
            cache: None keeps nothing.
        """
        self.frames_per_shot = frames_per_shot
        self.batch_shots = batch_shots
        self._high_level = high_level
        self._low_level = low_level
        self._decoding = decoding
        self._cache = cache
        self._models: dict[Path, VisionLanguageModel] = {}

    @property
    def is_loaded(self) -> bool:
        """Say whether a model is in memory."""
        return bool(self._models)

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Describe one shot.

        Raises:
            CaptionError: naming the shot.
        """
        (told,) = self.caption_shots([ShownShot(shot=shot, pictures=pictures)])
        if isinstance(told, CaptionError):
            raise told
        return told

    def caption_shots(self, shown: Sequence[ShownShot]) -> list[Prior | CaptionError]:
        """Return the prior of each shot, or why it has none: the model failed, or answered nothing.

        An answer without words is a failure, not an empty prior: that would look like one that was meant.

        Raises:
            CheckpointError, MachineError, MemoryExhaustedError: the model cannot be loaded.
            UnwritableError, DiskFullError: the cache cannot be written.
        """
        pictures = [item.pictures[sharpest(item.pictures)] for item in shown]
        keys = [self._key(picture) for picture in pictures]
        told: dict[int, Prior | CaptionError] = {}
        for place, key in enumerate(keys):
            if self._cache is not None and (prior := self._cache.get(key)) is not None:
                told[place] = prior
        places = [place for place in range(len(shown)) if place not in told]
        if places:
            told |= self._ask_about(shown, pictures, places)
        self._keep({keys[place]: told[place] for place in places})
        return [told[place] for place in range(len(shown))]

    def close(self) -> None:
        """Let the models go, so that their memory is free. A later shot loads them again."""
        if self._models:
            self._models.clear()
            release()

    def _key(self, picture: NDArray[np.uint8]) -> str:
        return key_of(
            {
                "captioner": NAME,
                "picture": [*picture.shape, hashlib.sha256(picture.tobytes()).hexdigest()],
                "high_level": [self._high_level.digest, self._high_level.question],
                "low_level": [self._low_level.digest, self._low_level.question],
                "max_new_tokens": self._decoding.max_new_tokens,
                "dtype": self._decoding.dtype,
            }
        )

    def _keep(self, told: dict[str, Prior | CaptionError]) -> None:
        for key, prior in told.items():
            if self._cache is not None and isinstance(prior, Prior):
                self._cache.put(key, prior)

    def _ask_about(
        self, shown: Sequence[ShownShot], pictures: Sequence[NDArray[np.uint8]], places: Sequence[int]
    ) -> dict[int, Prior | CaptionError]:
        if self._cache is not None:
            self._cache.check()
        asked = [pictures[place] for place in places]
        high_level = self._answers(self._high_level, asked)
        low_level = self._answers(self._low_level, asked)
        return {
            place: _prior_or_error(shown[place].shot, high_level=high, low_level=low)
            for place, high, low in zip(places, high_level, low_level, strict=True)
        }

    def _answers(self, inquiry: Inquiry, pictures: Sequence[NDArray[np.uint8]]) -> list[str | _Failed]:
        """Return an answer for each picture, or what went wrong with that one."""
        model = self._model(inquiry.folder)
        try:
            return [*model.answers(pictures, inquiry.question)]
        except (ValueError, ArithmeticError, MemoryExhaustedError) as error:
            if len(pictures) == 1:
                return [_Failed(reason=str(error))]
        # Outside of the handler, whose traceback holds on to the batch. Halves need less memory, and in the
        # end only the picture at fault stands alone.
        middle = len(pictures) // 2
        return [*self._answers(inquiry, pictures[:middle]), *self._answers(inquiry, pictures[middle:])]

    def _model(self, folder: Path) -> VisionLanguageModel:
        if folder not in self._models:
            self._models[folder] = VisionLanguageModel.load(folder, **asdict(self._decoding))
        return self._models[folder]


def plain(answer: str) -> str:
    """Return the answer on one line: after LLaVA's last mark, single spaces, nothing unprintable."""
    text = answer.rsplit(ANSWER_MARK, maxsplit=1)[-1]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _prior_or_error(
    shot: Shot, *, high_level: str | _Failed, low_level: str | _Failed
) -> Prior | CaptionError:
    words: dict[str, str] = {}
    for level, answer in (("high_level", high_level), ("low_level", low_level)):
        told = answer if isinstance(answer, _Failed) else plain(answer)
        if isinstance(told, str) and told:
            words[level] = told
            continue
        reason = told.reason if isinstance(told, _Failed) else "the model answered without a word"
        return CaptionError(
            f"shot {shot.index} (frames {shot.start} to {shot.stop - 1}): {NAME} failed at its {level}: "
            f"{reason}"
        )
    return Prior(**words, captioner=NAME)
