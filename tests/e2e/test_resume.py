"""What an earlier run left is taken up, checked first, where it is of the same job, and refused elsewhere."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import vidsr
from tests import corpus, scans
from tests.overrides import QUICK_PARTS
from vidsr import events
from vidsr.api import resolve
from vidsr.errors import OtherWorkError, OutputExistsError, Stopped
from vidsr.job.job import Job, Report
from vidsr.job.run import run
from vidsr.job.work_folder import WorkFolder
from vidsr.stopping import stop_on_signals

OVERRIDES = QUICK_PARTS | {"caption.captioner": "measured", "caption.frames_per_shot": 1}


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run makes that nothing comes in between of."""
    return vidsr.enhance(
        clip, tmp_path_factory.mktemp("whole") / "out.mp4", overrides=OVERRIDES
    ).output.read_bytes()


def stop_at(kind: type[events.Event]) -> events.Listener:
    """Send this process SIGTERM at the first event of a kind."""

    def listen(event: events.Event) -> None:
        if isinstance(event, kind):
            os.kill(os.getpid(), signal.SIGTERM)

    return listen


def stopped_at(kind: type[events.Event], clip: Path, output: Path, **arguments: object) -> None:
    with pytest.raises(Stopped, match="SIGTERM") as caught, stop_on_signals():
        vidsr.enhance(clip, output, on_event=stop_at(kind), **{"overrides": OVERRIDES, **arguments})
    assert caught.value.exit_code == 143
    assert not output.exists()


@pytest.fixture
def stopped(clip: Path, tmp_path: Path) -> Path:
    """The output of a run that was stopped when all parts were finished."""
    stopped_at(events.Assembling, clip, tmp_path / "out.mp4")
    return tmp_path / "out.mp4"


def folder_of(output: Path) -> Path:
    (folder,) = (path for path in output.with_name(output.name + ".vidsr").iterdir() if path.is_dir())
    return folder


def resumed(clip: Path, output: Path) -> tuple[Report, list[events.Event]]:
    seen: list[events.Event] = []
    report = vidsr.enhance(clip, output, overrides=OVERRIDES, on_event=seen.append)
    assert sorted(path.name for path in output.parent.iterdir()) == [output.name]
    return report, seen


@pytest.mark.parametrize("is_torn", [False, True])
def test_filtered_pictures_are_kept_and_checked(is_torn: bool, corpus_folder: Path, tmp_path: Path) -> None:
    source = scans.make("upper.mp4", corpus_folder)
    (tmp_path / "whole").mkdir()
    straight = vidsr.enhance(source, tmp_path / "whole" / "out.mkv", overrides=OVERRIDES).output.read_bytes()
    output = tmp_path / "stopped" / "out.mkv"
    output.parent.mkdir()
    stopped_at(events.PartFinished, source, output)
    filtered = folder_of(output) / "filtered.mkv"
    if is_torn:
        filtered.write_bytes(filtered.read_bytes()[:-100])
    report, seen = resumed(source, output)
    assert report.num_parts_reused > 0
    assert output.read_bytes() == straight
    assert [event.is_plan_reused for event in seen if isinstance(event, events.Planned)] == [not is_torn]


def test_a_stop_while_a_torn_plan_is_made_anew_keeps_what_is_finished(
    clip: Path, stopped: Path, whole: bytes
) -> None:
    (folder_of(stopped) / "plan.json").write_bytes(b"")
    stopped_at(events.Indexing, clip, stopped)
    report, _ = resumed(clip, stopped)
    assert report.num_parts_reused == report.num_parts
    assert stopped.read_bytes() == whole


@pytest.mark.parametrize(
    "kind", [events.Indexing, events.Captioned, events.Restored, events.PartFinished, events.Assembling]
)
def test_a_run_can_be_stopped_at_every_stage_and_goes_on(
    kind: type[events.Event], clip: Path, tmp_path: Path, whole: bytes
) -> None:
    output = tmp_path / "out.mp4"
    stopped_at(kind, clip, output)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ([] if kind is events.Indexing else ["out.mp4.vidsr"])
    assert resumed(clip, output)[0].output.read_bytes() == whole


def test_a_stop_during_verification_leaves_nothing_at_the_destination(
    clip: Path, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidsr.job import publish

    original = publish.verify

    def verify(*arguments, **others):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **others)

    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(publish, "verify", verify)
        with pytest.raises(Stopped, match="SIGINT"), stop_on_signals():
            vidsr.enhance(clip, output, overrides=OVERRIDES)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.vidsr"]
    assert [path.name for path in (tmp_path / "out.mp4.vidsr").iterdir()] == [folder_of(output).name]
    assert resumed(clip, output)[0].output.read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "content", "is_asked_again"),
    [("plan.json", b"", False), ("plan.json", b'{"format": 1, ', False), ("priors.yaml", None, True)],
)
def test_a_torn_file_is_made_anew_and_changes_nothing(
    name: str, content: bytes | None, is_asked_again: bool, clip: Path, stopped: Path, whole: bytes
) -> None:
    path = folder_of(stopped) / name
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    report, seen = resumed(clip, stopped)
    assert report.num_parts_reused == report.num_parts
    assert any(isinstance(event, events.Captioned) for event in seen) == is_asked_again
    warned = [event.message for event in seen if isinstance(event, events.Warned)]
    assert [line for line in warned if "plan.json: is damaged" in line] == warned
    assert bool(warned) == (name == "plan.json")
    assert stopped.read_bytes() == whole


def test_torn_records_and_segments_are_made_again_and_the_rest_is_kept(
    clip: Path, stopped: Path, whole: bytes
) -> None:
    parts = folder_of(stopped) / "parts"
    (parts / "00000.json").write_text("")
    (parts / "00001.mkv").write_bytes((parts / "00001.mkv").read_bytes()[:-1])
    (parts / "00002.mkv").unlink()
    (parts / "00003.json").unlink()
    (parts / "00003.mkv.part").write_bytes(b"half")
    shutil.copy(parts / "00005.mkv", parts / "00004.mkv")
    report, _ = resumed(clip, stopped)
    assert report.num_parts - report.num_parts_reused == 5
    assert stopped.read_bytes() == whole


def test_a_vanished_work_folder_is_a_new_start(clip: Path, stopped: Path, whole: bytes) -> None:
    shutil.rmtree(stopped.with_name("out.mp4.vidsr"))
    assert resumed(clip, stopped)[0].num_parts_reused == 0
    assert stopped.read_bytes() == whole


def test_a_work_folder_that_was_moved_with_its_output_is_taken_up(
    clip: Path, stopped: Path, tmp_path: Path, whole: bytes
) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    stopped.with_name("out.mp4.vidsr").rename(moved / "out.mp4.vidsr")
    report, _ = resumed(clip, moved / "out.mp4")
    assert report.num_parts_reused == report.num_parts
    assert report.output.read_bytes() == whole


def test_another_setting_is_refused_with_what_differs_until_told_not_to_resume(
    clip: Path, stopped: Path
) -> None:
    before = sorted(stopped.parent.rglob("*"))
    other = OVERRIDES | {"encode.crf": 30, "restore.scale": 3}
    with pytest.raises(
        OtherWorkError,
        match=r"encode\.crf was 18\.0 and is 30\.0, restore\.scale was 2 and is 3; run that job",
    ):
        vidsr.enhance(clip, stopped, overrides=other)
    assert sorted(stopped.parent.rglob("*")) == before
    report = vidsr.enhance(clip, stopped, overrides=other, resume=False)
    assert report.num_parts_reused == 0
    assert [path.name for path in stopped.parent.iterdir()] == ["out.mp4"]


def test_pictures_at_another_rate_are_another_job(tmp_path: Path) -> None:
    Image.new("RGB", (48, 32)).save(tmp_path / "0.png")
    source, output = tmp_path / "%d.png", tmp_path / "out.mkv"
    stopped_at(events.Assembling, source, output, overrides=OVERRIDES | {"plan.frame_rate": 24})
    with pytest.raises(OtherWorkError, match=r'plan\.frame_rate was "24" and is "24000/1001"'):
        vidsr.enhance(source, output, overrides=OVERRIDES | {"plan.frame_rate": "24000/1001"})


def test_work_is_not_thrown_away_for_an_output_that_is_refused(clip: Path, stopped: Path) -> None:
    stopped.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        vidsr.enhance(clip, stopped, overrides=OVERRIDES, resume=False)
    assert len(list(folder_of(stopped).glob("parts/*.mkv"))) == 8
    report = vidsr.enhance(clip, stopped, overrides=OVERRIDES, overwrite=True)
    assert report.num_parts_reused == report.num_parts


def test_another_input_under_the_same_name_is_refused(
    clip: Path, tmp_path: Path, corpus_folder: Path
) -> None:
    source = tmp_path / "in.mp4"
    shutil.copy(clip, source)
    stopped_at(events.PartFinished, source, tmp_path / "out.mp4")
    shutil.copy(corpus.make("cfr", corpus_folder), source)
    with pytest.raises(OtherWorkError, match=r"the input was other bytes \(.*in\.mp4\)"):
        vidsr.enhance(source, tmp_path / "out.mp4", overrides=OVERRIDES)


def test_how_the_work_is_done_is_no_other_job(clip: Path, stopped: Path) -> None:
    changes = {"restore.batch_parts": 3, "run.stall_seconds": 60}
    report = vidsr.enhance(clip, stopped, overrides=OVERRIDES | changes)
    assert report.num_parts_reused == report.num_parts


def test_one_folder_may_hold_the_work_of_several_outputs(clip: Path, tmp_path: Path, whole: bytes) -> None:
    work_dir = tmp_path / "work"
    stopped_at(events.PartFinished, clip, tmp_path / "a.mp4", work_dir=work_dir)
    vidsr.enhance(clip, tmp_path / "b.mp4", overrides=OVERRIDES | {"encode.crf": 30}, work_dir=work_dir)
    report = vidsr.enhance(clip, tmp_path / "a.mp4", overrides=OVERRIDES, work_dir=work_dir)
    assert report.num_parts_reused > 0
    assert report.output.read_bytes() == whole
    assert list(work_dir.iterdir()) == []


@pytest.fixture
def published(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of a run that was stopped when it was there and its work folder was not removed yet."""

    def stop(folder: WorkFolder) -> None:
        msg = "stopped"
        raise Stopped(msg, signal_number=15)

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "remove", stop)
        with pytest.raises(Stopped):
            vidsr.enhance(clip, tmp_path / "out.mp4", overrides=OVERRIDES)
    return tmp_path / "out.mp4"


def test_a_run_that_was_stopped_after_its_end_is_done(clip: Path, published: Path, whole: bytes) -> None:
    assert published.read_bytes() == whole
    report, seen = resumed(clip, published)
    assert [type(event) for event in seen] == [events.Finished, events.Ended]
    assert (report.output, report.num_frames, report.exit_code) == (published, 50, 0)
    assert published.read_bytes() == whole


def test_a_run_of_another_job_does_not_take_a_finished_output_for_its_own(
    clip: Path, published: Path
) -> None:
    other = OVERRIDES | {"encode.crf": 30}
    with pytest.raises(OutputExistsError, match="--overwrite"):
        vidsr.enhance(clip, published, overrides=other)
    # What was left of the finished one is in nobody's way.
    assert [path.name for path in published.parent.iterdir()] == ["out.mp4"]


def test_an_output_that_came_from_elsewhere_is_not_taken_for_the_finished_one(
    clip: Path, published: Path
) -> None:
    published.unlink()
    published.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        vidsr.enhance(clip, published, overrides=OVERRIDES)
    assert published.read_bytes() == b"precious"


def test_the_published_mark_alone_is_enough(clip: Path, published: Path) -> None:
    """The removal of a work folder may be stopped after every one of its steps."""
    folder = folder_of(published)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.name != "published.json":
            path.unlink()
    assert resumed(clip, published)[0].num_frames == 50


def test_who_wants_to_know_of_an_output_is_told_before_its_work_folder_is_gone(
    clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    states: list[tuple[bool, bool]] = []

    def on_published(_key: str, _report: Report) -> None:
        states.append((output.exists(), output.with_name("out.mp4.vidsr").exists()))

    run(Job(input=clip, output=output), resolve("enhance", OVERRIDES), on_published=on_published)
    assert states == [(True, True)]


def test_the_command_line_refuses_cleans_and_starts_anew(clip: Path, stopped: Path) -> None:
    def vidsr_says(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "vidsr", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            check=False,
        )
        return done.returncode, done.stdout

    options = [word for key, value in OVERRIDES.items() for word in ("--set", f"{key}={value}")]
    run_words = [
        "run",
        str(clip),
        "-o",
        str(stopped),
        *options,
        "--set",
        "encode.crf=30",
        "--progress",
        "none",
    ]
    code, said = vidsr_says(*run_words)
    assert (code, "encode.crf was 18.0 and is 30.0" in said) == (2, True), said
    assert not stopped.exists()
    root = folder_of(stopped)
    assert vidsr_says("clean", str(stopped)) == (0, f"removed {root}: unfinished work, 8 parts\n")
    assert list(stopped.parent.iterdir()) == []
    assert vidsr_says("clean", str(stopped)) == (0, f"{stopped}: there is no unfinished work\n")
    stopped_at(events.PartFinished, clip, stopped)
    assert vidsr_says(*run_words, "--no-resume") == (0, f"{stopped}\n")
    assert [path.name for path in stopped.parent.iterdir()] == [stopped.name]
