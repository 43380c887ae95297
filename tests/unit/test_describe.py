"""The job's part in captions: batches, who stands in, and where the words are kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fakes import BatchingCaptioner, CountingCaptioner
from vidsr.caption.file import read_priors
from vidsr.caption.measured import MeasuredCaptioner
from vidsr.errors import CaptionError
from vidsr.job.describe import describe_shots, keep_priors, recall_shots
from vidsr.types import Prior, Shot

SHOTS = tuple(Shot(index=index, start=10 * index, stop=10 * index + 10) for index in range(5))


def sample(indices: Sequence[int]) -> list[NDArray[np.uint8]]:
    return [np.full((3, 32, 32), index, dtype=np.uint8) for index in indices]


def test_a_model_is_given_as_many_shots_at_once_as_it_wants() -> None:
    captioner = BatchingCaptioner(batch_shots=3)
    described = list(describe_shots(SHOTS, captioner=captioner, sample=sample))
    assert captioner.batches == [[0, 1, 2], [3, 4]]
    assert [item.shot for item in described] == list(SHOTS)
    assert [item.prior.low_level[:6] for item in described] == [f"shot {index}" for index in range(5)]


def test_pictures_are_taken_only_when_their_batch_comes() -> None:
    taken: list[int] = []

    def watched(indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        taken.extend(indices)
        return sample(indices)

    described = describe_shots(SHOTS, captioner=BatchingCaptioner(batch_shots=2), sample=watched)
    next(described)
    assert max(taken) < SHOTS[2].start


def test_a_shot_that_the_captioner_fails_at_is_named() -> None:
    captioner = BatchingCaptioner(fails_at=[1])
    with pytest.raises(CaptionError, match=r"shot 1: no words came; with --set caption\.on_error=measured"):
        list(describe_shots(SHOTS, captioner=captioner, sample=sample))


def test_a_stand_in_describes_what_the_captioner_fails_at_and_nothing_else() -> None:
    captioner, stand_in = BatchingCaptioner(fails_at=[1, 4]), CountingCaptioner()
    described = list(describe_shots(SHOTS, captioner=captioner, sample=sample, stand_in=stand_in))
    assert stand_in.calls == [1, 4]
    assert [item.prior.captioner for item in described] == [
        "batching/1", "counting/1", "batching/1", "batching/1", "counting/1",
    ]  # fmt: skip
    assert [item.warning for item in described if item.warning] == [
        "shot 1: no words came; counting/1 stands in for it",
        "shot 4: no words came; counting/1 stands in for it",
    ]


def test_a_captioner_of_single_shots_can_have_a_stand_in() -> None:
    def no_pictures(indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        return []

    stand_in = CountingCaptioner()
    (described,) = describe_shots(
        SHOTS[:1], captioner=MeasuredCaptioner(), sample=no_pictures, stand_in=stand_in
    )
    assert described.warning == (
        "shot 0 (frames 0 to 9): measured/2 failed: shot 0: no picture to measure; "
        "counting/1 stands in for it"
    )


def test_an_earlier_stand_in_is_still_told_of() -> None:
    priors = [Prior(captioner="batching/1")] * 4 + [Prior(captioner="measured/1")]
    warnings = [item.warning for item in recall_shots(SHOTS, priors, captioner=BatchingCaptioner())]
    assert warnings == [
        "",
        "",
        "",
        "",
        "shot 4: batching/1 failed in an earlier run; measured/1 stands in for it",
    ]


def test_priors_are_kept_beside_the_output(tmp_path: Path) -> None:
    priors = [Prior(high_level=f"a cat, {shot.index}", captioner="mllm/1") for shot in SHOTS]
    assert keep_priors(tmp_path / "out.mp4", SHOTS, priors) == ""
    assert read_priors(tmp_path / "out.mp4.priors.yaml", SHOTS) == tuple(priors)
    assert keep_priors(tmp_path / "out.mp4", SHOTS, priors) == ""


def test_edited_words_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4.priors.yaml"
    keep_priors(tmp_path / "out.mp4", SHOTS, [Prior(high_level="a cat")] * 5)
    edited = path.read_text().replace("a cat", "a dog", 1)
    path.write_text(edited)
    warning = keep_priors(tmp_path / "out.mp4", SHOTS, [Prior(high_level="a cat")] * 5)
    assert warning.startswith(f"{path}: holds other words than this run's")
    assert "--priors" in warning
    assert path.read_text() == edited
