from dataclasses import replace
from pathlib import Path

import pytest

from vidsr.errors import OtherWorkError, OutputBusyError
from vidsr.job.identity import JobIdentity
from vidsr.job.lock import locked
from vidsr.job.unfinished import (
    clean,
    lock_path,
    refuse_other_work,
    remove_bare,
    state_folder,
    unfinished_path,
)
from vidsr.job.work_folder import WorkFolder

JOB = JobIdentity(
    input_path="in.mp4",
    input_sha256="a",
    config={"restore": {"scale": 2}},
    weights="none",
    versions={"vidsr": "1"},
)
OTHER = replace(JOB, config={"restore": {"scale": 4}})


def leave_work(output: Path, work_dir: Path, job: JobIdentity = JOB) -> WorkFolder:
    folder = WorkFolder(work_dir, job.key)
    folder.create(job, output=output)
    folder.plan_path.write_text("{}")
    (folder.root / "parts" / "00000.json").write_text("{}")
    (folder.root / "parts" / "00000.mkv").write_bytes(b"segment")
    return folder


def test_own_work_is_not_in_the_way_and_other_work_is(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    leave_work(output, state_folder(output))
    refuse_other_work(output, state_folder(output), JOB)
    with pytest.raises(OtherWorkError, match=r"restore\.scale was 2 and is 4; .*--no-resume.*vidsr clean"):
        refuse_other_work(output, state_folder(output), OTHER)


def test_in_a_shared_folder_the_work_of_other_outputs_is_not_in_the_way(tmp_path: Path) -> None:
    leave_work(tmp_path / "a.mp4", tmp_path / "work")
    refuse_other_work(tmp_path / "b.mp4", tmp_path / "work", OTHER)
    with pytest.raises(OtherWorkError):
        refuse_other_work(tmp_path / "a.mp4", tmp_path / "work", OTHER)


def test_what_was_killed_before_it_had_a_plan_is_in_nobodys_way(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = leave_work(output, state_folder(output))
    folder.plan_path.unlink()
    empty = state_folder(output) / "0123456789abcdef"
    empty.mkdir()
    (empty / "lock").touch()
    refuse_other_work(output, state_folder(output), OTHER)
    assert not folder.root.exists()
    assert not empty.exists()


def test_a_folder_with_nothing_but_a_lock_is_removed_and_one_with_work_is_not(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    work = leave_work(output, state_folder(output))
    bare = state_folder(output) / "0123456789abcdef"
    bare.mkdir()
    (bare / "lock").touch()
    remove_bare(output, state_folder(output))
    assert not bare.exists()
    assert work.num_records == 1


def test_clean_removes_the_unfinished_work_and_says_so(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"an older output")
    root = leave_work(output, state_folder(output)).root
    unfinished_path(output).write_bytes(b"half")
    cleaned = clean(output)
    assert list(cleaned.removed) == [
        f"{root}: unfinished work, 1 part",
        f"{unfinished_path(output)}: an output that was not verified",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert output.read_bytes() == b"an older output"


def test_clean_without_work_does_nothing(tmp_path: Path) -> None:
    assert clean(tmp_path / "out.mp4").removed == ()
    assert list(tmp_path.iterdir()) == []


def test_clean_leaves_what_is_not_ours(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    root = leave_work(output, state_folder(output)).root
    mine = [state_folder(output) / "notes.txt", state_folder(output) / "0123456789abcdef.txt"]
    inside = [root / "notes.txt"]
    for path in (*mine, *inside):
        path.write_text("mine")
    cleaned = clean(output)
    assert cleaned.left == inside
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*mine, *inside])


def test_clean_of_a_shared_folder_leaves_the_work_of_other_outputs(tmp_path: Path) -> None:
    work_dir = tmp_path / "work"
    kept = leave_work(tmp_path / "a.mp4", work_dir)
    leave_work(tmp_path / "b.mp4", work_dir, OTHER)
    clean(tmp_path / "b.mp4", work_dir)
    assert list(work_dir.iterdir()) == [kept.root]
    assert (kept.root / "parts" / "00000.mkv").exists()


def test_clean_does_not_touch_a_run_that_is_at_work(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    folder = leave_work(output, state_folder(output))
    with locked(lock_path(output), what=str(output)), pytest.raises(OutputBusyError, match="process"):
        clean(output)
    with locked(folder.lock_path, what=str(output)), pytest.raises(OutputBusyError, match="process"):
        clean(output)
    assert (folder.root / "parts" / "00000.mkv").exists()
