"""A network as diffusers and transformers store it: a folder with config.json and one file of weights."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.tensor_file import TensorFile, open_tensors

CONFIG = "config.json"
NetworkT = TypeVar("NetworkT", bound=nn.Module)
_NUM_NAMED = 3
# Keys that an error lists.


def _same_key(name: str, wanted: Collection[str]) -> str | None:
    del wanted
    return name


def _has_no_buffers(network: nn.Module) -> None:
    del network


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Generic[NetworkT]):
    """How such a folder becomes a network."""

    file_names: tuple[str, ...]
    """Of the weights; the first that is there is taken."""
    build: Callable[[Mapping[str, Any]], NetworkT]
    """From config.json to the network; it is called under the meta device."""
    key_of: Callable[[str, Collection[str]], str | None] = _same_key
    """From a name in the file and the network's own keys to the key; None for what the network makes."""
    fill_buffers: Callable[[NetworkT], None] = _has_no_buffers
    """Gives buffers that no file holds their values."""

    def weights(self, folder: Path, *, has: Callable[[Path], bool] = Path.is_file) -> Path:
        """Return the file of weights in `folder`.

        Args:
            folder: with config.json.
            has: whether a file is there, or will be.

        Raises:
            MissingWeightsError: there is none.
        """
        for name in self.file_names:
            if has(folder / name):
                return folder / name
        msg = f"{folder}: no weights; wanted {' or '.join(self.file_names)} beside {CONFIG}"
        raise MissingWeightsError(msg)

    def check(self, folder: Path) -> None:
        """Compare every key and shape of the weights with the network of config.json, without reading them.

        Raises:
            MissingWeightsError, CheckpointError: naming the file, how many keys differ, and the first.
        """
        self._open(folder)

    def load(self, folder: Path, *, dtype: torch.dtype, device: torch.device | str) -> NetworkT:
        """Return the network with its weights, ready for inference.

        The network is built without memory and takes each tensor as it is read: no weight is there twice.
        In the file's own dtype on a CPU it shares the file's memory.

        Raises:
            MissingWeightsError, CheckpointError: naming the file, how many keys differ, and the first.
        """
        network, file, keys = self._open(folder)
        state = {}
        for name, key in keys.items():
            tensor = file.read(name)
            kept = dtype if tensor.is_floating_point() else tensor.dtype
            state[key] = tensor.to(device=device, dtype=kept)
        network.load_state_dict(state, assign=True)
        self.fill_buffers(network)
        if empty := [name for name, tensor in _tensors(network) if tensor.is_meta]:
            msg = f"{file.path}: nothing gives {type(network).__name__} its {', '.join(empty)}"
            raise CheckpointError(msg)
        return network.to(device).eval()

    def _open(self, folder: Path) -> tuple[NetworkT, TensorFile, dict[str, str]]:
        """Return the empty network, its file, and from each name in the file the network's key."""
        config = read_json(folder / CONFIG)
        path = self.weights(folder)
        try:
            with torch.device("meta"):
                network = self.build(config)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            msg = f"{folder / CONFIG}: no network can be built from it ({type(error).__name__}: {error})"
            raise CheckpointError(msg) from error
        file = open_tensors(path)
        wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        keys = {name: key for name in file.shapes if (key := self.key_of(name, wanted)) is not None}
        if problems := _differences(wanted, [(key, file.shapes[name]) for name, key in keys.items()]):
            msg = f"{path}: does not fit {type(network).__name__}: {'; '.join(problems)}"
            raise CheckpointError(msg)
        return network, file, keys


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        MissingWeightsError: it is not there.
        CheckpointError: it is something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise MissingWeightsError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read as JSON ({error})"
        raise CheckpointError(msg) from error
    if not isinstance(value, dict):
        msg = f"{path}: holds a {type(value).__name__}; wanted names and values"
        raise CheckpointError(msg)
    return value


def _differences(
    wanted: Mapping[str, tuple[int, ...]], given: Collection[tuple[str, tuple[int, ...]]]
) -> list[str]:
    """Say what is missing, not known, or of another shape."""
    shapes = dict(given)
    missing = [key for key in wanted if key not in shapes]
    unexpected = [key for key in shapes if key not in wanted]
    reshaped = [
        f"{key} {list(shape)} (wanted {list(wanted[key])})"
        for key, shape in shapes.items()
        if key in wanted and wanted[key] != shape
    ]
    parts = (("missing", missing), ("not known", unexpected), ("of another shape", reshaped))
    lines = [_listed(what, names) for what, names in parts if names]
    if len(given) > len(shapes):
        lines.append(f"{len(given) - len(shapes)} twice, under two names")
    return lines


def _listed(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}, first {', '.join(names[:_NUM_NAMED])}"


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return chain(network.named_parameters(), network.named_buffers())
