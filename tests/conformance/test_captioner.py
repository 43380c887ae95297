"""What every captioner promises."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.classifiers import write_classifier
from tests.fakes import BatchingCaptioner, CountingCaptioner
from tests.tiny_llava import write_llava
from vidsr.caption.cache import PriorCache
from vidsr.caption.file import FileCaptioner, write_priors
from vidsr.caption.measured import MeasuredCaptioner
from vidsr.caption.mllm import Decoding, Inquiry, MllmCaptioner
from vidsr.caption.none import NoCaptioner
from vidsr.caption.protocol import Captioner, ModelCaptioner, ShownShot
from vidsr.caption.tags import Tagger
from vidsr.job.describe import describe_shot
from vidsr.models import mobilenet
from vidsr.types import Prior, Shot

SHOTS = (Shot(index=0, start=0, stop=9), Shot(index=1, start=9, stop=10))


def _file(folder: Path) -> Captioner:
    folder.mkdir(exist_ok=True)
    path = folder / "priors.yaml"
    write_priors(path, SHOTS, [Prior(low_level="strong noise", captioner="measured/1"), Prior()])
    return FileCaptioner(path)


def _tagging(folder: Path) -> Captioner:
    folder.mkdir(exist_ok=True)
    tagger = Tagger(mobilenet.load(write_classifier(folder / "tags.safetensors")), threshold=0.0)
    return MeasuredCaptioner(tags_of=tagger.tags)


def _mllm(folder: Path, cache: PriorCache | None = None) -> Captioner:
    model = write_llava(folder / "llava")
    return MllmCaptioner(
        high_level=Inquiry(folder=model, digest="0" * 64, question="What is seen?"),
        low_level=Inquiry(folder=model, digest="0" * 64, question="How noisy?"),
        decoding=Decoding(max_new_tokens=6, device="cpu", dtype="float32"),
        frames_per_shot=3,
        batch_shots=2,
        cache=cache,
    )


CAPTIONERS: dict[str, Callable[[Path], Captioner]] = {
    "measured": lambda folder: MeasuredCaptioner(),
    "measured with tags": _tagging,
    "mllm": _mllm,
    "mllm with cache": lambda folder: _mllm(folder, PriorCache(folder=folder / "cache")),
    "file": _file,
    "none": lambda folder: NoCaptioner(),
    "counting": lambda folder: CountingCaptioner(),
    "batching": lambda folder: BatchingCaptioner(),
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


@pytest.fixture(params=["mllm", "mllm with cache", "batching"])
def model_captioner(request: pytest.FixtureRequest, tmp_path: Path) -> ModelCaptioner:
    captioner = CAPTIONERS[request.param](tmp_path)
    assert isinstance(captioner, ModelCaptioner)
    return captioner


def _shown(captioner: Captioner, count: int) -> list[ShownShot]:
    return [
        ShownShot(
            shot=Shot(index=index, start=9 * index, stop=9 * index + 9),
            pictures=_pictures(captioner.frames_per_shot, seed=index),
        )
        for index in range(count)
    ]


def test_the_suite_knows_every_model_captioner(tmp_path: Path) -> None:
    batching = {
        name for name, make in CAPTIONERS.items() if isinstance(make(tmp_path / name), ModelCaptioner)
    }
    assert batching == {"mllm", "mllm with cache", "batching"}


def test_several_shots_at_once_are_described_like_one_at_a_time(model_captioner: ModelCaptioner) -> None:
    shown = _shown(model_captioner, model_captioner.batch_shots + 1)
    together = model_captioner.caption_shots(shown)
    alone = [model_captioner.caption(item.shot, item.pictures) for item in shown]
    assert list(together) == alone
    assert len(set(alone)) == len(alone), "what is said does not depend on what is shown"


def test_a_closed_captioner_can_be_asked_again(model_captioner: ModelCaptioner) -> None:
    shown = _shown(model_captioner, 1)
    model_captioner.close()
    first = model_captioner.caption_shots(shown)
    model_captioner.close()
    model_captioner.close()
    assert list(model_captioner.caption_shots(shown)) == list(first)
