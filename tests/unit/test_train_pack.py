"""Packs of photographs, and those that are held out."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.photographs import make_pack, make_picture
from vidsr.errors import ConfigError, InputError
from vidsr.train.held_out import HeldOut, difference_hash, read_held_out
from vidsr.train.pack import Photograph, Tile, load_pack

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_pack_gives_its_pictures(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1), make_picture(2))
    pictures = load_pack(pack, held_out=HeldOut())
    assert [picture.pixels.shape for picture in pictures] == [(3, 80, 112)] * 2
    np.testing.assert_array_equal(pictures[1].pixels.permute(1, 2, 0).numpy(), np.array(make_picture(2)))


def test_a_crop_has_the_tags_of_the_tile_it_lies_in() -> None:
    tiles = [Tile(0, 0, 64, ["dog"]), Tile(0, 64, 64, ["snow", "tree"]), Tile(0, 128, 64, [])]
    picture = Photograph(torch.zeros(3, 64, 192), tiles)
    assert picture.tags_at(32, 20) == ["dog"]
    assert picture.tags_at(32, 110) == ["snow", "tree"]
    assert picture.tags_at(0, 192) == []


def test_tags_are_read_with_the_pack_and_rubbish_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1))
    name = json.loads((pack / "manifest.json").read_text())["pictures"][0]["file"]
    tile = {"top": 0, "left": 0, "size": 64, "tags": ["dog"]}
    (pack / "tags.json").write_text(json.dumps({name: [tile]}))
    assert load_pack(pack, held_out=HeldOut())[0].tiles == [Tile(0, 0, 64, ["dog"])]
    (pack / "tags.json").write_text("[1]")
    with pytest.raises(InputError, match=r"tags\.json: not the tags of a pack"):
        load_pack(pack, held_out=HeldOut())


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json; make the pack with"):
        load_pack(tmp_path, held_out=HeldOut())


def test_a_picture_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1))
    make_picture(2).save(pack / "0.png")
    with pytest.raises(InputError, match=r"0\.png: not the picture that manifest\.json names"):
        load_pack(pack, held_out=HeldOut())


@pytest.mark.parametrize("change", ["none", "thumbnail", "mirror"])
def test_a_held_out_photograph_is_refused_whatever_was_done_to_it(tmp_path: Path, change: str) -> None:
    picture = make_picture(1, 160, 224)
    held_out = HeldOut(difference_hashes=(difference_hash(picture),), near_duplicate_bits=32)
    if change == "thumbnail":
        picture = picture.resize((112, 80), Image.Resampling.LANCZOS)
    elif change == "mirror":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    with pytest.raises(ConfigError, match="held out for evaluation"):
        load_pack(make_pack(tmp_path / "pack", picture), held_out=held_out)


def test_an_unrelated_photograph_is_not_held_out() -> None:
    held_out = HeldOut(difference_hashes=(difference_hash(make_picture(1)),), near_duplicate_bits=32)
    assert not any(held_out.holds(make_picture(seed)) for seed in range(2, 12))


def test_a_held_out_crop_is_known_by_its_pixels() -> None:
    crop = make_picture(5)
    held_out = HeldOut(pixels_sha256=frozenset({hashlib.sha256(crop.tobytes()).hexdigest()}))
    assert held_out.holds(crop)
    assert not held_out.holds(make_picture(6))


def test_the_shipped_list_of_held_out_pictures_can_be_read() -> None:
    held_out = read_held_out(CONFIGS / "evaluate" / "heldout.yaml")
    assert len(held_out.difference_hashes) >= 12
    assert len(held_out.pixels_sha256) >= 60
    assert 0 < held_out.near_duplicate_bits < 64


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("sources: 3\n")
    with pytest.raises(ConfigError, match="not a list of held-out pictures"):
        read_held_out(path)
