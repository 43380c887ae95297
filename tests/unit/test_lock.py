import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vidsr.errors import OutputBusyError, UnwritableError
from vidsr.job.lock import locked

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import pathlib, sys, time
from vidsr.job.lock import locked
with locked(pathlib.Path(sys.argv[1]), what="out.mp4"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "out.vidsr" / "lock"
    with (
        locked(path, what="out.mp4"),
        pytest.raises(OutputBusyError, match=rf"out\.mp4: is being made by process {os.getpid()};"),
        locked(path, what="out.mp4"),
    ):
        pytest.fail("held twice")


def test_nothing_is_left_of_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / "out.vidsr" / "lock", what="x"):
        assert (tmp_path / "out.vidsr" / "lock").read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_something_is_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "out.vidsr" / "lock", what="x"):
        (tmp_path / "out.vidsr" / "part").write_text("")
    assert [path.name for path in (tmp_path / "out.vidsr").iterdir()] == ["part"]


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "out.vidsr" / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputBusyError, match=f"process {process.pid};"), locked(path, what="x"):
            pytest.fail("held twice")
        process.kill()
    assert path.exists()
    with locked(path, what="x"):
        assert path.read_text() == str(os.getpid())


def test_of_many_at_once_one_holds_it_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "out.vidsr" / "lock"
    holders, most, refused = [], [], []

    def work() -> None:
        for _ in range(50):
            try:
                with locked(path, what="x"):
                    holders.append(1)
                    most.append(len(holders))
                    holders.pop()
            except OutputBusyError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) + len(refused) == 200
    assert set(most) == {1}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_its_holder_has_just_removed_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    lock_for_real = fcntl.flock
    others: list[int] = []

    def be_late(descriptor: int, operation: int) -> None:
        if not others:
            # Between our opening and our locking one run ends and another one begins.
            path.unlink()
            others.append(os.open(path, os.O_RDWR | os.O_CREAT))
            lock_for_real(others[0], fcntl.LOCK_EX)
        lock_for_real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", be_late)
    with pytest.raises(OutputBusyError), locked(path, what="x"):
        pytest.fail("held twice")
    os.close(others[0])


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_a_lock_that_cannot_be_made_is_named(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        (tmp_path / "file").write_text("")
    else:
        (tmp_path / "file").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnwritableError, match="file/lock"), locked(tmp_path / "file" / "lock", what="x"):
        pytest.fail("held")
