"""Interlaced and telecined video comes out progressive, at its own times."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vidsr
from tests.overrides import QUICK
from tests.scans import make
from vidsr.media import intermediate
from vidsr.media.probe import probe
from vidsr.media.verify import verify

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
OVERRIDES = QUICK | {"encode.crf": 5}


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        return [frame.pts * frame.time_base for frame in file.decode(video=0)]


def small_luma(path: Path, *, step: int) -> np.ndarray:
    """Return the first plane of every frame, averaged over squares of `step`. [n, rows, columns]"""
    with av.open(str(path)) as file:
        planes = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    stack = np.stack(planes).astype(float)
    count, rows, columns = stack.shape
    return stack.reshape(count, rows // step, step, columns // step, step).mean((2, 4))


@pytest.mark.parametrize("name", ["upper.mp4", "lower.mpg", "ten_bits.mkv"])
def test_interlaced_video_comes_out_progressive_at_its_own_times(name, corpus_folder, tmp_path):
    source = make(name, corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=OVERRIDES)
    got, wanted = times(report.output), times(source)
    assert len(got) == len(wanted)
    # Half a millisecond is Matroska's rounding, of the source as well.
    assert max(abs(ours - theirs) for ours, theirs in zip(got, wanted, strict=True)) <= Fraction(1, 1000)
    # A frame shows what its first field showed, where half of the source's rows are half a frame's time late.
    left = vidsr.enhance(source, tmp_path / "left.mkv", overrides=OVERRIDES | {"plan.deinterlace": "off"})
    fields = small_luma(make("fields.mkv", corpus_folder), step=1)
    moves = np.abs(fields[::2] - fields[1::2]) > 30
    ours, theirs = (
        np.abs(small_luma(made.output, step=2) - fields[::2])[moves].mean() for made in (report, left)
    )
    assert ours < 0.6 * theirs
    assert any("deinterlaced by bwdif" in line for line in report.warnings)
    assert verify(source, report.output).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["left.mkv", "out.mkv"]


def test_ten_bits_stay_ten(corpus_folder, tmp_path):
    report = vidsr.enhance(make("ten_bits.mkv", corpus_folder), tmp_path / "out.mkv", overrides=OVERRIDES)
    assert probe(report.output).video.pix_fmt == "yuv420p10le"


def test_telecine_is_undone_to_the_film(corpus_folder, tmp_path):
    source, film = (make(name, corpus_folder) for name in ("telecine.mpg", "film.mkv"))
    report = vidsr.enhance(source, tmp_path / "out.mp4", overrides=OVERRIDES)
    got, first = times(report.output), times(source)[0]
    assert report.num_frames == len(got) == 48
    assert [time - got[0] for time in got] == [Fraction(1001 * n, 24000) for n in range(48)]
    assert got[0] == first
    # Each is that frame of the film and no other: its neighbours are five times as far away.
    ours, theirs = small_luma(report.output, step=4), small_luma(film, step=2)
    distances = np.abs(ours[:, None] - theirs[None]).mean((2, 3))
    assert (distances.argmin(1) == np.arange(48)).all()
    assert verify(source, report.output).ok


def test_the_end_of_film_is_not_lost_where_a_cycle_is_cut(corpus_folder, tmp_path):
    """58 frames are 46 of film, and a field of the next in a frame with one of the last."""
    source, film = (make(name, corpus_folder) for name in ("telecine_58.mpg", "film.mkv"))
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=OVERRIDES)
    assert report.num_frames == 47
    ours, theirs = small_luma(report.output, step=4), small_luma(film, step=2)
    nearest = np.abs(ours[:, None] - theirs[None]).mean((2, 3)).argmin(1)
    assert (nearest[:46] == np.arange(46)).all()
    assert nearest[46] in {45, 46}
    assert verify(source, report.output).ok


def test_verify_of_film_notices_a_frame_too_few(corpus_folder, tmp_path):
    source = make("telecine.mpg", corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=OVERRIDES)
    from tests.corpus import run

    run(["-i", str(report.output), "-frames:v", "47", "-c", "copy", str(tmp_path / "short.mkv")])
    assert "frames" in {difference.kind for difference in verify(source, tmp_path / "short.mkv").differences}


def test_off_leaves_the_pictures_and_says_so(corpus_folder, tmp_path):
    source = make("telecine.mpg", corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=OVERRIDES | {"plan.deinterlace": "off"})
    assert report.num_frames == len(times(source))
    assert any("left so: --deinterlace is off" in line for line in report.warnings)
    assert verify(source, report.output).ok


def test_a_plan_and_captions_need_no_work_folder(corpus_folder, tmp_path):
    source = make("telecine.mpg", corpus_folder)
    plan = vidsr.plan(source, tmp_path / "out.mkv", overrides=OVERRIDES)
    assert len(plan.frames) == 48
    assert plan.output.frame_rate == Fraction(24000, 1001)
    assert "telecined film" in plan.warnings[0]
    assert plan.versions["ffmpeg"]
    shots, priors, _ = vidsr.api.describe(source, overrides={"caption.captioner": "measured"})
    assert len(shots) == len(priors) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_goes_on_with_the_pictures_that_were_filtered(corpus_folder, tmp_path, monkeypatch):
    source, output = make("upper.mp4", corpus_folder), tmp_path / "out.mkv"
    overrides = OVERRIDES | {"plan.part_frames": 8}

    def stop(event: vidsr.events.Event) -> None:
        if isinstance(event, vidsr.events.PartFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vidsr.enhance(source, output, overrides=overrides, on_event=stop)
    # Filtering once more would fail.
    monkeypatch.setattr(intermediate.imageio_ffmpeg, "get_ffmpeg_exe", lambda: "/nowhere/ffmpeg")
    report = vidsr.enhance(source, output, overrides=overrides)
    assert report.num_parts_reused >= 1
    assert verify(source, report.output).ok


def test_pictures_that_are_gone_are_filtered_again(corpus_folder, tmp_path):
    source, output = make("upper.mp4", corpus_folder), tmp_path / "out.mkv"

    def stop(event: vidsr.events.Event) -> None:
        if isinstance(event, vidsr.events.Planned):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vidsr.enhance(source, output, overrides=OVERRIDES, on_event=stop)
    next(tmp_path.rglob("filtered.mkv")).unlink()
    assert verify(source, vidsr.enhance(source, output, overrides=OVERRIDES).output).ok


def test_a_filter_that_fails_leaves_nothing_and_says_why(corpus_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        intermediate, "_graph", lambda video, filters, output: _of_an_unknown_codec(video, output)
    )
    with pytest.raises(vidsr.errors.MachineError, match="the ffmpeg program could not filter the pictures"):
        vidsr.enhance(make("upper.mp4", corpus_folder), tmp_path / "out.mkv", overrides=OVERRIDES)
    assert list(tmp_path.iterdir()) == []


def _of_an_unknown_codec(video, output):
    import ffmpeg

    stream = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt=video.pix_fmt, video_size=(video.width, video.height)
    )
    return ffmpeg.output(stream, f"file:{output}", vcodec="none_such").global_args("-loglevel", "error")


def test_ctrl_c_while_filtering_is_a_stop_and_no_failure(corpus_folder, tmp_path):
    """A terminal sends it to the whole group of processes, and the filter is one that the run has started."""
    source, output = make("long.mp4", corpus_folder), tmp_path / "out.mkv"
    settings = [item for key, value in OVERRIDES.items() for item in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "vidsr", "run", str(source), "-o", str(output), *settings]
    run = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    until = time.monotonic() + 60
    while not list(tmp_path.rglob("filtered.mkv.part")):
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 130, said
    assert "filter" not in said
    assert not list(tmp_path.rglob("filtered.mkv*"))
