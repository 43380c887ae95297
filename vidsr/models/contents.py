"""What of a folder belongs to a model, and whether it is whole: XPSR, its base, or a language model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.component import CONFIG, Component, read_json
from vidsr.models.store import Kind
from vidsr.models.tensor_file import SAFETENSORS, open_tensors
from vidsr.models.xpsr.base import AUTOENCODER, TEXT_ENCODER, load_tokenizer, scheduler_config
from vidsr.models.xpsr.checkpoint import (
    CONTROLNET,
    SCHEDULER_CONFIG,
    UNET,
    BaseFolders,
    find_base,
    find_folders,
    has_base,
    has_networks,
)

INDEX_SUFFIX = ".index.json"
"""Of the file that says which of several files holds which tensor."""
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_MLLM_FILES = (
    CONFIG,
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "chat_template.json",
    "chat_template.jinja",
    *TOKENIZER_FILES,
)
_MLLM_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SMALL_FILES = frozenset({*_MLLM_FILES, SCHEDULER_CONFIG, *(name + INDEX_SUFFIX for name in _MLLM_WEIGHTS)})
"""Names of everything that is read to know which weights belong to a model."""

IsThere = Callable[[Path], bool]
Parts = tuple[tuple[str, Path, Component[Any]], ...]
"""Networks of a checkpoint: the name they are stored under, their folder, how they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of a model, by the path they are stored under."""

    kind: Kind
    copies: Mapping[str, Path]
    """Stored as they are."""
    tensors: Mapping[str, Path]
    """Stored as safetensors."""
    check: Callable[[], None]
    """Raises CheckpointError or MissingWeightsError where something is missing or does not fit. Of weights
    it reads names and shapes; they need not have been there before."""
    index: str = ""
    """Where it is to be said which file holds which tensor; empty for nowhere."""
    notes: tuple[str, ...] = ()
    """What the user should know, a line each."""


def kind_of(folder: Path) -> Kind:
    """Return what kind of model is in a folder.

    Raises:
        MissingWeightsError: none that is known.
        CheckpointError: its config.json cannot be read.
    """
    if has_networks(folder):
        return "xpsr"
    if has_base(folder):
        return "base"
    if (folder / CONFIG).is_file() and "model_type" in read_json(folder / CONFIG):
        return "mllm"
    msg = f"{folder}: neither XPSR (unet/ and controlnet/), nor Stable Diffusion 1.5, nor a language model"
    raise MissingWeightsError(msg)


def contents_of(
    kind: Kind, folder: Path, *, base: Path | None = None, is_there: IsThere = Path.is_file
) -> Contents:
    """Return the files of the model in `folder`.

    Args:
        kind: as `kind_of` has it.
        folder: in one of the layouts of the kind, its small files in place.
        base: for XPSR, the folder of Stable Diffusion 1.5; None looks in `folder`.
        is_there: whether a file of weights is there, or will be.

    Raises:
        MissingWeightsError, CheckpointError: something is missing or cannot be read.
    """
    if kind == "xpsr":
        return _xpsr(folder, base, is_there)
    return _base(folder, is_there) if kind == "base" else _mllm(folder, is_there)


def _xpsr(folder: Path, base: Path | None, is_there: IsThere) -> Contents:
    folders = find_folders(folder, base=base)
    rest = _base_files(folders, is_there)
    parts: Parts = (("unet", folders.unet, UNET), ("controlnet", folders.controlnet, CONTROLNET))
    note = f"took {folders.unet.parent}, the highest number; passed over "

    def check() -> None:
        UNET.check(folders.unet)
        CONTROLNET.check(folders.controlnet)
        rest.check()

    return Contents(
        kind="xpsr",
        copies={**{f"{name}/{CONFIG}": path / CONFIG for name, path, _ in parts}, **rest.copies},
        tensors={**_stored(parts, is_there), **rest.tensors},
        check=check,
        notes=(note + ", ".join(path.name for path in folders.passed_over),) if folders.passed_over else (),
    )


def _base(folder: Path, is_there: IsThere) -> Contents:
    return _base_files(find_base(folder), is_there)


def _base_files(folders: BaseFolders, is_there: IsThere) -> Contents:
    parts: Parts = (("text_encoder", folders.text_encoder, TEXT_ENCODER), ("vae", folders.vae, AUTOENCODER))
    tokenizer = {
        f"tokenizer/{name}": folders.tokenizer / name
        for name in TOKENIZER_FILES
        if (folders.tokenizer / name).is_file()
    }

    def check() -> None:
        TEXT_ENCODER.check(folders.text_encoder)
        AUTOENCODER.check(folders.vae)
        load_tokenizer(folders)
        scheduler_config(folders)

    return Contents(
        kind="base",
        copies={
            **{f"{name}/{CONFIG}": path / CONFIG for name, path, _ in parts},
            f"scheduler/{SCHEDULER_CONFIG}": folders.scheduler / SCHEDULER_CONFIG,
            **tokenizer,
        },
        tensors=_stored(parts, is_there),
        check=check,
    )


def _stored(parts: Parts, is_there: IsThere) -> dict[str, Path]:
    return {
        f"{name}/{component.file_names[0]}": component.weights(folder, has=is_there)
        for name, folder, component in parts
    }


def _mllm(folder: Path, is_there: IsThere) -> Contents:
    places = _places(folder, is_there)
    shards = sorted(set(places.values())) or [_single(folder, is_there)]
    return Contents(
        kind="mllm",
        copies={name: folder / name for name in _MLLM_FILES if (folder / name).is_file()},
        tensors={_safe_name(name): folder / name for name in shards},
        check=lambda: _check_mllm(folder, places),
        index=_MLLM_WEIGHTS[0] + INDEX_SUFFIX if len(shards) > 1 else "",
    )


def _places(folder: Path, is_there: IsThere) -> dict[str, str]:
    """Return which file holds which tensor, by the index; nothing where one file holds all."""
    if is_there(folder / _MLLM_WEIGHTS[0]):
        return {}
    for path in (folder / f"{name}{INDEX_SUFFIX}" for name in _MLLM_WEIGHTS):
        if path.is_file():
            places = read_json(path).get("weight_map")
            if not isinstance(places, dict) or not all(_is_plain(name) for name in places.values()):
                msg = f"{path}: wanted a weight_map from tensors to files beside it"
                raise CheckpointError(msg)
            return places
    return {}


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name and Path(name).suffix in {SAFETENSORS, ".bin"}


def _single(folder: Path, is_there: IsThere) -> str:
    for name in _MLLM_WEIGHTS:
        if is_there(folder / name):
            return name
    msg = f"{folder}: no weights; wanted {' or '.join(_MLLM_WEIGHTS)}, or several with their {INDEX_SUFFIX}"
    raise MissingWeightsError(msg)


def _safe_name(name: str) -> str:
    return name if name.endswith(SAFETENSORS) else name.replace("pytorch_model", "model")[:-4] + SAFETENSORS


def _check_mllm(folder: Path, places: Mapping[str, str]) -> None:
    """Refuse a model that transformers does not know as one that reads pictures, or that is not whole."""
    config = read_json(folder / CONFIG)
    if (model_type := config["model_type"]) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        msg = f"{folder / CONFIG}: model_type {model_type} is none that reads a picture and a question"
        raise CheckpointError(msg)
    try:
        AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{folder / CONFIG}: no config of a {model_type} ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    if not any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json")):
        msg = f"{folder}: wanted processor_config.json or preprocessor_config.json, to prepare pictures with"
        raise MissingWeightsError(msg)
    for shard in sorted(set(places.values())):
        held, wanted = (
            set(open_tensors(folder / shard).shapes),
            {key for key in places if places[key] == shard},
        )
        if held != wanted:
            wrong = sorted(held ^ wanted)
            msg = (
                f"{folder / shard}: {len(wrong)} tensors differ from the index, first {', '.join(wrong[:3])}"
            )
            raise CheckpointError(msg)
