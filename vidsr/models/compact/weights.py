"""The weights of xpsr-s: one safetensors file with everything needed to build the model."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.compact.denoiser import DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape

FORMAT = "xpsr-s/2"
KEY = "xpsr-s"
"""Of the description among the metadata."""
SHIPPED = Path(__file__).with_name("xpsr-s.safetensors")


class CompactModel(nn.Module):
    """The estimate, and the denoiser where the weights have one."""

    def __init__(self, estimate: EstimateNet, denoiser: DenoiserNet | None) -> None:
        super().__init__()
        self.estimate = estimate
        self.denoiser = denoiser


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsInfo:
    """What a weights file says of itself."""

    training_steps: int
    note: str
    """One line on how it was trained."""
    steps: int = 0
    """Diffusion steps that were found best on validation pictures; 0 without a denoiser."""
    strength: float = 0.0
    """Share of the diffused residual that was found best, [0, 1]."""


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


def save(path: Path, model: CompactModel, info: WeightsInfo) -> None:
    """Write the model in 16-bit floats, whole or not at all."""
    tensors = {name: tensor.to(torch.float16).contiguous() for name, tensor in model.state_dict().items()}
    denoiser = model.denoiser
    description = {
        "format": FORMAT,
        "estimate": asdict(model.estimate.shape),
        "denoiser": None if denoiser is None else asdict(denoiser.shape),
        "info": asdict(info),
    }
    temporary = path.with_name(path.name + ".tmp")
    # One entry: several are written in an order that differs from run to run, and so would the digest.
    save_file(tensors, temporary, metadata={KEY: json.dumps(description)})
    temporary.replace(path)


def load(path: Path) -> tuple[CompactModel, WeightsInfo]:
    """Build the model in float32 and fill it; every key must fit.

    Raises:
        MissingWeightsError, CheckpointError: naming the file and the first keys that differ.
    """
    digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            description = _description(file.metadata())
            state: dict[str, Tensor] = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        model, info = _empty_model(description), WeightsInfo(**description["info"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        msg = f"{path}: not weights of {FORMAT} ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    given = {name: tensor.shape for name, tensor in state.items()}
    if wrong := sorted(name for name in wanted | given if wanted.get(name) != given.get(name)):
        msg = f"{path}: does not fit xpsr-s: {len(wrong)} tensors differ, first {wrong[:3]}"
        raise CheckpointError(msg)
    model.load_state_dict(state)
    return model.eval(), info


def read_info(path: Path) -> WeightsInfo:
    """Return what the file says of itself, without building the model.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            return WeightsInfo(**_description(file.metadata())["info"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        msg = f"{path}: not weights of {FORMAT} ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error


def _description(metadata: dict[str, str] | None) -> dict[str, Any]:
    description: dict[str, Any] = json.loads((metadata or {})[KEY])
    if description["format"] != FORMAT:
        msg = f"format {description['format']}"
        raise ValueError(msg)
    return description


def _empty_model(description: dict[str, Any]) -> CompactModel:
    denoiser = description["denoiser"]
    return CompactModel(
        EstimateNet(_shape(description["estimate"])),
        None if denoiser is None else DenoiserNet(_shape(denoiser)),
    )


def _shape(entry: dict[str, Any]) -> UNetShape:
    return UNetShape(**(entry | {name: tuple(entry[name]) for name in ("widths", "pairs")}))
