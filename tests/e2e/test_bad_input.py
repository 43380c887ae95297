"""Bad input: the documented exit code, one clear line, nothing left behind."""

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests import corpus


def run_vidsr(
    *arguments: str | Path, cwd: Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; `more` goes into its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDSR_")}
    environment |= more or {}
    return subprocess.run(
        [sys.executable, "-m", "vidsr", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def clip(corpus_folder: Path) -> Path:
    return corpus.make("cfr", corpus_folder)


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 50)
    (tmp_path / "folder.mp4").mkdir()
    sine = ["-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", str(tmp_path / "sound.m4a")]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *sine], check=True)
    return tmp_path


BICUBIC = ("--restorer", "bicubic", "--scale", "2", "--set", "caption.captioner=none")
CASES = {
    "missing file": (["run", "missing.mp4"], 3, "missing.mp4"),
    "folder": (["run", "folder.mp4"], 3, "folder"),
    "text file": (["run", "text.mp4"], 3, "text.mp4"),
    "empty file": (["run", "empty.mp4"], 3, "empty"),
    "audio only": (["run", "sound.m4a"], 3, "sound.m4a"),
    "unknown option": (["run", "clip.mp4", "--sacle", "2"], 2, "--sacle"),
    "unknown command": (["rnu", "clip.mp4"], 2, "rnu"),
    "no input": (["run"], 2, "INPUT"),
    "unknown key": (["run", "clip.mp4", "--set", "restore.stpes=1"], 2, "did you mean steps"),
    "unknown pipeline": (["run", "clip.mp4", "--pipeline", "enhanc"], 2, "did you mean enhance"),
    "unknown restorer": (["run", "clip.mp4", "--restorer", "magic"], 2, "magic"),
    "unknown scale": (["run", "clip.mp4", "--scale", "7"], 2, "7"),
    "unknown progress": (["run", "clip.mp4", "--progress", "loud"], 2, "loud"),
    "unknown codec": (["run", "clip.mp4", *BICUBIC, "--set", "encode.codec=h265x"], 2, "h265x"),
    "output is the input": (
        ["run", "clip.mp4", *BICUBIC, "-o", "clip.mp4", "--overwrite"],
        2,
        "the input itself",
    ),
    "output exists": (["run", "clip.mp4", *BICUBIC, "-o", "there.mp4"], 2, "exists already"),
    "output in no folder": (["run", "clip.mp4", *BICUBIC, "-o", "nowhere/out.mp4"], 5, "nowhere"),
    "output is a folder": (["run", "clip.mp4", *BICUBIC, "-o", "folder.mp4"], 5, "folder"),
    "missing priors": (["run", "clip.mp4", "--restorer", "bicubic", "--priors", "none.yaml"], 2, "none.yaml"),
    "strength without steps": (
        ["run", "clip.mp4", "--set", "restore.steps=0", "--set", "restore.strength=0.5"],
        2,
        "restore.steps",
    ),
    "steps of bicubic": (
        ["run", "clip.mp4", *BICUBIC, "--set", "restore.steps=2"],
        2,
        "bicubic has no restore.steps",
    ),
    "cuda without one": (["run", "clip.mp4", "--device", "cuda"], 5, "cuda"),
    "probe of nothing": (["probe", "missing.mp4"], 3, "missing.mp4"),
    "plan of nothing": (["plan", "empty.mp4"], 3, "empty"),
    "caption of nothing": (["caption", "text.mp4"], 3, "text.mp4"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_exits_with_its_code_and_one_line_and_leaves_nothing(case: str, folder: Path) -> None:
    arguments, code, words = CASES[case]
    if case == "cuda without one":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device")
    before = sorted(str(path) for path in folder.rglob("*"))
    result = run_vidsr(*arguments, cwd=folder)
    lines = result.stderr.strip().splitlines()
    assert result.returncode == code, result.stderr
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("vidsr: error: ")
    assert words in lines[0]
    assert "Traceback" not in result.stderr
    assert sorted(str(path) for path in folder.rglob("*")) == before
    assert (folder / "there.mp4").read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_an_environment_error(folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    result = run_vidsr("run", "clip.mp4", *BICUBIC, "-o", "locked/out.mp4", cwd=folder)
    assert result.returncode == 5
    assert "cannot be written to" in result.stderr


def test_help_and_version_are_there(tmp_path: Path) -> None:
    assert "run" in run_vidsr("--help", cwd=tmp_path).stdout
    from vidsr.version import __version__

    assert run_vidsr("--version", cwd=tmp_path).stdout.strip() == __version__
    for command in ("run", "probe", "plan", "verify", "caption", "train", "evaluate", "config"):
        assert run_vidsr(command, "--help", cwd=tmp_path).returncode == 0, command
