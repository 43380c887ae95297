"""The corpus holds what it promises, and what is written beside further files is read strictly."""

from fractions import Fraction
from pathlib import Path

import pytest

from tests.corpus import CLASSES, EVERY, THEMES, Outcome, Track
from tests.corpus.catalogue import CATALOGUE
from tests.corpus.folder import ExpectationError, expectations_in

ROOT = Path(__file__).resolve().parents[2]


def test_each_of_the_79_kinds_of_input_has_a_class() -> None:
    assert len(CATALOGUE) == 79
    assert len(set(CATALOGUE.values())) == 79
    assert set(CATALOGUE.values()) <= set(EVERY)


def _rows() -> list[list[str]]:
    """Return the cells of the tables in docs/reliability.md that list classes."""
    lines = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if len(row) == 4 and row[0] != "asked as" and not row[0].startswith("---")]


def test_the_page_lists_every_kind_of_input_beside_its_class() -> None:
    places = {name: row for row in _rows() for name in row[0].split(", ")}
    for name, stands_for in CATALOGUE.items():
        assert stands_for in places[name][1].split(", "), name
    assert set(places) == {*CATALOGUE, "added"}


def test_the_page_lists_every_class_once() -> None:
    listed = [name for row in _rows() for name in row[1].split(", ")]
    assert sorted(listed) == sorted(EVERY)


def test_the_page_names_tests_that_are_there() -> None:
    named = {row[3] for row in _rows() if row[3]}
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_page_says_who_is_refused_and_who_is_partial() -> None:
    for _, names, outcome, _ in _rows():
        code = {"partial": 4, "refused": 3}.get(outcome.split()[0], 0)
        assert {EVERY[name].outcome.exit_code for name in names.split(", ")} == {code}, names


def test_no_name_is_in_two_themes() -> None:
    assert sum(map(len, THEMES.values())) == len(EVERY)


def test_only_the_one_hour_file_is_slow() -> None:
    assert [name for name, facts in EVERY.items() if facts.is_slow] == ["one_hour"]


def test_what_is_refused_says_why() -> None:
    refused = {name for name, facts in EVERY.items() if facts.outcome.exit_code not in {0, 4}}
    assert refused == {"zero", "zeros", "audio_only", "moov_lost"}
    assert all(EVERY[name].outcome.says for name in refused)
    assert not refused & set(CLASSES)


def test_what_is_damaged_says_so() -> None:
    partial = {name for name, facts in EVERY.items() if facts.outcome.exit_code == 4}
    assert {"truncated", "truncated_mkv", "truncated_ts", "corrupt"} <= partial
    assert all(EVERY[name].outcome.says for name in partial)


def test_an_expectation_is_completed_by_the_facts() -> None:
    expected = EVERY["turned_90"].expected
    assert (expected.exit_code, expected.num_frames, expected.width, expected.is_turned) == (0, 50, 320, True)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / "clip.mkv").touch()
    (folder / name).write_text(text)
    return folder


def test_an_expectation_in_yaml_is_read(tmp_path: Path) -> None:
    text = (
        "exit_code: 4\nnum_frames: 2\ntimes: [0, 1/25]\nsays: [damaged]\n"
        "tracks: [{kind: audio, codec: aac, language: eng}]\n"
    )
    assert expectations_in(written(tmp_path, "clip.mkv.yaml", text)) == {
        tmp_path / "clip.mkv": Outcome(
            exit_code=4,
            num_frames=2,
            times=(Fraction(0), Fraction(1, 25)),
            says=("damaged",),
            tracks=(Track(kind="audio", codec="aac", language="eng"),),
        )
    }


def test_an_expectation_in_json_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path, "clip.mkv.json", '{"exit_code": 0, "matrix": 9}')
    assert expectations_in(folder) == {tmp_path / "clip.mkv": Outcome(exit_code=0, matrix=9)}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("other.yaml", "exit_code: 0", "nothing says what is expected"),
        ("clip.mkv.yaml", "num_frames: 2", "wanted at least exit_code"),
        ("clip.mkv.yaml", "- 1", "wanted at least exit_code"),
        ("clip.mkv.yaml", "{exit_code: 0, frames: 2}", "frames"),
        ("clip.mkv.yaml", "{exit_code: 0, num_frames: many}", "num_frames"),
        ("clip.mkv.yaml", "{exit_code: 0, tracks: [{kind: audio}]}", "codec"),
    ],
)
def test_an_expectation_that_is_none_is_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ExpectationError, match=words):
        expectations_in(written(tmp_path, name, text))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExpectationError, match="no file to restore"):
        expectations_in(tmp_path)
