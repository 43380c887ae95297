"""Priors survive a trip through YAML, and a user's mistakes are named."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidsr import config
from vidsr.caption.file import _RANGES, FileCaptioner, format_priors, read_priors, write_priors
from vidsr.errors import ConfigError, UnwritableError
from vidsr.types import Prior, Shot, ShotSettings

SHOTS = (Shot(index=0, start=0, stop=40), Shot(index=1, start=40, stop=41))
PRIORS = (
    Prior(high_level="a harbour: boats, #3", low_level="moderate noise, no blur", captioner="measured/1"),
    Prior(captioner="measured/1"),
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "priors.yaml"
    write_priors(path, SHOTS, PRIORS)
    return path


def _edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(written: Path) -> None:
    assert read_priors(written, SHOTS) == PRIORS


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
@example("\x85", "\u2028")
@example("\x85 \u2028", "\r\n\t")
@example("Hafen bei Nacht: drei Boote, 港", "no")
def test_any_text_survives(high_level: str, low_level: str) -> None:
    prior = Prior(high_level=high_level, low_level=low_level, captioner="file/1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "priors.yaml"
        write_priors(path, SHOTS[:1], [prior])
        assert read_priors(path, SHOTS[:1]) == (prior,)


def test_the_header_tells_the_words_that_can_be_used() -> None:
    header = format_priors(SHOTS, PRIORS).split("- shot")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "no, light, moderate or strong" in header


def test_a_shot_needs_a_prior_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        format_priors(SHOTS, PRIORS[:1])


def test_sentences_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text("- {shot: 0, start: 0, stop: 40}\n", encoding="utf-8")
    assert read_priors(path, SHOTS[:1]) == (Prior(captioner="file/1"),)


def test_the_order_of_the_entries_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    write_priors(path, SHOTS[::-1], PRIORS[::-1])
    assert read_priors(path, SHOTS) == PRIORS


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "high_level: ''",
            "hihg_level: ''",
            r"priors.yaml: shot 1: unknown key hihg_level; did you mean high_level",
        ),
        ("stop: 41", "stop: 42", r"priors.yaml: shot 1: frames 40 to 42, but 40 to 41 in this video"),
        ("shot: 1", "shot: 7", r"priors.yaml: shot 1 \(frames 40 to 41\) is missing"),
        ("shot: 1", "shot: 0", r"priors.yaml: shot 0 is there twice"),
        ("shot: 1", "shot: one", r"entry 2: shot: wanted a whole number, got text \(one\)"),
        ("start: 40", "start: 40.0", r"shot 1: start: wanted a whole number, got a number \(40.0\)"),
        ("start: 40\n  ", "", r"shot 1: start is missing"),
        ("start: 40", "start: 41", r"shot 1: start 41 must be before stop 41"),
        ("high_level: ''", "high_level: no", r"shot 1: high_level: wanted text, got yes or no \(False\)"),
        ("high_level: ''", "high_level:", r"shot 1: high_level: wanted text, got nothing"),
        ("shot: 1", "strenngth: 0.5\n  shot: 1", r"shot 1: unknown key strenngth; did you mean strength\?"),
        ("shot: 1", "guidance: 2\n  shot: 1", r"shot 1: unknown key guidance; did you mean guidance_scale\?"),
        ("shot: 1", "shot: 1\n  strength: 1.5", r"shot 1: strength: wanted a number from 0 to 1, got .*1\.5"),
        ("shot: 1", "shot: 1\n  strength: -0.1", r"shot 1: strength: wanted a number from 0 to 1"),
        ("shot: 1", "shot: 1\n  strength: .nan", r"shot 1: strength: wanted a number from 0 to 1"),
        ("shot: 1", "shot: 1\n  strength: yes", r"strength: wanted a number .*got yes or no \(True\)"),
        ("shot: 1", "shot: 1\n  strength:", r"shot 1: strength: wanted a number .*got nothing"),
        (
            "shot: 1",
            "shot: 1\n  guidance_scale: 0.5",
            r"shot 1: guidance_scale: wanted a number from 1 to 20",
        ),
        ("shot: 1", "shot: 1\n  guidance_scale: 21", r"shot 1: guidance_scale: wanted a number from 1 to 20"),
        ("shot: 1", "shot: 1\n  restorer: 3", r"shot 1: restorer: wanted text, got a number \(3\)"),
        ("- shot: 1", "- 12\n- shot: 1", r"entry 2: wanted the keys shot, start, .*, got a number \(12\)"),
        ("- shot: 1", "- [shot: 1", r"priors.yaml: not YAML: .*line"),
    ],
)
def test_a_mistake_is_named_with_file_and_shot(written: Path, old: str, new: str, says: str) -> None:
    if old == "high_level: ''" or old.startswith("start"):
        assert written.read_text(encoding="utf-8").count(old) == 1
    with pytest.raises(ConfigError, match=says):
        read_priors(_edit(written, old, new), SHOTS)


def test_a_shot_that_the_video_lacks_is_refused(written: Path) -> None:
    says = r"priors\.yaml: shot 1 is not in the video, which has 1 shot, .*make the file anew"
    with pytest.raises(ConfigError, match=says):
        read_priors(written, SHOTS[:1])
    with pytest.raises(ConfigError, match=says):
        FileCaptioner(written).check(SHOTS[:1])


def test_the_shots_of_the_file_are_accepted(written: Path) -> None:
    FileCaptioner(written).check(SHOTS)


@pytest.mark.parametrize("text", ["", "nothing: here\n", "just words\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="wanted a list of shots"):
        read_priors(path, SHOTS)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="not YAML"):
        read_priors(path, SHOTS)


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text("!!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not YAML"):
        read_priors(path, SHOTS)


def test_a_missing_file_fails_before_any_shot_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.yaml: cannot be read \(No such file"):
        FileCaptioner(tmp_path / "absent.yaml")


def test_an_unwritable_place_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match=r"priors.yaml: cannot be written"):
        write_priors(tmp_path / "absent" / "priors.yaml", SHOTS, PRIORS)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        ShotSettings,
        strength=st.none() | st.floats(0, 1),
        guidance_scale=st.none() | st.floats(1, 20),
        restorer=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
@example(ShotSettings(strength=5e-324, guidance_scale=20.0, restorer="no"))
def test_what_is_asked_for_a_shot_survives(asked: ShotSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "priors.yaml"
        write_priors(path, SHOTS, PRIORS, {1: asked})
        captioner = FileCaptioner(path)
        assert captioner.settings == ({} if asked == ShotSettings() else {1: asked})
        assert captioner.caption(SHOTS[1], []) == PRIORS[1]


def test_whole_numbers_will_do(written: Path) -> None:
    edited = _edit(written, "shot: 0", "shot: 0\n  strength: 1\n  guidance_scale: 2")
    assert FileCaptioner(edited).settings == {0: ShotSettings(strength=1.0, guidance_scale=2.0)}


def test_the_numbers_may_be_those_of_the_configuration() -> None:
    for key, (low, high) in _RANGES.items():
        for number in (low, high):
            config.load(overrides={f"restore.{key}": number}, environment={})
        for number in (low - 0.01, high + 0.01):
            with pytest.raises(ConfigError, match=key):
                config.load(overrides={f"restore.{key}": number}, environment={})


def test_what_is_asked_where_nobody_would_obey_is_refused(written: Path) -> None:
    edited = _edit(written, "shot: 1", "shot: 1\n  strength: 0.5")
    with pytest.raises(ConfigError, match=r"priors\.yaml: shot 1: strength is obeyed .*--priors"):
        read_priors(edited, SHOTS)


def test_the_captioner_says_what_the_file_says(written: Path) -> None:
    captioner = FileCaptioner(_edit(written, "no blur", "strong blur"))
    prior = captioner.caption(SHOTS[0], [])
    assert (prior.high_level, prior.low_level) == ("a harbour: boats, #3", "moderate noise, strong blur")
    with pytest.raises(ConfigError, match=r"shot 2 .* is missing"):
        captioner.caption(Shot(index=2, start=41, stop=50), [])
