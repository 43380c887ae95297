"""Damaged input: what is left is restored and what is lost is said, or all of it is refused."""

from pathlib import Path

import av
import pytest

import vidsr
from tests import corpus
from tests.e2e.test_bad_input import BICUBIC, run_vidsr
from tests.overrides import QUICK
from vidsr.errors import DamagedInputError
from vidsr.media.verify import verify

DAMAGE = {
    "truncated.mp4": "-map 0 -c copy -movflags +faststart",
    "truncated.mkv": "-map 0 -c copy",
    "corrupt.mkv": r"-map 0 -c copy -bsf:v noise=amount=if(between(n\,20\,30)\,20\,0)",
    "dropped.mkv": r"-map 0 -c copy -bsf:v noise=drop=between(n\,12\,16)",
    "no_first_key.mkv": r"-map 0 -c copy -bsf:v noise=drop=lt(n\,1)",
}
SAID = {
    "truncated.mp4": "the header promises video until 2.000 s in 50 frames; there are",
    "truncated.mkv": "the header promises video until 2.000 s; there are",
    "corrupt.mkv": "could not be read or decoded; of 50 packets",
    "dropped.mkv": "packets are missing in one place: by the stream's own numbering, at least",
    "no_first_key.mkv": "the first key frame is missing: the 24 frames before the next one are lost",
}


@pytest.fixture(scope="module", params=list(DAMAGE))
def damaged(
    request: pytest.FixtureRequest, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("damage") / request.param
    source = corpus.make(
        "b_frames" if request.param in {"corrupt.mkv", "dropped.mkv"} else "cfr", corpus_folder
    )
    corpus.run(["-i", str(source), *DAMAGE[request.param].split(), str(path)])
    if request.param.startswith("truncated"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 6 // 10])
    return path


def test_what_is_left_is_restored_and_what_is_lost_is_said(damaged: Path, tmp_path: Path) -> None:
    output = tmp_path / f"out{damaged.suffix}"
    report = vidsr.enhance(damaged, output, overrides=QUICK)
    assert (report.exit_code, report.is_partial) == (4, True)
    assert any(SAID[damaged.name] in warning for warning in report.warnings), report.warnings
    assert 20 < report.num_frames < 50
    assert verify(damaged, output).ok


def test_strict_refuses_before_any_work_and_leaves_nothing(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedInputError, match="damaged: ") as caught:
        vidsr.enhance(damaged, tmp_path / f"out{damaged.suffix}", overrides=QUICK, strict=True)
    assert SAID[damaged.name] in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DamagedInputError, match="damaged: "):
        vidsr.plan(damaged, overrides=QUICK, strict=True)


def test_frames_keep_the_times_that_they_had(damaged: Path, tmp_path: Path) -> None:
    """What is missing at the beginning or in the middle moves nothing that comes after it."""
    output = tmp_path / f"out{damaged.suffix}"
    vidsr.enhance(damaged, output, overrides=QUICK)
    with av.open(str(damaged)) as before, av.open(str(output)) as after:
        sounds = [next(file.demux(audio=0)) for file in (before, after)]
    offset = sounds[1].pts * sounds[1].time_base - sounds[0].pts * sounds[0].time_base
    plan = vidsr.plan(damaged, output, overrides=QUICK)
    assert offset == plan.output.offset
    wanted = [int(pts) * plan.info.video.time_base + offset for pts in plan.frames.pts]
    with av.open(str(output)) as file:
        got = sorted(packet.pts * packet.time_base for packet in file.demux(video=0) if packet.size)
    assert got == wanted


@pytest.mark.parametrize(("suffix", "share"), [(".mov", 0.9), (".mkv", 0.7)])
def test_sound_that_is_cut_off_is_a_loss(suffix: str, share: float, tmp_path: Path) -> None:
    """Its picture is whole: it comes first in the file."""
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"in{suffix}"
    inputs = "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i anoisesrc=d=4:r=48000"
    settings = "-c:v libx264 -preset ultrafast -c:a pcm_s16le -max_interleave_delta 0"
    corpus.run(
        [*f"{inputs} {settings} {'-movflags +faststart' if suffix == '.mov' else ''}".split(), str(whole)]
    )
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    report = vidsr.enhance(path, tmp_path / f"out{suffix}", overrides=QUICK)
    assert (report.exit_code, report.num_frames) == (4, 25)
    (said,) = [line for line in report.warnings if "promises" in line]
    assert "stream 1 (audio pcm_s16le): the header promises sound until 4.000 s, the last packet ends" in said
    assert vidsr.enhance(whole, tmp_path / f"whole_out{suffix}", overrides=QUICK).exit_code == 0


def test_a_sound_file_passes_strict(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("edit_list", corpus_folder)
    assert vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK, strict=True).exit_code == 0


def test_the_command_line_refuses_with_its_code(corpus_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(corpus.make("truncated", corpus_folder).read_bytes())
    result = run_vidsr("run", "cut.mp4", *BICUBIC, "--strict", cwd=tmp_path)
    assert result.returncode == 3
    assert len(result.stderr.strip().splitlines()) == 1
    assert "without --strict the rest is restored" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cut.mp4"]
    assert run_vidsr("plan", "cut.mp4", "--strict", cwd=tmp_path).returncode == 3
