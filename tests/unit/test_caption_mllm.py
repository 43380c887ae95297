"""The captioner that asks: which picture, what is kept, what counts as a failure."""

import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.tiny_llava import END, PAD, write_llava
from vidsr.caption.cache import PriorCache
from vidsr.caption.mllm import Decoding, Inquiry, MllmCaptioner, plain
from vidsr.caption.protocol import ShownShot
from vidsr.caption.sharpness import sharpest, sharpness
from vidsr.errors import CaptionError, CheckpointError, UnwritableError
from vidsr.types import Prior, Shot

Pixels = NDArray[np.uint8]
PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "data" / "photographs"
HIGH, LOW = "What is seen?", "How noisy is it?"
DECODING = Decoding(max_new_tokens=6, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def cache(tmp_path: Path) -> PriorCache:
    return PriorCache(folder=tmp_path / "cache")


def captioner_of(
    high: Path,
    low: Path | None = None,
    *,
    cache: PriorCache | None = None,
    digest: str = "a",
    questions: tuple[str, str] = (HIGH, LOW),
    decoding: Decoding = DECODING,
) -> MllmCaptioner:
    return MllmCaptioner(
        high_level=Inquiry(folder=high, digest=digest, question=questions[0]),
        low_level=Inquiry(folder=low or high, digest=digest, question=questions[1]),
        decoding=decoding,
        frames_per_shot=3,
        batch_shots=4,
        cache=cache,
    )


def shown_shots(count: int) -> list[ShownShot]:
    rng = np.random.default_rng(3)
    return [
        ShownShot(
            shot=Shot(index=index, start=8 * index, stop=8 * index + 8),
            pictures=[rng.integers(0, 256, (3, 48, 64), dtype=np.uint8)],
        )
        for index in range(count)
    ]


def photographs() -> list[Pixels]:
    files = sorted(PHOTOGRAPHS.glob("*.jpg"))
    assert len(files) == 8
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


def chw(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


# The picture that is shown


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma))


def moved(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.blur(pixels, (7, 1)))


def faded(pixels: Pixels) -> Pixels:
    return (pixels * 0.5).astype(np.uint8)


@pytest.mark.parametrize("worsen", [lambda pixels: blurred(pixels, 0.8), moved, faded])
def test_the_sharpest_picture_is_found(worsen) -> None:
    for photograph in photographs():
        rng = np.random.default_rng(0)
        # As frames of one shot have it: each its own noise, and one of them less blur.
        noise = rng.normal(0, 6, (3, *photograph.shape))
        frames = [worsen(photograph), photograph, worsen(photograph)]
        noisy = [
            np.clip(frame + grain, 0, 255).astype(np.uint8)
            for frame, grain in zip(frames, noise, strict=True)
        ]
        assert sharpest([chw(frame) for frame in noisy]) == 1


def test_bars_of_a_letterbox_do_not_count() -> None:
    photograph = photographs()[0]
    with_bars = np.pad(photograph, ((40, 40), (0, 0), (0, 0)))
    assert sharpness(chw(with_bars)) == pytest.approx(sharpness(chw(photograph)), rel=1e-3)


def test_the_first_of_equal_pictures_is_taken() -> None:
    flat = np.full((3, 20, 20), 9, dtype=np.uint8)
    assert sharpest([flat, flat, flat]) == 0


def test_the_model_sees_the_sharpest_picture_and_no_other(model: Path) -> None:
    captioner = captioner_of(model)
    shot = Shot(index=0, start=0, stop=9)
    sharp = photographs()[1]
    soft = [chw(blurred(sharp, sigma)) for sigma in (4.0, 3.0)]
    words = captioner.caption(shot, [soft[0], chw(sharp), soft[1]])
    assert words == captioner.caption(shot, [chw(sharp)])
    assert words != captioner.caption(shot, [soft[0]])


# The words


def test_each_level_is_the_answer_to_its_question(model: Path) -> None:
    shown = shown_shots(1)
    (prior,) = captioner_of(model).caption_shots(shown)
    (swapped,) = captioner_of(model, questions=(LOW, HIGH)).caption_shots(shown)
    assert prior.captioner == "mllm/1"
    assert prior.high_level != prior.low_level
    assert (swapped.high_level, swapped.low_level) == (prior.low_level, prior.high_level)


def test_the_low_level_may_be_asked_of_another_model(model: Path, tmp_path: Path) -> None:
    other = write_llava(tmp_path / "other", seed=5)
    (same,) = captioner_of(model).caption_shots(shown_shots(1))
    (both,) = captioner_of(model, other).caption_shots(shown_shots(1))
    (only,) = captioner_of(other).caption_shots(shown_shots(1))
    assert (both.high_level, both.low_level) == (same.high_level, only.low_level)
    assert same.low_level != only.low_level


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (" A cat\non a mat.\n", "A cat on a mat."),
        ("USER: what? ASSISTANT: no. ASSISTANT: a cat", "a cat"),
        ("a\u2028 cat\x00\t\x85 sleeps", "a cat sleeps"),
        (" \n ", ""),
    ],
)
def test_an_answer_becomes_one_plain_line(answer: str, words: str) -> None:
    assert plain(answer) == words


# Failures


def test_a_model_without_a_word_fails_at_the_shot(tmp_path: Path) -> None:
    silent = write_llava(tmp_path, words=(END, PAD))
    shot = Shot(index=3, start=24, stop=32)
    wanted = r"shot 3 \(frames 24 to 31\): mllm/1 failed at its high_level: the model answered without a word"
    with pytest.raises(CaptionError, match=wanted):
        captioner_of(silent).caption(shot, shown_shots(1)[0].pictures)


def test_only_the_shots_without_a_word_fail(tmp_path: Path, cache: PriorCache) -> None:
    """This model ends some answers before they begin."""
    moody = write_llava(tmp_path, words=("dark", "soft", "old", END))
    shown = shown_shots(8)
    told = captioner_of(moody, cache=cache).caption_shots(shown)
    failed = [place for place, prior in enumerate(told) if isinstance(prior, CaptionError)]
    assert 0 < len(failed) < len(told)
    for place in failed:
        assert str(told[place]).startswith(
            f"shot {place} (frames {8 * place} to {8 * place + 7}): mllm/1 failed"
        )
    assert len(list(cache.folder.iterdir())) == len(told) - len(failed), "a failure was kept"


def run_out_of_memory_above(captioner: MllmCaptioner, most: int) -> list[int]:
    """Have the captioner's model fail for larger batches; return the sizes it was tried with."""
    captioner.caption_shots(shown_shots(1))
    tried: list[int] = []

    def look(module: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
        tried.append(len(arguments[0]))
        if tried[-1] > most:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)

    for loaded in captioner._models.values():
        loaded._model.model.vision_tower.register_forward_pre_hook(look)
    return tried


def test_a_batch_that_does_not_fit_is_halved(model: Path) -> None:
    wanted = captioner_of(model).caption_shots(shown_shots(5))
    captioner = captioner_of(model)
    tried = run_out_of_memory_above(captioner, 2)
    assert captioner.caption_shots(shown_shots(5)) == wanted
    assert tried == [5, 2, 3, 1, 2] * 2


def test_a_shot_that_does_not_fit_alone_fails(model: Path) -> None:
    captioner = captioner_of(model)
    run_out_of_memory_above(captioner, 0)
    told = captioner.caption_shots(shown_shots(2))
    assert [str(error) for error in told] == [
        f"shot {index} (frames {8 * index} to {8 * index + 7}): mllm/1 failed at its high_level: "
        "out of memory with 1 pictures at once: CUDA out of memory"
        for index in range(2)
    ]


def test_a_model_that_cannot_be_loaded_is_not_the_shots_fault(model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "telepathy"}))
    with pytest.raises(CheckpointError, match="transformers makes no"):
        captioner_of(tmp_path).caption_shots(shown_shots(3))


# Memory


def test_nothing_is_loaded_before_a_shot_comes_and_nothing_held_after_the_end(model: Path) -> None:
    captioner = captioner_of(model)
    assert not captioner.is_loaded
    first = captioner.caption_shots(shown_shots(2))
    network = weakref.ref(next(iter(captioner._models.values()))._model)
    assert captioner.is_loaded
    captioner.close()
    assert not captioner.is_loaded
    assert network() is None
    assert captioner.caption_shots(shown_shots(2)) == first


def test_one_model_for_both_levels_is_loaded_once(model: Path, tmp_path: Path) -> None:
    captioner = captioner_of(model)
    captioner.caption_shots(shown_shots(1))
    assert len(captioner._models) == 1
    captioner = captioner_of(model, write_llava(tmp_path, seed=5))
    captioner.caption_shots(shown_shots(1))
    assert len(captioner._models) == 2


# The cache


def test_words_that_are_kept_need_no_model(model: Path, cache: PriorCache) -> None:
    told = captioner_of(model, cache=cache).caption_shots(shown_shots(3))
    again = captioner_of(Path("/no/model/here"), cache=cache)
    assert again.caption_shots(shown_shots(3)) == told
    assert not again.is_loaded


def test_only_what_is_not_kept_is_asked(model: Path, cache: PriorCache) -> None:
    captioner_of(model, cache=cache).caption_shots(shown_shots(4)[1:3])
    captioner = captioner_of(model, cache=cache)
    tried = run_out_of_memory_above(captioner, 99)
    told = captioner.caption_shots(shown_shots(4))
    assert tried == [1, 1], "shot 0 was kept by the warming up, shots 1 and 2 before"
    assert told == captioner_of(model).caption_shots(shown_shots(4))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "b"},
        {"questions": (HIGH, "Is it blurred?")},
        {"questions": ("Who is seen?", LOW)},
        {"decoding": replace(DECODING, max_new_tokens=5)},
        {"decoding": replace(DECODING, dtype="bfloat16")},
    ],
    ids=["model", "low question", "high question", "length", "dtype"],
)
def test_what_decides_the_words_decides_the_key(
    change: dict[str, object], model: Path, cache: PriorCache
) -> None:
    captioner_of(model, cache=cache).caption_shots(shown_shots(1))
    other = captioner_of(model, cache=cache, **change)  # type: ignore[arg-type]
    other.caption_shots(shown_shots(1))
    assert other.is_loaded
    assert len(list(cache.folder.iterdir())) == 2


def test_another_picture_is_another_entry(model: Path, cache: PriorCache) -> None:
    (item,) = shown_shots(1)
    captioner = captioner_of(model, cache=cache)
    captioner.caption_shots([item])
    touched = item.pictures[0].copy()
    touched[0, 0, 0] ^= 1
    turned = np.ascontiguousarray(item.pictures[0].reshape(3, 64, 48))
    captioner.caption_shots([replace(item, pictures=[touched]), replace(item, pictures=[turned])])
    assert len(list(cache.folder.iterdir())) == 3


def test_a_damaged_entry_is_asked_for_again(model: Path, cache: PriorCache) -> None:
    told = captioner_of(model, cache=cache).caption_shots(shown_shots(1))
    (path,) = cache.folder.iterdir()
    sound = path.read_bytes()
    path.write_bytes(sound[:20])
    captioner = captioner_of(model, cache=cache)
    assert captioner.caption_shots(shown_shots(1)) == told
    assert captioner.is_loaded
    assert path.read_bytes() == sound


def test_a_cache_that_cannot_be_written_is_found_before_the_model_is_loaded(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    captioner = captioner_of(model, cache=PriorCache(folder=tmp_path / "file" / "cache"))
    with pytest.raises(UnwritableError, match="VIDSR_CACHE"):
        captioner.caption_shots(shown_shots(1))
    assert not captioner.is_loaded


def test_words_come_in_the_order_of_the_shots(model: Path, cache: PriorCache) -> None:
    captioner = captioner_of(model, cache=cache)
    alone: Sequence[Prior | CaptionError] = [
        *captioner_of(model).caption_shots(shown_shots(6)[:3]),
        *captioner_of(model).caption_shots(shown_shots(6)[3:]),
    ]
    captioner.caption_shots(shown_shots(6)[1::2])
    assert captioner.caption_shots(shown_shots(6)) == alone
