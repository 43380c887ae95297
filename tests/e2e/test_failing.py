"""What can go wrong while it runs: an error of its own, the state kept, nothing at the destination."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest

import vidsr
from tests import corpus
from tests.overrides import QUICK_PARTS
from vidsr import events
from vidsr.api import resolve
from vidsr.errors import (
    DiskFullError,
    MemoryExhaustedError,
    OutputBusyError,
    PartError,
    RefusedByCodecError,
    StalledError,
    UnwritableError,
    VidsrError,
    WorkFolderLostError,
)
from vidsr.job import watchdog
from vidsr.job.job import Job, Stages
from vidsr.job.run import run
from vidsr.restore.protocol import Restorer
from vidsr.types import Done, Work


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("whole") / "out.mp4"
    return vidsr.enhance(clip, output, overrides=QUICK_PARTS).output.read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("needs the right to mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_a_full_disk_keeps_what_is_finished_and_leaves_nothing_else(
    clip: Path, tmp_path: Path, small_disk: Path, whole: bytes
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(DiskFullError, match=rf"{small_disk}.*the disk is full; free some space") as caught:
        vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=small_disk)
    assert caught.value.exit_code == 75
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]
    kept = {path.suffix for path in small_disk.rglob("parts/*")}
    assert kept <= {".mkv", ".json"}
    remount(small_disk, "size=10m")
    report = vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=small_disk)
    assert report.num_parts_reused > 0
    assert output.read_bytes() == whole
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_keeps_what_is_finished(
    clip: Path, tmp_path: Path, whole: bytes
) -> None:
    """As above, where no file system can be mounted."""
    output = tmp_path / "out.mp4"
    finished: list[int] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Captioned) and event.shot_index == 0:
            (parts,) = (tmp_path / "out.mp4.vidsr").glob("*/parts")
            (parts / "00003.mkv.part").symlink_to("/dev/full")
        if isinstance(event, events.PartFinished):
            finished.append(event.part_index)

    with pytest.raises(DiskFullError, match=r"00003\.mkv: the disk is full"):
        vidsr.enhance(clip, output, overrides=QUICK_PARTS, on_event=listen)
    assert finished
    assert not output.exists()
    assert not list(tmp_path.rglob("*.part"))
    report = vidsr.enhance(clip, output, overrides=QUICK_PARTS)
    assert report.num_parts_reused >= len(finished)
    assert output.read_bytes() == whole


def test_a_disk_that_is_full_for_the_output_alone_keeps_all_parts(
    clip: Path, tmp_path: Path, small_disk: Path, whole: bytes
) -> None:
    output = small_disk / "out.mp4"
    with pytest.raises(DiskFullError, match=str(output)):
        vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=tmp_path / "work")
    assert list(small_disk.iterdir()) == []
    remount(small_disk, "size=10m")
    report = vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=tmp_path / "work")
    assert report.num_parts_reused == report.num_parts
    assert output.read_bytes() == whole


def test_a_read_only_output_is_refused_before_any_work(clip: Path, small_disk: Path) -> None:
    remount(small_disk, "ro")
    seen: list[events.Event] = []
    with pytest.raises(UnwritableError, match=f"the folder {small_disk} cannot be written to") as caught:
        vidsr.enhance(clip, small_disk / "out.mp4", overrides=QUICK_PARTS, on_event=seen.append)
    assert caught.value.exit_code == 5
    assert [type(event) for event in seen] == [events.Ended]


def test_an_output_that_cannot_be_written_in_the_end_keeps_all_parts(
    clip: Path, tmp_path: Path, whole: bytes
) -> None:
    output = tmp_path / "out.mp4"
    state = tmp_path / "out.mp4.vidsr"

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Assembling):
            state.rename(tmp_path / "aside")
            state.write_text("in the way")

    arguments = {"overrides": QUICK_PARTS, "work_dir": tmp_path / "work"}
    with pytest.raises(UnwritableError, match=r"out\.mp4: cannot be written"):
        vidsr.enhance(clip, output, on_event=listen, **arguments)
    assert state.read_text() == "in the way"
    state.unlink()
    report = vidsr.enhance(clip, output, **arguments)
    assert report.num_parts_reused == report.num_parts
    assert report.output.read_bytes() == whole


def test_work_and_output_may_be_on_different_file_systems(
    clip: Path, tmp_path: Path, small_disk: Path, whole: bytes
) -> None:
    remount(small_disk, "size=10m")
    assert small_disk.stat().st_dev != tmp_path.stat().st_dev
    report = vidsr.enhance(clip, tmp_path / "out.mp4", overrides=QUICK_PARTS, work_dir=small_disk)
    assert report.output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out.mp4"]


@pytest.mark.parametrize("kind", [events.Captioned, events.PartFinished, events.Assembling])
def test_a_work_folder_that_vanishes_is_named_and_ends_the_run_at_once(
    kind: type[events.Event], clip: Path, tmp_path: Path, whole: bytes
) -> None:
    output = tmp_path / "out.mp4"
    finished: list[int] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, kind):
            shutil.rmtree(tmp_path / "work", ignore_errors=True)
        if isinstance(event, events.PartFinished):
            finished.append(event.part_index)

    with pytest.raises(WorkFolderLostError, match=f"{tmp_path / 'work'}.* vanished") as caught:
        vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=tmp_path / "work", on_event=listen)
    assert caught.value.exit_code == 75
    assert not output.exists()
    assert len(finished) < 8 or kind is events.Assembling
    assert vidsr.enhance(clip, output, overrides=QUICK_PARTS).output.read_bytes() == whole


def test_two_runs_at_once_on_one_output_are_told_apart(clip: Path, tmp_path: Path, whole: bytes) -> None:
    output = tmp_path / "out.mp4"
    refused: list[str] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.PartFinished) and not refused:
            with pytest.raises(OutputBusyError) as caught:
                vidsr.enhance(clip, output, overrides=QUICK_PARTS, work_dir=tmp_path / "other")
            refused.append(str(caught.value))

    vidsr.enhance(clip, output, overrides=QUICK_PARTS, on_event=listen)
    assert refused == [f"{output}: is being made by process {os.getpid()}; wait for it, or stop it"]
    assert output.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_two_outputs_of_one_job_do_not_share_a_work_folder_at_once(clip: Path, tmp_path: Path) -> None:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.PartFinished):
            with pytest.raises(OutputBusyError, match="process"):
                vidsr.enhance(clip, tmp_path / "b.mp4", overrides=QUICK_PARTS, work_dir=tmp_path / "work")

    vidsr.enhance(
        clip, tmp_path / "a.mp4", overrides=QUICK_PARTS, work_dir=tmp_path / "work", on_event=listen
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_codec_that_refuses_does_so_before_any_work(tmp_path: Path) -> None:
    source = tmp_path / "wide.mkv"
    make = ["-f", "lavfi", "-i", "testsrc2=s=8400x16:d=0.1", "-c:v", "ffv1", str(source)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *make], check=True)
    seen: list[events.Event] = []
    with pytest.raises(
        RefusedByCodecError,
        match=r"libx264 refuses pictures of 16800x32 .*--set encode\.codec",
    ) as caught:
        vidsr.enhance(source, tmp_path / "out.mkv", overrides=QUICK_PARTS, on_event=seen.append)
    assert caught.value.exit_code == 2
    assert not any(isinstance(event, events.Captioned | events.Restored) for event in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["wide.mkv"]


class Failing:
    """A restorer that fails at frame 30, `times` times in all."""

    def __init__(self, restorer: Restorer, error: Exception, times: list[int]) -> None:
        self._restorer = restorer
        self._error = error
        self._times = times

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        if any(work.frame.index == 30 for work in batch) and self._times[0]:
            self._times[0] -= 1
            raise self._error
        return self._restorer.step(batch)


def failing(error: Exception, *, times: int) -> Stages:
    stages = resolve("enhance", QUICK_PARTS)
    left = [times]
    make = stages.restorer.make
    return replace(stages, restorer=replace(stages.restorer, make=lambda: Failing(make(), error, left)))


def test_a_part_that_fails_once_is_tried_again(clip: Path, tmp_path: Path, whole: bytes) -> None:
    seen: list[events.Event] = []
    stages = failing(ZeroDivisionError("no"), times=1)
    report = run(Job(input=clip, output=tmp_path / "out.mp4"), stages, on_event=seen.append)
    warned = [event.message for event in seen if isinstance(event, events.Warned)]
    assert len(warned) == 1
    assert "restoring failed with ZeroDivisionError: no; it is tried once more" in warned[0]
    assert report.output.read_bytes() == whole


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [(ZeroDivisionError("no"), PartError, 1), (MemoryExhaustedError("no"), MemoryExhaustedError, 75)],
)
def test_a_part_that_always_fails_is_named_and_all_others_are_finished(
    error: Exception, kind: type[VidsrError], exit_code: int, clip: Path, tmp_path: Path, whole: bytes
) -> None:
    job = Job(input=clip, output=tmp_path / "out.mp4")
    with pytest.raises(
        kind, match=r"1 of 8 parts failed, also .* part \d \(frames .*no.*only these"
    ) as caught:
        run(job, failing(error, times=99))
    assert caught.value.exit_code == exit_code
    assert not (tmp_path / "out.mp4").exists()
    report = run(job, resolve("enhance", QUICK_PARTS))
    assert report.num_parts - report.num_parts_reused == 1
    assert report.output.read_bytes() == whole


def test_an_input_that_changes_is_not_tried_again(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    shutil.copy(clip, source)
    seen: list[events.Event] = []

    def listen(event: events.Event) -> None:
        seen.append(event)
        if isinstance(event, events.Planned):
            shutil.copy(corpus.make("cfr", clip.parent), source)

    with pytest.raises(VidsrError, match="the file has changed") as caught:
        vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK_PARTS, on_event=listen)
    assert caught.value.exit_code == 3
    assert not any(isinstance(event, events.Warned) for event in seen)


class Held:
    """A restorer that never comes back from frame 30 unless it is let go."""

    def __init__(self, restorer: Restorer, let_go: threading.Event) -> None:
        self._restorer = restorer
        self._let_go = let_go

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        if batch[0].frame.index == 30:
            self._let_go.wait()
        return self._restorer.step(batch)


def test_a_stalled_stage_is_named_and_its_process_can_be_ended(
    clip: Path, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE_SECONDS", 0.1)
    let_go = threading.Event()
    told: list[VidsrError] = []

    def on_hang(error: VidsrError) -> None:
        told.append(error)
        let_go.set()

    stages = resolve("enhance", QUICK_PARTS)
    make = stages.restorer.make
    held = replace(stages.restorer, make=lambda: Held(make(), let_go))
    job = Job(input=clip, output=tmp_path / "out.mp4")
    with pytest.raises(StalledError, match=r"restoring: nothing has moved for 5 s") as caught:
        run(job, replace(stages, restorer=held, stall_seconds=5.0), on_hang=on_hang)
    assert caught.value.exit_code == 75
    assert told == [caught.value]
    report = run(job, stages)
    assert report.num_parts_reused > 0
    assert report.output.read_bytes() == whole


STALLING = """
import sys, time
from dataclasses import replace
from vidsr import api, cli
from vidsr.job import watchdog
watchdog.PATIENCE_SECONDS = 0.1
resolve = api.resolve

class Held:
    def step(self, batch):
        time.sleep(600)

def resolve_held(*arguments):
    stages = resolve(*arguments)
    return replace(stages, restorer=replace(stages.restorer, make=Held))

api.resolve = resolve_held
cli.main()
"""


def test_a_stalled_command_ends_by_itself(clip: Path, tmp_path: Path) -> None:
    settings = QUICK_PARTS | {"run.stall_seconds": 5}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [sys.executable, "-c", STALLING, "run", str(clip), "-o", str(tmp_path / "out.mp4"), *options],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert "vidsr: error: restoring: nothing has moved for 5 s" in done.stderr
    assert not (tmp_path / "out.mp4").exists()
