"""Clips are read from videos and from folders, and measured frame by frame and step by step."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidsr.errors import InputError, NotAVideoError
from vidsr.evaluate.clips import read_clip
from vidsr.evaluate.image import psnr
from vidsr.evaluate.pairs import evaluate_pairs
from vidsr.evaluate.suite import Metrics, open_metrics
from vidsr.evaluate.table import NotComputed
from vidsr.evaluate.temporal import warp_error

Pixels = NDArray[np.uint8]
SIZE = (48, 64)


def _frames(count: int = 3, *, error: int = 0) -> list[Pixels]:
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    wave = 120 + 60 * np.sin(columns / 5) * np.cos(rows / 7)
    shifted = [np.roll(wave, shift, axis=1) for shift in range(count)]
    return [np.repeat(frame[..., None] + error, 3, axis=2).astype(np.uint8) for frame in shifted]


def _write_video(path: Path, frames: list[Pixels]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "bgr0"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        file.mux(stream.encode())


def _write_folder(path: Path, frames: list[Pixels]) -> None:
    path.mkdir(parents=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{index:03}.png")


def test_a_lossless_video_gives_its_frames(tmp_path: Path) -> None:
    _write_video(tmp_path / "clip.mkv", _frames())
    np.testing.assert_array_equal(list(read_clip(tmp_path / "clip.mkv")), _frames())


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    _write_folder(tmp_path / "clip", _frames(12))
    (tmp_path / "clip" / "notes.txt").write_text("not a frame")
    np.testing.assert_array_equal(list(read_clip(tmp_path / "clip")), _frames(12))


def test_what_is_no_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAVideoError, match=r"absent\.mkv"):
        list(read_clip(tmp_path / "absent.mkv"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: holds no pictures"):
        list(read_clip(tmp_path / "empty"))


def test_frames_count_as_pictures_and_steps_as_steps(tmp_path: Path) -> None:
    _write_video(tmp_path / "reference" / "a.mkv", _frames())
    _write_video(tmp_path / "near" / "a.mkv", _frames(error=1))
    row = evaluate_pairs(tmp_path, open_metrics(None))["near"]
    assert row["PSNR-Y"].mean == pytest.approx(psnr(_frames(error=1)[0], _frames()[0]))
    # The same error in every frame takes no steadiness away.
    assert row["E_warp x1000"].mean == pytest.approx(row["E_warp x1000 of reference"].mean, abs=1e-6)
    assert row["tOF"].mean < 0.05
    assert row["tLPIPS x1000"] == NotComputed("not installed")
    assert row["Flicker"].mean < 0.5
    assert 90 < row["VMAF"].mean <= 100


def test_a_step_joins_frames_that_follow_on_each_other(tmp_path: Path) -> None:
    seen = []

    def spy(step) -> float:
        seen.append((step.before[0, 0, 0], step.after[0, 0, 0], step.reference_before[0, 0, 0]))
        return 0.0

    flat = [np.full((*SIZE, 3), value, dtype=np.uint8) for value in (10, 20, 30)]
    _write_folder(tmp_path / "reference" / "a", flat)
    _write_folder(tmp_path / "mine" / "a", [frame + 1 for frame in flat])
    evaluate_pairs(tmp_path, Metrics(by_name={}, steps={"spy": spy}))
    assert seen == [(11, 21, 10), (21, 31, 20)]


def test_a_video_may_be_compared_with_a_folder_or_another_container(tmp_path: Path) -> None:
    _write_video(tmp_path / "reference" / "a.mkv", _frames())
    _write_video(tmp_path / "mine" / "a.avi", _frames())
    row = evaluate_pairs(tmp_path, Metrics(by_name={"PSNR-Y": psnr}))["mine"]
    assert row["PSNR-Y"].mean == np.inf


def test_pictures_and_clips_each_count_once(tmp_path: Path) -> None:
    for method, error in (("reference", 0), ("mine", 3)):
        _write_folder(tmp_path / method / "clip", _frames(5, error=error))
        Image.fromarray(_frames(1, error=2 * error)[0]).save(tmp_path / method / "still.png")
    row = evaluate_pairs(tmp_path, Metrics(by_name={"PSNR-Y": psnr}))["mine"]
    clip, still = (psnr(_frames(error=error)[0], _frames()[0]) for error in (3, 6))
    assert row["PSNR-Y"].mean == pytest.approx((clip + still) / 2)


def test_pictures_alone_have_no_steps_in_their_row(tmp_path: Path) -> None:
    for method in ("reference", "mine"):
        (tmp_path / method).mkdir()
        Image.fromarray(_frames(1)[0]).save(tmp_path / method / "a.png")
    row = evaluate_pairs(tmp_path, Metrics(by_name={"PSNR-Y": psnr}, steps={"E_warp": warp_error}))["mine"]
    assert list(row) == ["PSNR-Y"]


@pytest.mark.parametrize(("mine", "clean"), [(2, 3), (3, 2)])
def test_clips_of_two_lengths_are_refused(tmp_path: Path, mine: int, clean: int) -> None:
    _write_folder(tmp_path / "reference" / "a", _frames(clean))
    _write_folder(tmp_path / "mine" / "a", _frames(mine))
    with pytest.raises(InputError, match=r"a: ends after 2 frames, .* goes on"):
        evaluate_pairs(tmp_path, Metrics(by_name={}))


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    _write_folder(tmp_path / "reference" / "a", _frames())
    _write_folder(tmp_path / "mine" / "a", [*_frames(2), _frames()[2][:40]])
    with pytest.raises(InputError, match=r"mine/a: frame 2: is 64x40, its reference 64x48"):
        evaluate_pairs(tmp_path, Metrics(by_name={}))


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    _write_video(tmp_path / "reference" / "a.mkv", _frames())
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"mine/a\.mkv"):
        evaluate_pairs(tmp_path, Metrics(by_name={"PSNR-Y": psnr}))
