"""The models that are installed: a folder each, with a manifest that has the SHA-256 of every file in it.

    STORE/                              $VIDSR_MODELS, else vidsr/models in $XDG_DATA_HOME or ~/.local/share
        xpsr/
            manifest.json               written last
            unet/config.json ...
        llava-hf--llava-1.5-7b-hf/      the name llava-hf/llava-1.5-7b-hf, which is its id on the hub
        .downloads/                     of a pull that was cut short: the next one takes up these files

Nothing here needs torch, or a network. How a model gets here: vidsr/models/install.py.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from vidsr.errors import MissingWeightsError, UsageError
from vidsr.files import sha256_of

Kind = Literal["xpsr", "base", "mllm"]
"""XPSR with its base; Stable Diffusion 1.5 alone, to add XPSR to; a language model that reads pictures."""
StoredDType = Literal["keep", "float16", "bfloat16"]
"""What floating-point weights are stored as."""
BASE_ID = "stable-diffusion-v1-5/stable-diffusion-v1-5"
"""Where Stable Diffusion 1.5 is on the hub."""
MANIFEST = "manifest.json"
FORMAT = "vidsr-model/1"

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_SLASH = "--"
_NUM_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as it was when the model was added."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """What the manifest says of a model, and where the model is."""

    name: str
    kind: Kind
    path: Path
    """Its folder."""
    sources: tuple[str, ...]
    """Where it came from: folders, or hub:ORG/NAME@COMMIT."""
    dtype: str
    """Of the floating-point weights: float32, or several joined by a plus."""
    vidsr: str
    """The version that added it."""
    files: Mapping[str, StoredFile]
    """By their path in the folder."""
    digest: str
    """SHA-256 over the names and digests of all files: the same weights have the same one everywhere."""

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files.values())


def root() -> Path:
    """Return the folder of all models; it may not be there yet."""
    if own := os.environ.get("VIDSR_MODELS"):
        return Path(own).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "vidsr" / "models"


def folder_of(name: str) -> Path:
    """Return where the model `name` is or would be.

    Raises:
        UsageError: no model can have this name.
    """
    if not _is_name(name):
        msg = (
            f"{name!r} is no name for a model; wanted one such as xpsr, or an id of the hub such as {BASE_ID}"
        )
        raise UsageError(msg)
    return root() / name.replace("/", _SLASH)


def installed() -> list[InstalledModel]:
    """Return all models, by name.

    Raises:
        MissingWeightsError: a manifest is damaged.
    """
    return [_read(folder_of(name), name) for name in _names()]


def is_installed(name: str) -> bool:
    """Return whether there is a model of that name; what can be no name is none."""
    return _is_name(name) and (folder_of(name) / MANIFEST).is_file()


def locate(name: str, *, kind: Kind | None = None) -> InstalledModel:
    """Return the model `name`; every file is there in its full size, but was not read.

    Raises:
        MissingWeightsError: it is not installed, not whole, or not of `kind`. Says the command to get it.
        UsageError: no model can have this name.
    """
    folder = folder_of(name)
    if not (folder / MANIFEST).is_file():
        msg = f"{name} is not installed in {root()}; {how_to_get(name)}"
        raise MissingWeightsError(msg)
    model = _read(folder, name)
    if kind not in {None, model.kind}:
        msg = f"{folder}: {name} is a model of kind {model.kind}; wanted one of kind {kind}"
        raise MissingWeightsError(msg)
    _refuse_damage(
        model, [path for path, file in model.files.items() if _size(folder / path) != file.size_bytes]
    )
    return model


def verify(name: str) -> InstalledModel:
    """Read every file of a model and compare it with the manifest.

    Raises:
        MissingWeightsError: it is not installed, or the files it names are damaged, missing or foreign.
        UsageError: no model can have this name.
    """
    model = locate(name)
    damaged = [path for path, file in model.files.items() if sha256_of(model.path / path) != file.sha256]
    _refuse_damage(model, damaged)
    there = {path.relative_to(model.path).as_posix() for path in model.path.rglob("*") if path.is_file()}
    # A stray tokenizer.json or config would be read by those who load the folder.
    if foreign := sorted(there - set(model.files) - {MANIFEST}):
        msg = f"{model.path}: {', '.join(foreign[:_NUM_NAMED])} did not come with {name}; remove it"
        raise MissingWeightsError(msg)
    if model.digest != digest_of(model.files):
        _refuse_damage(model, [MANIFEST])
    return model


def verify_all() -> list[InstalledModel]:
    """Verify every model.

    Raises:
        MissingWeightsError: naming what is damaged in all of them.
    """
    verified, problems = [], []
    for name in _names():
        try:
            verified.append(verify(name))
        except MissingWeightsError as error:
            problems.append(str(error))
    if problems:
        raise MissingWeightsError("; ".join(problems))
    return verified


def how_to_get(name: str) -> str:
    """Return the command that installs a model, with what it needs."""
    if "/" in name:
        return f"get it with: vidsr models pull {name}"
    command = f"get it with: vidsr models add {name} --from FOLDER --base {BASE_ID}"
    return f"{command} (FOLDER: the published checkpoint of XPSR, with unet/ and controlnet/)"


def digest_of(files: Mapping[str, StoredFile]) -> str:
    """Return one digest for all files, whatever their order and place."""
    lines = [f"{file.sha256}  {path}\n" for path, file in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest_text(model: InstalledModel) -> str:
    """Return the manifest; where the model is stays out of it, so that the folder may be moved."""
    entries = asdict(model)
    del entries["path"]
    return json.dumps({"format": FORMAT, **entries}, indent=1) + "\n"


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and _SLASH not in name and ".." not in name


def _names() -> list[str]:
    return sorted(path.parent.name.replace(_SLASH, "/") for path in root().glob(f"[!.]*/{MANIFEST}"))


def _read(folder: Path, name: str) -> InstalledModel:
    path = folder / MANIFEST
    try:
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _model_of(entries, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: no manifest of {FORMAT} ({type(error).__name__}: {error}); {_again(name)}"
        raise MissingWeightsError(msg) from error


def _refuse_damage(model: InstalledModel, damaged: list[str]) -> None:
    if damaged:
        named = ", ".join(str(model.path / path) for path in damaged[:_NUM_NAMED])
        share = f"{len(damaged)} of {len(model.files)} files"
        msg = f"{model.name} is damaged: {named} ({share}); {_again(model.name)}"
        raise MissingWeightsError(msg)


def _model_of(entries: dict[str, Any], folder: Path) -> InstalledModel:
    if (found := entries.pop("format")) != FORMAT or entries["kind"] not in get_args(Kind):
        msg = f"format {found}, kind {entries['kind']}"
        raise ValueError(msg)
    files = {path: StoredFile(**file) for path, file in entries.pop("files").items()}
    return InstalledModel(**entries | {"sources": tuple(entries["sources"])}, path=folder, files=files)


def _again(name: str) -> str:
    return f"{how_to_get(name)}, and --overwrite"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
