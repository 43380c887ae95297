"""Files of named tensors, safetensors or .bin: opened without reading them, written a tensor at a time."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vidsr.errors import CheckpointError
from vidsr.models.store import StoredDType

SAFETENSORS = ".safetensors"

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_SHORTER = {"float16": torch.float16, "bfloat16": torch.bfloat16}
# In the order of preference of the format's own writer: wide ones first, so that all are aligned.
_BYTES = {name: dtype.itemsize for dtype, name in _NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TensorFile:
    """A file that is open. Tensors that were read may share memory with it: they stay valid."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    """In the words of safetensors: F32, BF16, I64."""
    read: Callable[[str], Tensor]
    """From a tensor's name to the tensor, on the CPU."""

    def stored_dtype(self, name: str, dtype: StoredDType) -> str:
        """Return what a tensor is written as: `dtype` where it is floating-point."""
        kept = self.dtypes[name]
        return kept if dtype == "keep" or not kept.startswith(("F", "BF")) else _NAMES[_SHORTER[dtype]]

    def size_bytes(self, dtype: StoredDType) -> int:
        """Return how many bytes the tensors take as `dtype`."""
        return sum(
            prod(shape) * _BYTES[self.stored_dtype(name, dtype)] for name, shape in self.shapes.items()
        )


def open_tensors(path: Path) -> TensorFile:
    """Open a .safetensors file, or a .bin file of torch without running anything in it.

    Raises:
        CheckpointError: it cannot be read, or holds something else than tensors.
    """
    try:
        return _open_safetensors(path) if path.suffix == SAFETENSORS else _open_pickled(path)
    except pickle.UnpicklingError as error:
        msg = f"{path}: holds more than tensors and may run code, so it is not opened; get a safetensors file"
        raise CheckpointError(msg) from error
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        msg = f"{path}: cannot be read as tensors ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error


def write_tensors(path: Path, source: TensorFile, *, dtype: StoredDType = "keep") -> None:
    """Write all tensors of `source` as safetensors, with one of them in memory at a time.

    Raises:
        CheckpointError: a number does not fit `dtype`.
        OSError: `path` cannot be written.
    """
    stored = {name: source.stored_dtype(name, dtype) for name in source.shapes}
    order = sorted(stored, key=lambda name: (-_BYTES[stored[name]], name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    stop = 0
    for name in order:
        start, stop = stop, stop + prod(source.shapes[name]) * _BYTES[stored[name]]
        shape = list(source.shapes[name])
        header[name] = {"dtype": stored[name], "shape": shape, "data_offsets": [start, stop]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors after it are aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            tensor = _cast(source, name, dtype).contiguous().reshape(-1)
            file.write(tensor.view(torch.uint8).numpy().data)
        file.flush()
        os.fsync(file.fileno())


def _cast(source: TensorFile, name: str, dtype: StoredDType) -> Tensor:
    tensor = source.read(name)
    if dtype == "keep" or not tensor.is_floating_point():
        return tensor
    cast = tensor.to(_SHORTER[dtype])
    if not torch.equal(cast.isfinite(), tensor.isfinite()):
        largest = tensor[tensor.isfinite()].abs().max().item()
        msg = (
            f"{source.path}: {name} has {largest:.3g}, too large for {dtype}; keep its dtype or take bfloat16"
        )
        raise CheckpointError(msg)
    return cast


def _open_safetensors(path: Path) -> TensorFile:
    file: Any = safe_open(path, framework="pt")  # its own types lack these methods
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    dtypes = {name: str(part.get_dtype()) for name, part in slices.items()}
    _refuse_others(path, {name: dtype for name, dtype in dtypes.items() if dtype not in _BYTES})
    return TensorFile(
        path=path,
        shapes={name: tuple(part.get_shape()) for name, part in slices.items()},
        dtypes=dtypes,
        read=file.get_tensor,
    )


def _open_pickled(path: Path) -> TensorFile:
    # Files from before torch 1.6 are no archives, and only archives can be mapped into memory.
    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    if not isinstance(loaded, dict):
        msg = f"a {type(loaded).__name__} where names and tensors were wanted"
        raise ValueError(msg)  # noqa: TRY004  # of the file, not of an argument
    tensors: dict[str, Tensor] = loaded
    names = {
        name: type(tensor).__name__ for name, tensor in tensors.items() if not isinstance(tensor, Tensor)
    }
    _refuse_others(path, names)
    dtypes = {name: _NAMES.get(tensor.dtype, str(tensor.dtype)) for name, tensor in tensors.items()}
    _refuse_others(path, {name: dtype for name, dtype in dtypes.items() if dtype not in _BYTES})
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return TensorFile(path=path, shapes=shapes, dtypes=dtypes, read=lambda name: tensors[name].detach())


def _refuse_others(path: Path, others: Mapping[str, str]) -> None:
    for name, kind in others.items():
        msg = f"{path}: {name} is {kind}; wanted a tensor of {', '.join(_BYTES)}"
        raise CheckpointError(msg)
