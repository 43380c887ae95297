"""What every captioner promises."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.classifiers import write_classifier
from tests.fakes import CountingCaptioner
from vidsr.caption.file import FileCaptioner, write_priors
from vidsr.caption.measured import MeasuredCaptioner
from vidsr.caption.none import NoCaptioner
from vidsr.caption.protocol import Captioner
from vidsr.caption.tags import Tagger
from vidsr.job.describe import describe_shot
from vidsr.models import mobilenet
from vidsr.types import Prior, Shot

SHOTS = (Shot(index=0, start=0, stop=9), Shot(index=1, start=9, stop=10))


def _file(folder: Path) -> Captioner:
    path = folder / "priors.yaml"
    write_priors(path, SHOTS, [Prior(low_level="strong noise", captioner="measured/1"), Prior()])
    return FileCaptioner(path)


def _tagging(folder: Path) -> Captioner:
    tagger = Tagger(mobilenet.load(write_classifier(folder / "tags.safetensors")), threshold=0.0)
    return MeasuredCaptioner(tags_of=tagger.tags)


CAPTIONERS: dict[str, Callable[[Path], Captioner]] = {
    "measured": lambda folder: MeasuredCaptioner(),
    "measured with tags": _tagging,
    "file": _file,
    "none": lambda folder: NoCaptioner(),
    "counting": lambda folder: CountingCaptioner(),
}


@pytest.fixture(params=CAPTIONERS)
def captioner(request: pytest.FixtureRequest, tmp_path: Path) -> Captioner:
    return CAPTIONERS[request.param](tmp_path)


def _pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (3, 48, 64), dtype=np.uint8) for _ in range(count)]


def test_its_name_carries_a_version(captioner: Captioner) -> None:
    name, slash, version = captioner.name.partition("/")
    assert name
    assert slash
    assert int(version) >= 1


def test_it_asks_for_a_number_of_pictures(captioner: Captioner) -> None:
    assert captioner.frames_per_shot >= 0


def test_it_says_who_spoke(captioner: Captioner) -> None:
    prior = captioner.caption(SHOTS[0], _pictures(captioner.frames_per_shot))
    assert "/" in prior.captioner


def test_one_picture_is_enough_where_the_shot_has_no_more(captioner: Captioner) -> None:
    count = min(1, captioner.frames_per_shot)
    assert isinstance(captioner.caption(SHOTS[1], _pictures(count)), Prior)


def test_it_remembers_nothing(captioner: Captioner) -> None:
    first = captioner.caption(SHOTS[0], _pictures(captioner.frames_per_shot))
    captioner.caption(SHOTS[1], _pictures(captioner.frames_per_shot, seed=5))
    assert captioner.caption(SHOTS[0], _pictures(captioner.frames_per_shot)) == first


def test_it_leaves_the_pictures_alone(captioner: Captioner) -> None:
    pictures = _pictures(captioner.frames_per_shot)
    for picture in pictures:
        picture.setflags(write=False)
    captioner.caption(SHOTS[0], pictures)


def test_the_job_can_ask_it(captioner: Captioner) -> None:
    prior = describe_shot(SHOTS[0], captioner=captioner, sample=lambda frames: _pictures(len(frames)))
    assert isinstance(prior, Prior)
