"""The state of a run in one safetensors file, from which it goes on to the bit."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidsr.errors import CheckpointError

Group = Mapping[str, Tensor]


def save(path: Path, groups: Mapping[str, Group], *, step: int, settings_digest: str) -> None:
    """Write all groups of tensors, whole or not at all."""
    tensors = {
        f"{group}/{name}": tensor.detach().contiguous()
        for group, entries in groups.items()
        for name, tensor in entries.items()
    }
    temporary = path.with_name(path.name + ".tmp")
    save_file(tensors, temporary, metadata={"step": json.dumps(step), "settings": settings_digest})
    temporary.replace(path)


def load(path: Path, *, settings_digest: str) -> tuple[dict[str, dict[str, Tensor]], int]:
    """Return the groups and the step.

    Raises:
        CheckpointError: the checkpoint was written under other settings.
    """
    step = read_step(path, settings_digest=settings_digest)
    groups: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  # safe_open is no mapping
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = file.get_tensor(key)
    return groups, step


def read_step(path: Path, *, settings_digest: str) -> int:
    """Return the step alone, from the file's header.

    Raises:
        CheckpointError: the checkpoint was written under other settings.
    """
    # Opened for torch, all of the file counts as memory of this process; for numpy none of it.
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
    if metadata["settings"] != settings_digest:
        msg = f"{path}: comes from a run with other settings; give another --output, or the old settings"
        raise CheckpointError(msg)
    return int(json.loads(metadata["step"]))


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Return AdamW's moments and step counts by parameter name."""
    return {
        f"{kind}/{name}": value
        for name, parameter in named.items()
        for kind, value in optimizer.state[parameter].items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter], tensors: Group
) -> None:
    """Put back what `optimizer_tensors` returned."""
    for key, value in tensors.items():
        kind, _, name = key.partition("/")
        parameter = named[name]
        # AdamW counts steps on the CPU, wherever its moments are.
        device = value.device if kind == "step" else parameter.device
        optimizer.state[parameter][kind] = value.to(device, copy=True)
