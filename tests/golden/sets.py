"""Finds the sets of reference data: those of this folder, and those of VIDSR_GOLDEN_DIR."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "xpsr"


def folders() -> list[Path]:
    """Return where sets are looked for; a folder that was asked for must be there."""
    extra = os.environ.get("VIDSR_GOLDEN_DIR")
    found = [HERE] if extra is None else [HERE, Path(extra)]
    for folder in found:
        if not folder.is_dir():
            msg = f"VIDSR_GOLDEN_DIR: {folder} is not a folder"
            raise FileNotFoundError(msg)
    return found


def module_sets() -> list[Path]:
    """Return the JSON file of each forward pass."""
    return [
        path
        for folder in folders()
        for path in sorted(folder.rglob("m*.json"))
        if path.with_suffix(".safetensors").is_file()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRun:
    """One recorded run of the sampler."""

    folder: Path
    name: str
    parameters: dict[str, Any]

    @property
    def recorded(self) -> Path:
        return self.folder / f"{self.name}.safetensors"


def loop_runs() -> list[LoopRun]:
    """Return the recorded runs."""
    return [
        LoopRun(folder=path.parent, name=name, parameters=parameters)
        for folder in folders()
        for path in sorted(folder.rglob("runs.json"))
        for name, parameters in json.loads(path.read_text()).items()
    ]
