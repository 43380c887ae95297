"""What is installed: the wheel works away from the checkout, and each dependency has its place."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

USED_IN = {
    "torch": "vidsr/models/compact/estimate.py",
    "numpy": "vidsr/types.py",
    "av": "vidsr/media/decode.py",
    "decord": "vidsr/media/sample.py",
    "ffmpeg": "vidsr/media/intermediate.py",
    "imageio_ffmpeg": "vidsr/media/intermediate.py",
    "diffusers": "vidsr/models/xpsr/blocks.py",
    "einops": "vidsr/restore/picture.py",
    "transformers": "vidsr/models/xpsr/base.py",
    "huggingface_hub": "vidsr/models/hub.py",
    "safetensors": "vidsr/models/compact/weights.py",
    "cv2": "vidsr/caption/noise.py",
    "scenedetect": "vidsr/shots.py",
    "PIL": "vidsr/evaluate/clips.py",
    "pydantic": "vidsr/config.py",
    "yaml": "vidsr/caption/file.py",
    "typer": "vidsr/cli.py",
    "rich": "vidsr/events.py",
}
"""Where each dependency earns its place."""

MODULES = {
    "ffmpeg-python": "ffmpeg",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "opencv-python-headless": "cv2",
    "scenedetect-headless": "scenedetect",
    "pillow": "PIL",
    "pyyaml": "yaml",
}


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=;\s\[]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_every_dependency_has_its_place() -> None:
    declared = {MODULES.get(name, name) for name in _names(PROJECT["project"]["dependencies"])}
    assert declared == set(USED_IN)


@pytest.mark.parametrize("module", USED_IN)
def test_a_dependency_is_used_where_it_is_said_to_be(module: str) -> None:
    tree = ast.parse((ROOT / USED_IN[module]).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert module in imported


def test_torch_has_no_cap() -> None:
    torch = next(name for name in PROJECT["project"]["dependencies"] if name.startswith("torch"))
    assert "<" not in torch
    assert "==" not in torch


def test_nothing_brings_torchvision() -> None:
    declared = [name for extra in PROJECT["project"]["optional-dependencies"].values() for name in extra]
    assert "torchvision" not in _names([*declared, *PROJECT["project"]["dependencies"]])
    assert "torchvision" not in {distribution.name.lower() for distribution in distributions()}


def test_every_package_of_the_tree_is_in_the_wheel() -> None:
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "vidsr").rglob("__init__.py")
    }
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    assert packages <= listed
    assert listed - packages == {"vidsr.data.configs", "vidsr.data.pipelines"}


def test_the_wheel_works_away_from_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wheel = next(tmp_path.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "site"), str(wheel)], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIDSR_")}
    environment["PYTHONPATH"] = str(tmp_path / "site")
    program = (
        "import vidsr, vidsr.config as c; from vidsr.models.compact import weights; "
        "print(vidsr.__file__); print(c.pipeline_names()); print(len(c.preset_names('train/degradation'))); "
        "print(weights.load(weights.SHIPPED)[1].training_steps > 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    where, pipelines, num_sets, has_weights = run.stdout.splitlines()
    assert where.startswith(str(tmp_path / "site"))
    assert pipelines == "['archive', 'enhance', 'ingest', 'preview', 'xpsr']"
    assert (num_sets, has_weights) == ("5", "True")
