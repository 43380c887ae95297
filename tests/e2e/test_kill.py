"""SIGKILL at any moment: the same command goes on, and makes what an uninterrupted run makes, to the byte."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import corpus

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

BICUBIC = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "measured",
    "caption.frames_per_shot": 1,
    "encode.preset": "ultrafast",
    "plan.part_frames": 8,
}
XPSR_S = BICUBIC | {"restore.restorer": "xpsr-s", "restore.scale": 4, "plan.part_frames": 16}

CLIPS = ("cuts", "vfr_mp4", "tracks_mkv")
"""Several shots; a variable frame rate; several tracks of sound and subtitles. All have sound."""
SEEDS = 25
DEFAULT_SEEDS = 5
SHARES = 16
"""Tests that share all changes to the disk."""


def command(source: Path, output: Path, overrides: Mapping[str, object]) -> list[str]:
    settings = [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
    return [
        *(sys.executable, "-m", "vidsr", "run", str(source), "-o", str(output)),
        *("--progress", "json", *settings),
    ]


@cache
def uninterrupted(source: Path, restorer: str) -> tuple[bytes, int]:
    """Return the output of a run that nothing happens to, and how many lines it says."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / f"out{source.suffix}"
        done = subprocess.run(
            command(source, output, XPSR_S if restorer == "xpsr-s" else BICUBIC),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=True,
        )
        return output.read_bytes(), len(done.stderr.splitlines())


def kill_at_random(arguments: list[str], chance: random.Random, *, num_lines: int) -> list[str]:
    """Start the command again and again until it is killed before its end; return the one that was killed.

    Where one came to its end first, the next ones replace what it made.
    """
    while True:
        line, delay = chance.randrange(num_lines), chance.uniform(0, 0.02)
        with subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as process:
            assert process.stderr is not None
            for _ in range(line):
                process.stderr.readline()
            time.sleep(delay)
            process.kill()
            process.communicate()
        if process.returncode == -signal.SIGKILL:
            return arguments
        assert process.returncode == 0
        arguments = [*arguments, "--overwrite"]


def check_one_kill(source: Path, folder: Path, *, seed: int, restorer: str = "bicubic") -> None:
    whole, num_lines = uninterrupted(source, restorer)
    output = folder / f"out{source.suffix}"
    arguments = command(source, output, XPSR_S if restorer == "xpsr-s" else BICUBIC)
    arguments = kill_at_random(arguments, random.Random(seed), num_lines=num_lines)
    assert not output.exists() or output.read_bytes() == whole, "half an output has its name"
    check_second_run(arguments, output, whole)


def check_second_run(arguments: list[str], output: Path, whole: bytes) -> bool:
    """Run the command of a killed run again; return whether there was anything left to do.

    Where that one had come to its end, but for removing its locks, the second one may say that the output is
    there. Either way it is whole, and nothing else is left.
    """
    was_over = output.exists() and not unfinished_files(output)
    again = subprocess.run(arguments, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    if was_over and "--overwrite" not in arguments:
        assert again.returncode == 2
        assert "exists already" in again.stderr
    else:
        assert again.returncode == 0, again.stderr
    assert output.read_bytes() == whole
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    return not was_over


def unfinished_files(output: Path) -> list[Path]:
    """Return what lies beside an output and says something of it, as the locks of a killed run do not."""
    found = (path for path in output.parent.rglob("*") if path.is_file())
    return [path for path in found if path != output and path.name != "lock"]


def marked_slow_from(start: int, stop: int) -> list[object]:
    slow = pytest.mark.slow
    return [pytest.param(number, marks=[] if number < start else [slow]) for number in range(stop)]


@pytest.mark.parametrize("seed", marked_slow_from(DEFAULT_SEEDS, SEEDS))
def test_a_killed_run_goes_on_and_makes_the_same(seed: int, corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make(CLIPS[seed % len(CLIPS)], corpus_folder)
    check_one_kill(source, tmp_path, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_run_of_a_model_goes_on_and_makes_the_same(
    seed: int, corpus_folder: Path, tmp_path: Path
) -> None:
    check_one_kill(corpus.make("cuts", corpus_folder), tmp_path, seed=100 + seed, restorer="xpsr-s")


SUICIDE = """
import os, signal, sys

def kill_myself_before(event, arguments):
    global left
    if event in {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"} and folder in str(arguments[0]):
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

folder, left = sys.argv.pop(1), int(sys.argv.pop(1))
sys.addaudithook(kill_myself_before)
from vidsr.cli import main
try:
    main()
finally:
    print(left)
"""
"""Runs vidsr, and kills it right before it changes the file system under a folder for the n-th time."""


def kill_before_change(
    arguments: list[str], folder: Path, *, number: int
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", SUICIDE, str(folder), str(number), *arguments[3:]]
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)


@pytest.mark.parametrize("first", marked_slow_from(1, SHARES))
def test_a_run_can_be_killed_before_each_of_its_changes_to_the_disk(
    first: int, corpus_folder: Path, tmp_path: Path
) -> None:
    source = corpus.make("vfr_mp4", corpus_folder)
    overrides = BICUBIC | {"plan.part_frames": 40}
    (tmp_path / "whole").mkdir()
    straight = kill_before_change(
        command(source, tmp_path / "whole" / "out.mp4", overrides), tmp_path / "whole", number=10_000
    )
    assert straight.returncode == 0, straight.stderr
    num_changes = 10_000 - int(straight.stdout.split()[-1])
    whole = (tmp_path / "whole" / "out.mp4").read_bytes()
    numbers = range(num_changes - 1 - first, 0, -SHARES)
    num_resumed = 0
    for number in numbers:
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = command(source, folder / "out.mp4", overrides)
        assert kill_before_change(arguments, folder, number=number).returncode == -signal.SIGKILL
        num_resumed += check_second_run(arguments, folder / "out.mp4", whole)
    assert num_resumed >= len(numbers) - 4
