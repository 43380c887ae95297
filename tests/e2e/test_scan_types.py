"""Interlaced and telecined video comes out progressive, at its own times."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vidsr
from tests.scans import make
from vidsr.media import intermediate
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.media.verify import verify

OVERRIDES = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "none",
    "encode.preset": "ultrafast",
    "encode.crf": 5,
}


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


def scan_of(path: Path):
    return build_index(path, probe(path), on_frame=lambda index, thumbnail: None).scan


@pytest.mark.parametrize("name", ["upper.mp4", "lower.mpg", "ten_bits.mkv"])
def test_interlaced_video_comes_out_progressive_at_its_own_times(name, corpus_folder, tmp_path):
    source = make(name, corpus_folder)
    report = vidsr.enhance(source, tmp_path / "out.mkv", overrides=OVERRIDES)
    assert scan_of(source).is_combed
    assert not scan_of(report.output).is_combed
    got, wanted = times(report.output), times(source)
    assert len(got) == len(wanted)
    # Half a millisecond is Matroska's rounding, of the source as well.
    assert max(abs(ours - theirs) for ours, theirs in zip(got, wanted, strict=True)) <= Fraction(1, 1000)
    assert any("deinterlaced by bwdif" in line for line in report.warnings)
    assert verify(source, report.output).ok
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


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
