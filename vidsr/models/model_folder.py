"""Folders of published models: where one lies on this machine, whether it is whole, and which one it is."""

import hashlib
import json
from pathlib import Path

from vidsr.errors import MissingWeightsError
from vidsr.files import sha256_of
from vidsr.models import store

WEIGHTS = ".safetensors"
_READ_SUFFIXES = frozenset({".json", ".jinja", ".model", ".txt", WEIGHTS})
"""Of files that transformers makes a model of. Readmes and weights in other formats are not among them."""
BLOCK_BYTES = 2**20
NUM_BLOCKS = 64
"""Of a file that is larger than this many blocks, as many are read, spread evenly from start to end."""


def find(name: str) -> Path:
    """Return the folder of a model that is on this machine; nothing is fetched.

    Args:
        name: a folder, or an id such as llava-hf/llava-1.5-7b-hf that is installed or whose files are in the
            local cache of Hugging Face.

    Raises:
        MissingWeightsError: there is none, or not all of its files are there.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_is_whole(folder, remedy="copy the missing files there")
        return folder
    if store.is_installed(name):
        return store.locate(name, kind="mllm").path
    if not _can_be_an_id(name):
        msg = f"{name}: no such folder; give the folder of a model, or an id such as OWNER/NAME"
        raise MissingWeightsError(msg)
    remedy = f"get it with `vidsr models pull {name}`"
    folder = _cached(name, remedy)
    _check_is_whole(folder, remedy=remedy)
    return folder


def digest_of(folder: Path) -> str:
    """Return a SHA-256 that stands for the model: of its files' names, sizes and contents.

    Of files above NUM_BLOCKS * BLOCK_BYTES (64 MiB) evenly spread blocks stand for the content: training
    changes weights everywhere, and gigabytes need not be read before every run. It tells models apart; it
    does not prove that no single byte is damaged.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        # The store's manifest says where the model came from, which makes it no other.
        if path.suffix in _READ_SUFFIXES and path.name != store.MANIFEST and path.is_file()
    )
    entries = [[path.name, path.stat().st_size, _content_of(path)] for path in files]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def _can_be_an_id(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and all(parts) and parts[0][0] not in ".~"


def _cached(name: str, remedy: str) -> Path:
    # transformers takes a second to import.
    from transformers.utils.hub import cached_file

    try:
        return Path(str(cached_file(name, "config.json", local_files_only=True))).parent
    except (OSError, ValueError) as error:
        msg = f"{name}: there is no such folder, and no model of this name on this machine; {remedy}"
        raise MissingWeightsError(msg) from error


def _check_is_whole(folder: Path, *, remedy: str) -> None:
    index = folder / f"model{WEIGHTS}.index.json"
    wanted = ["config.json", f"model{WEIGHTS}"]
    if index.is_file():
        try:
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{index}: not the index of a model's files; {remedy}"
            raise MissingWeightsError(msg) from error
        wanted = ["config.json", *sorted(set(shards))]
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        msg = f"{folder}: {missing[0]} is missing, and weights are read as safetensors alone; {remedy}"
        raise MissingWeightsError(msg)


def _content_of(path: Path) -> str:
    size = path.stat().st_size
    if size <= NUM_BLOCKS * BLOCK_BYTES:
        return sha256_of(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for position in range(NUM_BLOCKS):
            file.seek(position * (size - BLOCK_BYTES) // (NUM_BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()
