"""What the command line says of streams: which one is restored, and what becomes of those that do not fit."""

from pathlib import Path

import av
import pytest

import vidsr
from tests import corpus
from tests.e2e.test_bad_input import BICUBIC, run_vidsr
from tests.overrides import QUICK
from vidsr.errors import NotAVideoError
from vidsr.media.verify import verify


def kinds(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as file:
        return [
            (stream.type, stream.codec_context.name if stream.codec_context else "")
            for stream in file.streams
        ]


@pytest.fixture
def folder(tmp_path: Path, corpus_folder: Path) -> Path:
    (tmp_path / "in.mkv").write_bytes(corpus.make("tracks_mkv", corpus_folder).read_bytes())
    return tmp_path


def test_streams_are_converted_where_nothing_else_is_asked_for(folder: Path) -> None:
    result = run_vidsr("run", "in.mkv", *BICUBIC, "-o", "out.mp4", cwd=folder)
    assert result.returncode == 0
    assert "stream 3 (subtitle subrip, eng) is converted to mov_text" in result.stderr
    assert [kind for kind in kinds(folder / "out.mp4") if kind[0] == "subtitle"] == [
        ("subtitle", "mov_text")
    ] * 2
    assert run_vidsr("verify", "in.mkv", "out.mp4", cwd=folder).returncode == 0


def test_the_output_becomes_an_mkv_with_everything(folder: Path) -> None:
    result = run_vidsr("run", "in.mkv", *BICUBIC, "-o", "out.mp4", "--on-incompatible", "mkv", cwd=folder)
    assert (result.returncode, result.stdout) == (0, "out.mkv\n")
    assert sorted(path.name for path in folder.iterdir()) == ["in.mkv", "out.mkv"]
    assert len(kinds(folder / "out.mkv")) == 6
    assert run_vidsr("verify", "in.mkv", "out.mkv", cwd=folder).returncode == 0


def test_stopping_leaves_nothing_and_is_a_matter_of_usage(folder: Path) -> None:
    result = run_vidsr("run", "in.mkv", *BICUBIC, "-o", "out.mp4", "--on-incompatible", "stop", cwd=folder)
    assert result.returncode == 2
    assert "mp4 cannot hold stream 3 (subtitle subrip, eng)" in result.stderr
    assert [path.name for path in folder.iterdir()] == ["in.mkv"]


def test_what_is_left_out_on_purpose_is_verified_as_that(folder: Path) -> None:
    options = ("--on-incompatible", "drop")
    assert run_vidsr("run", "in.mkv", *BICUBIC, "-o", "out.mp4", *options, cwd=folder).returncode == 0
    assert "subtitle" not in {kind for kind, _ in kinds(folder / "out.mp4")}
    assert run_vidsr("verify", "in.mkv", "out.mp4", *options, cwd=folder).returncode == 0
    assert run_vidsr("verify", "in.mkv", "out.mp4", cwd=folder).returncode == 1


def test_an_unknown_answer_is_refused(folder: Path) -> None:
    result = run_vidsr("plan", "in.mkv", "--on-incompatible", "hope", cwd=folder)
    assert result.returncode == 2
    assert "'convert', 'mkv', 'stop' or 'drop'" in result.stderr


@pytest.mark.parametrize(("asked", "restored"), [(None, 1), (0, 0), (1, 1)])
def test_the_stream_that_is_asked_for_is_restored(
    asked: int | None, restored: int, corpus_folder: Path, tmp_path: Path
) -> None:
    """Of two pictures, 320x240 and 160x120, the other one is copied."""
    source = corpus.make("two_pictures", corpus_folder)
    output = tmp_path / "out.mkv"
    vidsr.enhance(source, output, overrides=QUICK | {"plan.video_stream": asked})
    with av.open(str(output)) as file:
        sizes = [(stream.width, stream.height) for stream in file.streams.video]
    wanted = [(320, 240), (160, 120)]
    wanted[restored] = tuple(2 * side for side in wanted[restored])
    assert sizes == wanted
    assert verify(source, output, video_stream=asked).ok
    assert not verify(source, output, video_stream=1 - restored).ok


def test_a_stream_that_is_no_video_is_refused_with_those_that_are(corpus_folder: Path) -> None:
    with pytest.raises(NotAVideoError, match="stream 1 is not a video stream; video streams: 0"):
        vidsr.plan(corpus.make("cfr", corpus_folder), overrides=QUICK | {"plan.video_stream": 1})
