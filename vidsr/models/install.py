"""Brings models into the store: from folders, or from the hub. A model appears whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from vidsr.errors import DiskFullError, MissingWeightsError, OutputExistsError, UsageError
from vidsr.files import sha256_of, write_error, write_whole
from vidsr.models import store
from vidsr.models.contents import SMALL_FILES, Contents, contents_of, kind_of
from vidsr.models.hub import Repository, open_repository
from vidsr.models.store import InstalledModel, Kind, StoredDType, StoredFile
from vidsr.models.tensor_file import SAFETENSORS, TensorFile, open_tensors, write_tensors
from vidsr.version import __version__

XPSR = "xpsr"
"""The name under which the restorer looks for its model."""
_DOWNLOADS = ".downloads"
_WORDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A model that was installed just now."""

    model: InstalledModel
    notes: tuple[str, ...]
    """What the user should know, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """A folder to take files from; of a repository where they are downloaded into it."""

    folder: Path
    source: str
    repository: Repository | None = None

    def has(self, path: Path) -> bool:
        return self.repository is not None and self.repository.holds(path)


def add(
    name: str,
    folder: Path,
    *,
    base: str | None = None,
    dtype: StoredDType = "keep",
    overwrite: bool = False,
) -> Added:
    """Install a model from a folder; the folder stays as it is.

    Args:
        name: a single word for XPSR, an id ORG/NAME for anything else.
        folder: what was downloaded, in any of the published layouts.
        base: for XPSR, the folder of Stable Diffusion 1.5, or its id: an installed one is taken, otherwise it
            is downloaded. None looks in `folder`.
        dtype: what the weights are stored as.
        overwrite: replace a model of this name.

    Raises:
        OutputExistsError: there is one, and `overwrite` is false.
        MissingWeightsError, CheckpointError: a file is missing or does not fit its network.
        TransientError: the download of the base failed.
        UnwritableError, DiskFullError: naming the store.
    """
    _refuse_existing(name, overwrite=overwrite)
    if not folder.is_dir():
        msg = f"{folder}: no such folder; name the one that was downloaded"
        raise MissingWeightsError(msg)
    origin = _Origin(folder=folder, source=str(folder.resolve()))
    kind: Kind = kind_of(folder) if "/" in name else "xpsr"
    return _install(name, kind, origin, _base_of(base, kind), dtype=dtype)


def pull(
    repository: str,
    *,
    revision: str | None = None,
    base: str | None = None,
    dtype: StoredDType = "keep",
    overwrite: bool = False,
) -> Added:
    """Install a model from the hub, under its id; XPSR under the name by which the restorer finds it.

    Only files that belong to the model are downloaded, never code. After a download that was cut short,
    files that had arrived are not downloaded again.

    Args:
        repository: its id, ORG/NAME.
        revision: a branch, tag or commit; None for the newest.
        base: as in `add`.
        dtype: what the weights are stored as.
        overwrite: replace a model of this name.

    Raises:
        UsageError: that is no id.
        MissingWeightsError: the hub has no such model, or it lacks a file.
        TransientError: the network failed.
        CheckpointError, OutputExistsError, UnwritableError, DiskFullError: as in `add`.
    """
    if "/" not in repository:
        msg = f"{repository}: no id of the hub; wanted ORG/NAME, such as {store.BASE_ID}"
        raise UsageError(msg)
    _refuse_existing(repository, overwrite=overwrite)
    origin = _download(repository, revision)
    kind = kind_of(origin.folder)
    name = XPSR if kind == "xpsr" else repository
    _refuse_existing(name, overwrite=overwrite)
    return _install(name, kind, origin, _base_of(base, kind), dtype=dtype)


def _refuse_existing(name: str, *, overwrite: bool) -> None:
    if store.folder_of(name).exists() and not overwrite:
        msg = f"{store.folder_of(name)}: {name} is installed already; pass --overwrite to replace it"
        raise OutputExistsError(msg)


def _base_of(base: str | None, kind: Kind) -> _Origin | None:
    """Return where Stable Diffusion 1.5 is to come from; None where XPSR's own folder has it."""
    if base is None:
        return None
    if kind != "xpsr":
        msg = f"--base {base}: only XPSR has a base, and this is a model of kind {kind}"
        raise UsageError(msg)
    if Path(base).is_dir():
        return _Origin(folder=Path(base), source=str(Path(base).resolve()))
    if "/" in base and (store.folder_of(base) / store.MANIFEST).is_file():
        model = store.locate(base, kind="base")
        return _Origin(folder=model.path, source=model.sources[0])
    if base.count("/") != 1:
        msg = f"--base {base}: no such folder, and no id of the hub such as {store.BASE_ID}"
        raise MissingWeightsError(msg)
    return _download(base, None)


def _download(repository: str, revision: str | None) -> _Origin:
    """Download the small files of a repository, by which its weights are known."""
    folder = store.root() / _DOWNLOADS / store.folder_of(repository).name
    remote = open_repository(repository, revision=revision, folder=folder)
    remote.fetch([folder / name for name in remote.files if Path(name).name in SMALL_FILES])
    return _Origin(folder=folder, source=remote.source, repository=remote)


def _install(name: str, kind: Kind, own: _Origin, base: _Origin | None, *, dtype: StoredDType) -> Added:
    origins = [own] if base is None else [own, base]
    contents = contents_of(
        kind,
        own.folder,
        base=None if base is None else base.folder,
        is_there=lambda path: path.is_file() or any(origin.has(path) for origin in origins),
    )
    for origin in origins:
        if origin.repository is not None:
            origin.repository.fetch([path for path in contents.tensors.values() if origin.has(path)])
    contents.check()
    with _staging(store.folder_of(name)) as folder:
        _refuse_full_disk(folder, contents, dtype)
        dtypes = _write(folder, contents, dtype, lent=[o.folder for o in origins if o.repository])
        files = {
            path.relative_to(folder).as_posix(): _stored_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        model = InstalledModel(
            name=name,
            kind=kind,
            path=store.folder_of(name),
            sources=tuple(origin.source for origin in origins),
            dtype="+".join(sorted(dtypes)),
            vidsr=__version__,
            files=files,
            digest=store.digest_of(files),
        )
        write_whole(folder / store.MANIFEST, store.manifest_text(model))
    for origin in origins:
        if origin.repository is not None:
            shutil.rmtree(origin.folder, ignore_errors=True)
    return Added(model=model, notes=contents.notes)


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Give a folder to write into, and make it `target` at the end; it vanishes where something fails."""
    folder = target.parent / f".adding-{uuid4().hex}"
    replaced = target.parent / f".replaced-{uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
        if target.exists():
            target.rename(replaced)
        folder.rename(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        for left in (folder, replaced):
            shutil.rmtree(left, ignore_errors=True)


def _refuse_full_disk(folder: Path, contents: Contents, dtype: StoredDType) -> None:
    needed = sum(open_tensors(path).size_bytes(dtype) for path in contents.tensors.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        msg = (
            f"{folder.parent}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
            "free some space, or set VIDSR_MODELS to a folder on another disk"
        )
        raise DiskFullError(msg)


def _write(folder: Path, contents: Contents, dtype: StoredDType, *, lent: Sequence[Path]) -> set[str]:
    """Write all files of a model, and return the dtypes of its weights.

    Args:
        folder: where to.
        contents: what.
        dtype: what the weights become.
        lent: folders of downloads, whose files need no copy.
    """
    for name, path in contents.copies.items():
        _place(folder, name)
        shutil.copyfile(path, folder / name)
    dtypes: set[str] = set()
    places: dict[str, str] = {}
    total = 0
    for name, path in contents.tensors.items():
        source = open_tensors(path)
        _place(folder, name)
        if dtype != "keep" or path.suffix != SAFETENSORS:
            write_tensors(folder / name, source, dtype=dtype)
        elif not any(path.is_relative_to(other) for other in lent) or not _linked(path, folder / name):
            shutil.copyfile(path, folder / name)
        dtypes |= _dtypes(source, dtype)
        places |= dict.fromkeys(source.shapes, name)
        total += source.size_bytes(dtype)
    if contents.index:
        _write_index(folder / contents.index, places, total)
    return dtypes


def _place(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)


def _linked(path: Path, target: Path) -> bool:
    """Give a file a second name, where the file system can."""
    try:
        os.link(path, target)
    except OSError:
        return False
    return True


def _dtypes(source: TensorFile, dtype: StoredDType) -> set[str]:
    return {_WORDS[kept] for name in source.shapes if (kept := source.stored_dtype(name, dtype)) in _WORDS}


def _write_index(path: Path, places: Mapping[str, str], total: int) -> None:
    write_whole(path, json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=1) + "\n")


def _stored_file(path: Path) -> StoredFile:
    return StoredFile(sha256=sha256_of(path), size_bytes=path.stat().st_size)
