"""The conformance run takes a folder of further files, and fails where they are not what is expected."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import corpus

ROOT = Path(__file__).resolve().parents[2]


def conformance(folder: Path) -> tuple[int, str]:
    """Return the exit code of the conformance tests of `folder` alone, and what they print."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "folder-"]
    done = subprocess.run(
        [*command, "tests/e2e/test_classes.py"],
        env=os.environ | {"VIDSR_CORPUS_DIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture
def folder(corpus_folder: Path, tmp_path: Path) -> Path:
    shutil.copy(corpus.make("two_frames", corpus_folder), tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4.yaml").write_text("{exit_code: 0, num_frames: 2, times: [0, 0.04], width: 320}")
    (tmp_path / "broken.mkv").write_bytes(bytes(100))
    (tmp_path / "broken.mkv.json").write_text('{"exit_code": 3, "says": ["not a media file"]}')
    return tmp_path


def test_files_of_a_folder_pass_as_expected(folder: Path) -> None:
    code, text = conformance(folder)
    assert code == 0, text
    assert "11 passed" in text


@pytest.mark.parametrize(
    ("name", "expectation", "failing"),
    [
        ("clip.mp4", "{exit_code: 0, num_frames: 3}", "test_every_frame_has_its_time"),
        ("clip.mp4", "{exit_code: 4, says: [damaged]}", "test_it_ends_with_its_exit_code"),
        ("broken.mkv", "{exit_code: 5}", "test_what_cannot_be_restored_is_refused"),
        ("clip.mp4", "{exit_code: 0, frames: 2}", "ExpectationError"),
    ],
)
def test_a_wrong_expectation_fails(name: str, expectation: str, failing: str, folder: Path) -> None:
    for suffix in (".yaml", ".json"):
        (folder / (name + suffix)).unlink(missing_ok=True)
    (folder / f"{name}.yaml").write_text(expectation)
    code, text = conformance(folder)
    assert code != 0
    assert failing in text
