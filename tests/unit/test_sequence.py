"""Numbered pictures: which files a pattern names."""

from pathlib import Path

import pytest

from vidsr.errors import InputError, NotAVideoError
from vidsr.job.publish import default_output
from vidsr.media.sequence import files_of, how_to_open, is_sequence


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("f_%04d.png", ["f_0008.png", "f_0009.png", "f_0010.png"], ["f_9.png", "f_00011.png", "g_0011.png"]),
        ("%d.png", ["9.png", "10.png", "11.png"], ["012.png", "x12.png"]),
        ("a[1]%02d+.png", ["a[1]98+.png", "a[1]99+.png", "a[1]100+.png"], ["a197+.png", "a[1]97.png"]),
    ],
)
def test_a_pattern_names_the_files_that_ffmpeg_would_read(
    pattern: str, names: list[str], others: list[str], tmp_path: Path
) -> None:
    make(tmp_path, *names, *others)
    assert is_sequence(tmp_path / pattern)
    assert [path.name for path in files_of(tmp_path / pattern)] == names


def test_a_file_of_that_name_is_no_pattern(tmp_path: Path) -> None:
    make(tmp_path, "a_%02d.png", "a_01.png")
    path = tmp_path / "a_%02d.png"
    assert not is_sequence(path)
    assert files_of(path) == [path]
    _, demuxer, options = how_to_open(path)
    assert (demuxer, options["pattern_type"]) == (None, "none")


def test_a_percent_sign_in_the_folder_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "50%d off"
    folder.mkdir()
    make(folder, "f_7.png")
    name, demuxer, options = how_to_open(folder / "f_%d.png")
    assert (name, demuxer) == (f"file:{tmp_path}/50%%d off/f_%d.png", "image2")
    assert (options["pattern_type"], options["start_number"]) == ("sequence", "7")


def test_a_hole_is_refused_with_its_number(tmp_path: Path) -> None:
    make(tmp_path, "f_1.png", "f_2.png", "f_5.png")
    with pytest.raises(InputError, match=r"f_%d\.png: picture 3 is missing \(2 of 1 to 5 are\)"):
        files_of(tmp_path / "f_%d.png")


@pytest.mark.parametrize("name", ["f_%d.png", "nowhere/f_%d.png"])
def test_no_picture_at_all_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotAVideoError, match="no such file, and no picture whose name fits"):
        files_of(tmp_path / name)


@pytest.mark.parametrize(
    ("pattern", "output"),
    [
        ("f_%04d.png", "f_restored.mkv"),
        ("%d.png", "shots_restored.mkv"),
        ("a-%3d-b.tif", "a--b_restored.mkv"),
    ],
)
def test_the_output_is_named_without_the_number(pattern: str, output: str, tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    assert default_output(folder / pattern, ".mkv") == folder / output
