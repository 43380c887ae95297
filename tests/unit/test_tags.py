"""The tags of a file: kept, or said to be lost before any work."""

import shlex
from pathlib import Path

import av
import pytest

from tests import corpus
from tests.assembled import assembled, plan_for
from vidsr.media.tags import kept_tags, lost_tags
from vidsr.media.verify import verify

PHONE = {
    "title": "A day out",
    "com.apple.quicktime.make": "A phone",
    "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738/",
}


def tagged(source: Path, path: Path, tags: dict[str, str]) -> Path:
    options = " ".join(f"-metadata {key}={shlex.quote(value)}" for key, value in tags.items())
    flags = "-movflags use_metadata_tags" if path.suffix == ".mov" else ""
    corpus.run(["-i", str(source), *shlex.split(f"-c copy {flags} {options}"), str(path)])
    return path


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_where_and_with_what_a_clip_was_made_is_kept(
    suffix: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = tagged(corpus.make("vfr_mov", corpus_folder), tmp_path / "in.mov", PHONE)
    plan, output = assembled(source, tmp_path, suffix=suffix)
    assert plan.warnings == ()
    with av.open(str(output)) as file:
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert {key.lower(): value for key, value in PHONE.items()}.items() <= found.items()
    assert verify(source, output, plan=plan).ok


def test_tags_that_are_lost_are_named(corpus_folder: Path, tmp_path: Path) -> None:
    source = tagged(corpus.make("vfr_mov", corpus_folder), tmp_path / "in.mov", PHONE)
    (warning,) = plan_for(source, suffix=".mp4").warnings
    assert warning == (
        "the file loses its tags com.apple.quicktime.location.ISO6709, com.apple.quicktime.make in mp4; "
        "name the output .mkv to keep it"
    )


def test_a_lost_or_changed_tag_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    clip = corpus.make("no_audio", corpus_folder)
    source = tagged(clip, tmp_path / "in.mp4", {"title": "One", "artist": "Somebody"})
    plan, output = assembled(source, tmp_path)
    assert verify(source, output, plan=plan).ok
    other = tagged(output, tmp_path / "other.mp4", {"title": "Two", "artist": ""})
    differences = verify(source, other, plan=plan).differences
    assert {difference.message for difference in differences if difference.kind == "tag"} == {
        "the file's tag title is 'Two', not 'One'",
        "the file's tag artist is None, not 'Somebody'",
    }


def test_what_a_muxer_writes_itself_is_no_loss() -> None:
    own = {"major_brand": "isom", "encoder": "x", "creation_time": "2024-01-01T00:00:00.000000Z"}
    assert lost_tags(own, muxer="mp4") == []
    assert kept_tags(own, muxer="mp4") == {}


def test_names_differ_between_containers_in_their_letters_alone() -> None:
    assert kept_tags({"TITLE": "a", "Artist": "b"}, muxer="matroska") == {"TITLE": "a", "Artist": "b"}
