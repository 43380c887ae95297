"""The contact sheet: its pictures, its layout, and the command that makes it."""

import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bench import contact_sheet
from tests.bench.contact_sheet import GAP, LINE, ORIGINAL, SIDE, SUBJECTS, Result, Subject, Window
from tests.bench.drawings import line_art, printed_text
from tests.photographs import make_picture
from vidsr.models.compact import weights

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import fetch_sheet_pictures  # tools is a folder of programs, not a package
from packages import Fetched, ToolError


def flat(level: int) -> contact_sheet.Pixels:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def result(*levels: int, shown: Window = contact_sheet.WHOLE) -> Result:
    columns = {f"method {number}": flat(level) for number, level in enumerate(levels)}
    subject = Subject(title="flat", source=line_art, shown=shown)
    return Result(subject=subject, truth="no noise", measured="light noise", columns=columns)


def cell(sheet: Image.Image, row: int, column: int) -> contact_sheet.Pixels:
    left, top = GAP + column * (SIDE + GAP), 2 * LINE + GAP + row * (LINE + SIDE + GAP)
    return np.array(sheet.crop((left, top, left + SIDE, top + SIDE)))


def test_every_cell_shows_its_own_picture() -> None:
    sheet = contact_sheet.lay_out([result(10, 20, 30), result(40, 50, 60)])
    assert sheet.size == (GAP + 3 * (SIDE + GAP), LINE + GAP + 2 * (LINE + SIDE + GAP))
    found = [[cell(sheet, row, column) for column in range(3)] for row in range(2)]
    assert [[set(pixels.flat) for pixels in row] for row in found] == [
        [{10}, {20}, {30}],
        [{40}, {50}, {60}],
    ]


def test_titles_stand_above_the_cells() -> None:
    sheet = np.array(contact_sheet.lay_out([result(10, 20)]))
    white = sheet.min(axis=2) == 255
    assert not white[:LINE, : SIDE + GAP].all()
    assert not white[:LINE, SIDE + GAP :].all()
    assert not white[LINE + GAP : 2 * LINE + GAP].all()


def test_a_part_is_enlarged_to_the_cell() -> None:
    window = Window(64, 32, SIDE // 2)
    one = result(0, shown=window)
    pixels = np.array(make_picture(1, SIDE, SIDE))
    sheet = contact_sheet.lay_out([replace(one, columns={"method": pixels})])
    wanted = pixels[64 : 64 + SIDE // 2, 32 : 32 + SIDE // 2].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(cell(sheet, 0, 0), wanted)


def test_the_file_stays_below_the_limit_or_is_refused() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    best, small = contact_sheet.jpeg(noise), contact_sheet.jpeg(noise, limit=90_000)
    assert len(small) <= 90_000 < len(best)
    assert Image.open(io.BytesIO(small)).size == (SIDE, SIDE)
    with pytest.raises(ValueError, match="takes more than 1,000 bytes"):
        contact_sheet.jpeg(noise, limit=1000)


def test_one_command_makes_the_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = SUBJECTS[1], SUBJECTS[6]
    assert [subject.title for subject in subjects] == ["skin", "line art, drawn"]
    make_picture(1, 512, 512).save(tmp_path / "astronaut.png")
    output = tmp_path / "sheet.jpg"
    monkeypatch.setattr(sys, "argv", ["sheet", "--pictures", str(tmp_path), "--output", str(output)])
    contact_sheet.main(subjects)
    printed = capsys.readouterr().out
    assert all(f"| {subject.title} |" in printed for subject in subjects)
    titles = ["bicubic", "estimate", "default", "strength 1", ORIGINAL]
    assert f"PSNR-Y: {' | '.join(titles[:-1])} |" in printed
    assert output.stat().st_size <= contact_sheet.SIZE_LIMIT
    with Image.open(output) as sheet:
        assert sheet.size == (
            GAP + len(titles) * (SIDE + GAP),
            LINE + GAP + len(subjects) * (LINE + SIDE + GAP),
        )


@pytest.mark.parametrize(
    ("steps", "titles"),
    [
        (0, ["bicubic", "estimate"]),
        (1, ["bicubic", "estimate", "default", "strength 1"]),
        (3, ["bicubic", "estimate", "default", "strength 1"]),
    ],
)
def test_columns_are_those_that_the_weights_have(tmp_path: Path, steps: int, titles: list[str]) -> None:
    model, info = weights.load(weights.SHIPPED)
    weights.save(tmp_path / "other.safetensors", model, replace(info, steps=steps))
    assert list(contact_sheet.columns_of(tmp_path / "other.safetensors")) == titles


@pytest.mark.parametrize("drawn", [line_art, printed_text])
def test_drawings_fill_a_cell_and_are_the_same_each_time(
    drawn: Callable[[], contact_sheet.Pixels],
) -> None:
    pixels = drawn()
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels.std() > 30
    assert np.array_equal(pixels, drawn())


def write(folder: Path, picture: fetch_sheet_pictures.Picture, *, statement: str) -> Fetched:
    for name, content in ((picture.name, b"pixels"), (picture.stated_in, statement.encode())):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return Fetched(name=picture.package, version=picture.version, folder=folder)


def test_a_picture_is_taken_where_its_package_says_that_it_is_free(tmp_path: Path) -> None:
    picture = replace(fetch_sheet_pictures.PICTURES[0], sha256=hashlib.sha256(b"pixels").hexdigest())
    fetched = write(tmp_path / "package", picture, statement=f"Notes: {picture.statement}")
    fetch_sheet_pictures.take(picture, fetched, tmp_path)
    assert (tmp_path / "astronaut.png").read_bytes() == b"pixels"


def test_a_picture_whose_package_says_otherwise_is_not_taken(tmp_path: Path) -> None:
    picture = fetch_sheet_pictures.PICTURES[0]
    fetched = write(tmp_path, picture, statement="All rights reserved.")
    with pytest.raises(ToolError, match=r"_fetchers\.py does not say .*; do not publish skimage/data/astro"):
        fetch_sheet_pictures.take(picture, fetched, tmp_path)


def test_a_picture_that_was_exchanged_is_not_taken(tmp_path: Path) -> None:
    picture = fetch_sheet_pictures.PICTURES[0]
    fetched = write(tmp_path, picture, statement=picture.statement)
    with pytest.raises(ToolError, match="the package has changed"):
        fetch_sheet_pictures.take(picture, fetched, tmp_path)


def test_every_picture_of_the_sheet_is_fetched() -> None:
    names = {Path(picture.name).name for picture in fetch_sheet_pictures.PICTURES}
    assert {subject.source for subject in SUBJECTS if isinstance(subject.source, str)} == names
