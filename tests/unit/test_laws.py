"""The laws of the house that can be read off the source: who imports what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "vidsr"

FLOORS = {
    "types": 0, "errors": 0, "version": 0, "files": 0, "memory": 0, "data": 0,
    "degradation_words": 0, "nearest": 0, "terminal": 0, "stopping": 0, "events": 1,
    "media": 1, "models": 1, "flow": 1, "diffusion": 1,
    "shots": 2, "caption": 2, "restore": 2,
    "job": 3, "train": 3, "evaluate": 3, "show": 3,
    "config_sections": 3, "config": 3,
    "build": 4,
    "api": 5, "ingest": 5, "degrade": 6,
    "cli_models": 6, "cli_measure": 6, "cli_options": 6, "cli": 6, "__init__": 6, "__main__": 6,
}  # fmt: skip
"""A module imports from its own floor or below."""

HOMES = {
    "av": {"media"},
    "decord": {"media"},
    "ffmpeg": {"media"},
    "imageio_ffmpeg": {"media"},
    "scenedetect": {"shots"},
    "cv2": {"flow", "shots", "caption", "evaluate"},
    "torch": {"diffusion", "models", "restore", "train", "evaluate"},
    "diffusers": {"models", "diffusion", "restore"},
    "transformers": {"models"},
    "pydantic": {"config", "config_sections", "job", "ingest"},
    "typer": {"cli", "cli_measure", "cli_models", "cli_options"},
    "huggingface_hub": {"models"},
    "rich": {"events"},
    "onnxruntime": {"evaluate"},
}
"""Packages that only these places import, at top level or inside a function."""

EXTRAS = {"accelerate": "train/xpsr/run.py", "torch.utils.tensorboard": "train/run_log.py"}
"""The one file that is about a package which not everybody has."""


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _place(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "vidsr":
                yield from (f"vidsr.{alias.name}" for alias in node.names)


def test_every_module_has_a_floor() -> None:
    assert {_place(path) for path in _modules()} <= set(FLOORS)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    floor = FLOORS[_place(path)]
    for name in _imports(path):
        if name.startswith("vidsr.") and path.name != "__init__.py":
            place = name.split(".")[1]
            assert FLOORS[place] <= floor, f"{path} imports {name}, which is above it"


@pytest.mark.parametrize("package", HOMES)
def test_a_package_is_imported_only_where_it_lives(package: str) -> None:
    users = {_place(path) for path in _modules() for name in _imports(path) if name.split(".")[0] == package}
    assert users <= HOMES[package]


@pytest.mark.parametrize("package", EXTRAS)
def test_an_extra_is_imported_in_one_file_alone(package: str) -> None:
    users = {path for path in _modules() for name in _imports(path) if f"{name}.".startswith(f"{package}.")}
    assert users == {PACKAGE / EXTRAS[package]}


def test_only_the_top_reads_the_configuration() -> None:
    configuration = {"vidsr.config", "vidsr.config_sections"}
    users = {_place(path) for path in _modules() if configuration & set(_imports(path))}
    assert users <= {"build", "api", "cli", "config"}


def test_importing_vidsr_is_cheap_and_brings_no_torch() -> None:
    program = (
        "import sys, vidsr; "
        "heavy = {'torch', 'av', 'cv2', 'diffusers', 'numpy', 'pydantic'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import vidsr

    for name in vidsr.__all__:
        assert getattr(vidsr, name) is not None
    assert vidsr.__all__ == sorted(vidsr.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vidsr.nothing
