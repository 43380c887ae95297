"""Reading weights of other people's networks: named tensors from a safetensors file, and no others."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vidsr.errors import CheckpointError, MissingWeightsError


def read_tensors(path: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the tensors `names` of the file at `path`.

    Raises:
        MissingWeightsError: there is no such file.
        CheckpointError: it is no safetensors file, or lacks one of the tensors.
    """
    if not path.is_file():
        msg = f"{path}: no such file; make it with tools/fetch_metric_weights.py"
        raise MissingWeightsError(msg)
    try:
        tensors = load_file(path)
        return {name: tensors[name] for name in names}
    except SafetensorError as error:
        msg = f"{path}: not a safetensors file ({error})"
        raise CheckpointError(msg) from error
    except KeyError as error:
        msg = f"{path}: holds no {error}; wanted the file that tools/fetch_metric_weights.py makes"
        raise CheckpointError(msg) from error
