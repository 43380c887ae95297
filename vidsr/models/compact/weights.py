"""The weights of xpsr-s: one safetensors file with everything needed to build the network."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.compact.estimate import EstimateNet, EstimateShape

FORMAT = "xpsr-s/1"
SHIPPED = Path(__file__).with_name("xpsr-s.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsInfo:
    """What a weights file says of itself."""

    shape: EstimateShape
    steps: int
    """Training steps behind it."""
    note: str
    """One line on how it was trained."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a weights file.

    Raises:
        MissingWeightsError: it is not there.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        msg = f"{path}: the weights of xpsr-s are missing; install vidsr again"
        raise MissingWeightsError(msg) from error


def save(path: Path, network: EstimateNet, *, steps: int, note: str) -> None:
    """Write the network in 16-bit floats, whole or not at all."""
    tensors = {name: tensor.to(torch.float16).contiguous() for name, tensor in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "shape": json.dumps(asdict(network.shape)),
        "steps": str(steps),
        "note": note,
    }
    temporary = path.with_name(path.name + ".tmp")
    save_file(tensors, temporary, metadata=metadata)
    temporary.replace(path)


def load(path: Path) -> tuple[EstimateNet, WeightsInfo]:
    """Build the network in float32 and fill it; every key must fit.

    Raises:
        MissingWeightsError, CheckpointError: naming the file and the first keys that differ.
    """
    digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state: dict[str, Tensor] = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        info = _info(metadata)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        msg = f"{path}: not weights of {FORMAT} ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    network = EstimateNet(info.shape)
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    given = {name: tensor.shape for name, tensor in state.items()}
    if wrong := sorted(name for name in wanted | given if wanted.get(name) != given.get(name)):
        msg = f"{path}: does not fit xpsr-s: {len(wrong)} tensors differ, first {wrong[:3]}"
        raise CheckpointError(msg)
    network.load_state_dict(state)
    return network.eval(), info


def _info(metadata: dict[str, str]) -> WeightsInfo:
    if metadata["format"] != FORMAT:
        msg = f"format {metadata['format']}"
        raise ValueError(msg)
    shape = json.loads(metadata["shape"])
    shape |= {name: tuple(shape[name]) for name in ("widths", "pairs")}
    return WeightsInfo(shape=EstimateShape(**shape), steps=int(metadata["steps"]), note=metadata["note"])
