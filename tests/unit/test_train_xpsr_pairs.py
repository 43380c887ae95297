"""The data that XPSR is trained on: photographs, and pairs in the published layout."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.photographs import make_picture
from tests.tiny_training import TINY, write_published
from vidsr.degradation_words import Degradation, describe
from vidsr.errors import ConfigError, InputError
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.settings import read_degradation
from vidsr.train.xpsr.pairs import Samples
from vidsr.train.xpsr.photographs import LOW_OF_CLEAN, PhotographPairs, open_photographs
from vidsr.train.xpsr.published import PublishedPairs, open_published
from vidsr.train.xpsr.settings import SampleOdds

SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"
SIDE = 96
NEVER = SampleOdds(drop_captions=0.0, show_original=0.0)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    (folder / "deep").mkdir(parents=True)
    make_picture(1, 112, 144).save(folder / "a.png")
    make_picture(2, 100, 96).save(folder / "deep" / "b.jpg")
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path / "published", num_pictures=3, side=SIDE)


def open_all(folder: Path, *, name: str = "light", held_out: HeldOut | None = None) -> PhotographPairs:
    sets = [read_degradation(SETS / f"{name}.yaml")]
    return open_photographs(folder, sets=sets, shares=[1.0], resolution=SIDE, held_out=held_out or HeldOut())


def open_pairs(folder: Path, *, resolution: int = SIDE) -> PublishedPairs:
    return open_published(folder, resolution=resolution, held_out=HeldOut())


def samples(pairs: PhotographPairs | PublishedPairs, odds: SampleOdds = NEVER, **changes: int) -> Samples:
    return Samples(pairs=pairs, odds=odds, seed=5, num_validation=changes.get("num_validation", 0))


def test_a_photograph_is_cut_degraded_and_described(photographs: Path) -> None:
    pair = open_all(photographs).pair(0, Draw(1))
    assert pair.clean.shape == pair.degraded.shape == (3, SIDE, SIDE)
    assert (pair.clean - pair.degraded).abs().mean() > 0.005
    assert pair.low.count(",") == LOW_OF_CLEAN.count(",")
    assert (pair.high, pair.low_of_clean) == ("", "no noise, no blur, no compression blocks")


def test_of_a_picture_that_is_only_reduced_the_truth_is_told(photographs: Path) -> None:
    pair = open_all(photographs, name="bicubic").pair(0, Draw(1))
    assert pair.low == describe(Degradation(noise_sigma=0, blur_sigma=0, jpeg_quality=100))


@pytest.mark.parametrize("name", ["captions.yaml", "captions.json"])
def test_what_is_seen_comes_from_the_captions_beside_the_pictures(photographs: Path, name: str) -> None:
    (photographs / name).write_text('{"deep/b.jpg": "a tower by the sea"}')
    pairs = open_all(photographs)
    assert [pairs.pair(index, Draw(1)).high for index in range(2)] == ["", "a tower by the sea"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c.png: a dog", r"c\.png is no picture of the folder"),
        ("- a dog", "wanted a sentence for each picture"),
        ("a.png: 3", "wanted a sentence for each picture"),
        ("a: [", "cannot be read"),
    ],
)
def test_captions_that_do_not_fit_are_refused(photographs: Path, text: str, words: str) -> None:
    (photographs / "captions.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        open_all(photographs)


def test_a_photograph_that_is_too_small_is_named(photographs: Path) -> None:
    make_picture(3, 80, 120).save(photographs / "small.png")
    with pytest.raises(InputError, match=r"small\.png: is 120x80, smaller than resolution, 96"):
        open_all(photographs)


def test_a_held_out_photograph_is_refused(photographs: Path) -> None:
    with Image.open(photographs / "a.png") as picture:
        digest = hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
    with pytest.raises(ConfigError, match=r"a\.png: is held out for evaluation"):
        open_all(photographs, held_out=HeldOut(pixels_sha256=frozenset({digest})))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        open_all(tmp_path)


def test_the_published_layout_is_read_as_its_authors_do(published: Path) -> None:
    pairs = open_pairs(published)
    assert len(pairs) == 3
    pair = pairs.pair(1, Draw(0))
    with Image.open(published / "dataset_0" / "LR" / "source" / "0001.png") as picture:
        wanted = np.asarray(picture).transpose(2, 0, 1)
    assert torch.equal((255 * pair.degraded).round().byte(), torch.from_numpy(wanted.copy()))
    assert (pair.high, pair.low, pair.low_of_clean) == ("picture 1", "quality of LR 1", "quality of HR 1")


def test_where_nobody_described_the_clean_picture_the_words_for_the_degraded_one_stand_in(
    published: Path,
) -> None:
    (published / "dataset_0" / "highlevel_prompt_GT" / "source" / "0001.txt").write_text("")
    assert open_pairs(published).pair(1, Draw(0)).high == "picture 1 said of LR"


@pytest.mark.parametrize("kind", ["LR", "highlevel_prompt", "lowlevel_prompt_q_GT"])
def test_a_file_that_is_missing_is_named(published: Path, kind: str) -> None:
    suffix = "png" if kind == "LR" else "txt"
    (published / "dataset_0" / kind / "source" / f"0002.{suffix}").unlink()
    with pytest.raises(InputError, match=f"0002 is in HR and not in {kind}"):
        open_pairs(published)


def test_a_pair_of_another_size_is_named(published: Path) -> None:
    with pytest.raises(InputError, match=r"HR/source/0000\.png: is 96x96, and resolution says 64x64"):
        open_pairs(published, resolution=64).pair(0, Draw(0))


def test_further_folders_of_the_published_layout_are_read_too(published: Path) -> None:
    shutil.copytree(published / "dataset_0", published / "dataset_1")
    assert len(open_pairs(published)) == 6


def test_captions_are_dropped_as_often_as_is_asked(published: Path) -> None:
    made = samples(open_pairs(published), SampleOdds(drop_captions=0.25, show_original=0.0))
    texts = [made.sample(step, 0)[2:] for step in range(100)]
    assert sum(text == ("", "") for text in texts) == pytest.approx(25, abs=13)  # three deviations
    assert all((high == "") == (low == "") for high, low in texts)


def test_the_clean_picture_is_shown_with_its_own_words(published: Path) -> None:
    made = samples(open_pairs(published), SampleOdds(drop_captions=0.0, show_original=0.25))
    found = [made.sample(step, 0) for step in range(100)]
    originals = [sample for sample in found if torch.equal(sample.shown, sample.clean)]
    assert len(originals) == pytest.approx(25, abs=13)
    assert all(("HR" in sample.low) == torch.equal(sample.shown, sample.clean) for sample in found)


def test_a_sample_follows_from_its_place_alone(photographs: Path) -> None:
    one, other = (samples(open_all(photographs)) for _ in range(2))
    other.sample(0, 0)
    for place in ((3, 1), (3, 2)):
        assert torch.equal(one.sample(*place).shown, other.sample(*place).shown)
    assert not torch.equal(one.sample(3, 1).shown, one.sample(3, 2).shown)


def test_validation_pictures_are_not_trained_on(published: Path) -> None:
    made = samples(open_pairs(published), num_validation=2)
    assert {made.sample(step, 0).high for step in range(30)} == {"picture 2"}
    assert [sample.high for sample in made.validation()] == ["picture 0", "picture 1"]


def test_data_that_validation_uses_up_is_refused(published: Path) -> None:
    with pytest.raises(InputError, match="3 pictures, and validation takes 3"):
        samples(open_pairs(published), num_validation=3)


def test_settings_that_cannot_work_are_refused() -> None:
    for change, words in (
        ({"resolution": 100}, "multiple of 8"),
        ({"resolution": 64}, "at least 96"),
        ({"degradation": {"full": 0.5}}, "add up to 0.5"),
        ({"micro_batch": 0}, "micro_batch: wanted at least 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            dataclasses.replace(TINY, **change)
    with pytest.raises(ConfigError, match="4 cannot be shared by 3 processes of micro_batch 2"):
        TINY.passes(3)
