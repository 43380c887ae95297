"""tools: the photographs to train on and those held out."""

import io
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import collect_heldout  # noqa: E402  # tools is a folder of programs, not a package
import collect_photographs  # noqa: E402
import fingerprints  # noqa: E402
import photographs  # noqa: E402
from packages import Fetched, ToolError  # noqa: E402

HELD_OUT_LIST = ROOT / "configs" / "evaluate" / "heldout.yaml"


def landscape(seed: int, *, width: int = 1200, height: int = 1000) -> Image.Image:
    """Return a picture with structure at every scale, as photographs have."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (4, 16, 64, 256):
        noise = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        total += np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray((total / 4).astype(np.uint8))


def test_halving_takes_the_mean_of_two_by_two():
    pixels = np.array([[[0, 0, 0], [10, 10, 10]], [[20, 20, 20], [30, 30, 30]]], dtype=np.uint8)
    assert photographs.halve(Image.fromarray(pixels)).getpixel((0, 0)) == (15, 15, 15)


def test_halving_drops_an_odd_row_and_column():
    assert photographs.halve(Image.new("RGB", (7, 5))).size == (3, 2)


def test_sharp_picture_is_halved_once():
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    assert photographs.prepare(Image.fromarray(noise)).halvings == 1


def test_soft_picture_is_halved_twice():
    soft = landscape(0, width=1930, height=1924).filter(ImageFilter.GaussianBlur(3))
    assert photographs.prepare(soft).halvings == 2


def test_steps_on_the_grid_are_found():
    blocks = np.random.default_rng(0).integers(60, 200, (40, 40), dtype=np.uint8)
    blocky = Image.fromarray(blocks).resize((320, 320), Image.Resampling.NEAREST)
    assert photographs.grid_steps(blocky, 8) > 10
    smooth = Image.fromarray(blocks).resize((320, 320), Image.Resampling.BICUBIC)
    # A grid of hard edges has all its steps in one column; bicubic steps are spread over the cell.
    assert photographs.grid_steps(smooth, 8) < 2


@pytest.mark.parametrize(
    ("size", "sharpness", "blocks", "reason"),
    [
        ((400, 600), 30.0, 1.0, "too small: 400x600"),
        ((600, 600), 3.0, 1.0, "blurred: sharpness 3.0"),
        ((600, 600), 30.0, 1.5, "blocky: 1.50"),
    ],
)
def test_fault_names_what_is_wrong(size, sharpness, blocks, reason):
    prepared = photographs.Prepared(
        picture=Image.new("RGB", size), halvings=1, sharpness=sharpness, blockiness=blocks
    )
    assert reason in str(photographs.fault(prepared, [], near_to="the list"))


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


@pytest.mark.parametrize("change", ["half", "compressed", "mirrored", "brighter"])
def test_changed_copy_is_a_near_duplicate(change):
    picture = landscape(1)
    copy = {
        "half": lambda: photographs.halve(picture),
        "compressed": lambda: compressed(picture, 20),
        "mirrored": lambda: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "brighter": lambda: picture.point([min(255, round(level * 1.1)) for level in range(256)] * 3),
    }[change]()
    hashes = [fingerprints.difference_hash(picture)]
    assert fingerprints.nearest(copy, hashes) <= fingerprints.NEAR_DUPLICATE_BITS


def test_different_pictures_are_not_near():
    hashes = [fingerprints.difference_hash(landscape(seed)) for seed in range(8)]
    distances = [fingerprints.hamming_distance(*pair) for pair in itertools.combinations(hashes, 2)]
    assert min(distances) > fingerprints.NEAR_DUPLICATE_BITS


def test_near_duplicate_of_a_held_out_picture_is_refused():
    prepared = photographs.prepare(landscape(2))
    hashes = [fingerprints.difference_hash(landscape(2))]
    assert "near-duplicate in the list" in str(photographs.fault(prepared, hashes, near_to="the list"))


def test_crops_lie_inside_on_multiples_of_four_and_apart():
    picture = landscape(3, width=1301, height=1107)
    first, second = collect_heldout.choose_crops(picture, seed="a")
    for top, left in (first, second):
        assert top % 4 == left % 4 == 0
        assert 0 <= top <= 1107 - 512
        assert 0 <= left <= 1301 - 512
    assert not collect_heldout.overlap(first, second)


def test_crops_depend_on_the_seed_alone():
    picture = landscape(3)
    assert collect_heldout.choose_crops(picture, seed="a") == collect_heldout.choose_crops(picture, seed="a")
    assert collect_heldout.choose_crops(picture, seed="a") != collect_heldout.choose_crops(picture, seed="b")


def test_crops_prefer_detail():
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1700, 3), dtype=np.uint8)
    noise[:, :600] = 128
    chosen = collect_heldout.choose_crops(Image.fromarray(noise), seed="a")
    assert all(left + collect_heldout.CROP_SIDE // 2 >= 600 for _, left in chosen)


def source_of(folder: Path, name: str) -> tuple[collect_photographs.Source, Fetched]:
    source = collect_photographs.Source(
        package="pictures", suite="sid", folder="p", names=(name,), licence="CC0-1.0", holder="A. Body, 2020"
    )
    return source, Fetched(name="pictures", version="2", folder=folder)


def test_collected_picture_is_the_one_its_manifest_line_names(tmp_path):
    (tmp_path / "p").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "p" / "a.png")
    [line] = collect_photographs.collect(*source_of(tmp_path, "a.png"), tmp_path, [])
    with Image.open(tmp_path / line.file) as stored:
        assert stored.size == (line.width, line.height) == (600, 500)
        assert fingerprints.pixel_digest(stored) == line.pixels_sha256
    assert line.credits == "a: A. Body, 2020, CC0-1.0, Debian package pictures"


def test_missing_picture_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ToolError, match=r"pictures 2 \(sid\) has no p/gone\.jpg"):
        list(collect_photographs.collect(*source_of(tmp_path, "gone.jpg"), tmp_path, []))


def test_package_that_changed_its_licence_is_refused(tmp_path):
    document = tmp_path / "usr/share/doc/pictures/copyright"
    document.parent.mkdir(parents=True)
    document.write_text("Files: *\nLicense: GPL-3\n")
    with pytest.raises(ToolError, match=r"does not name CC0-1\.0"):
        collect_photographs.check_licence(*source_of(tmp_path, "a.jpg"))


def test_training_takes_no_held_out_package():
    trained = {source.package for suite in ("sid", "trixie") for source in collect_photographs.sources(suite)}
    assert trained.isdisjoint(held_out.package for held_out in collect_heldout.HELD_OUT)


def test_list_holds_sixty_crops_of_thirty_photographs():
    content = yaml.safe_load(HELD_OUT_LIST.read_text())
    assert len(content["sources"]) == 30
    assert len({crop["pixels_sha256"] for crop in content["crops"]}) == 60
    assert len(collect_photographs.held_out_hashes(HELD_OUT_LIST)) == 30


def test_listed_photographs_are_no_near_duplicates():
    hashes = collect_photographs.held_out_hashes(HELD_OUT_LIST)
    distances = [fingerprints.hamming_distance(*pair) for pair in itertools.combinations(hashes, 2)]
    assert min(distances) > fingerprints.NEAR_DUPLICATE_BITS


def test_list_that_is_none_is_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(json.dumps({"crops": []}))
    with pytest.raises(ToolError, match=r"list\.yaml: not a list of held-out pictures"):
        collect_photographs.held_out_hashes(path)
