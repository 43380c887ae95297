"""A name that is no text in any encoding is printed in ASCII, on a terminal that takes nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import corpus

NAME = os.fsdecode(b"caf\xe9 \xff.mp4")
PRINTED = r"caf\udce9 \udcff"
FAST = ("--set", "restore.restorer=bicubic", "--set", "restore.scale=2", "--set", "caption.captioner=none")


@pytest.fixture
def folder(corpus_folder: Path, tmp_path: Path) -> Path:
    content = corpus.make("two_frames", corpus_folder).read_bytes()
    try:
        (tmp_path / NAME).write_bytes(content)
    except OSError:
        pytest.skip("this file system takes text only")
    return tmp_path


def vidsr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Python forgives such names in the C locale only.
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONIOENCODING": "utf-8:strict"}
    return subprocess.run(
        [sys.executable, "-m", "vidsr", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("style", ["json", "plain"])
def test_a_run_prints_its_output(style: str, folder: Path) -> None:
    done = vidsr(folder, "run", NAME, *FAST, "--progress", style)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{PRINTED}_restored.mp4\n"
    written = os.fsdecode(b"caf\xe9 \xff_restored.mp4")
    assert sorted(path.name for path in folder.iterdir()) == sorted([NAME, written])
    if style == "json":
        events = [json.loads(line) for line in done.stderr.splitlines()]
        assert next(event for event in events if event["event"] == "finished")["output"] == written


@pytest.mark.parametrize("arguments", [("probe",), ("plan", *FAST)], ids=lambda arguments: arguments[0])
def test_a_description_names_the_file(arguments: tuple[str, ...], folder: Path) -> None:
    done = vidsr(folder, *arguments, NAME)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{PRINTED}.mp4: ")


@pytest.mark.parametrize("arguments", [("probe",), ("plan", *FAST)], ids=lambda arguments: arguments[0])
def test_json_gives_the_name_back(arguments: tuple[str, ...], folder: Path) -> None:
    done = vidsr(folder, *arguments, NAME, "--json")
    assert done.returncode == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree.get("input", tree)["path"] == NAME
    assert done.stdout.isascii()


def test_an_error_names_the_file(folder: Path) -> None:
    (folder / NAME).write_bytes(b"")
    done = vidsr(folder, "run", NAME)
    assert done.returncode == 3
    assert done.stderr.startswith(f"vidsr: error: {PRINTED}.mp4: ")


def test_every_option_may_hold_such_a_name(folder: Path) -> None:
    (folder / "priors\udcff.yaml").write_text("- {shot: 0, start: 0, stop: 2}")
    named = ("--priors", "priors\udcff.yaml", "-o", "out\udcff.mp4", "--work-dir", "work\udcff")
    done = vidsr(folder, "run", NAME, *FAST, *named)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out\\udcff.mp4\n"
