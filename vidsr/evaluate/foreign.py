"""Networks of other people as files: TorchScript, or ONNX where onnxruntime is installed.

    MUSIQ:                                 # or MANIQA, CLIP-IQA, or a name of your own
      file: musiq.pt                       # beside this file; what is not .onnx is TorchScript
      range: [0, 1]                        # what black and white are to the network
      source: MUSIQ, KonIQ-10k             # backbone and version, for the table
    FID:
      file: inception.pt
      range: [-1, 1]
      source: InceptionV3, 2015-12-05
      crop: 256                            # side of the crops that tile the pictures
      side: 299                            # what each of them is resized to

A network that judges is given one picture, RGB [1, 3, H, W] in its range, and returns one number. FID's is
given [B, 3, side, side] and returns [B, D]. What else it needs, such as a mean taken off, is inside the file.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidsr.errors import CheckpointError, ConfigError, MachineError, MissingWeightsError
from vidsr.evaluate.fid import Fid
from vidsr.evaluate.image import PEAK, Pixels
from vidsr.evaluate.metric import PictureScore
from vidsr.files import sha256_of

FID = "FID"
_KEYS = ("file", "range", "source")
_FID_KEYS = (*_KEYS, "crop", "side")
_DIGITS = 12
"""Of a digest, in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignNetwork:
    """An entry of the file."""

    file: Path
    range: tuple[float, float]
    source: str
    crop: int = 0
    side: int = 0
    """Both of FID alone."""

    @property
    def stated(self) -> str:
        """What the table says of it: its file by digest, too."""
        return f"{self.source}; {self.file.name} {sha256_of(self.file)[:_DIGITS]}"


def read_networks(path: Path) -> dict[str, ForeignNetwork]:
    """Return the networks that the YAML at `path` names.

    Raises:
        ConfigError: it cannot be read, or does not hold what the module's docstring shows.
        MissingWeightsError: a file that it names is not there.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML ({type(error).__name__})"
        raise ConfigError(msg) from error
    if not isinstance(tree, dict):
        msg = f"{path}: wanted a mapping from names of metrics to networks"
        raise ConfigError(msg)
    return {str(name): _entry(entry, path, name=str(name)) for name, entry in tree.items()}


def open_score(network: ForeignNetwork) -> PictureScore:
    """Return the network as a metric of single pictures.

    Raises:
        CheckpointError: the file is no network.
        MachineError: it is an ONNX file, and onnxruntime is not installed.
    """
    run = _load(network.file)

    def score(pixels: Pixels) -> float:
        output = run(_tensor([pixels], network.range))
        if output.numel() != 1 or not math.isfinite(float(output)):
            msg = f"{network.file}: returned {tuple(output.shape)} for one picture; wanted one finite number"
            raise CheckpointError(msg)
        return float(output)

    return score


def open_fid(network: ForeignNetwork) -> Fid:
    """Return FID in the features of the network; errors as of `open_score`."""
    run = _load(network.file)

    def features(crops: Sequence[Pixels]) -> NDArray[np.float32]:
        size = (network.side, network.side)
        batch = F.interpolate(_tensor(crops, (0, 1)), size=size, mode="bicubic", antialias=True).clamp(0, 1)
        low, high = network.range
        output = run(low + (high - low) * batch).flatten(1)
        if len(output) != len(crops) or not bool(output.isfinite().all()):
            msg = (
                f"{network.file}: returned {tuple(output.shape)} for {len(crops)} crops; wanted finite [B, D]"
            )
            raise CheckpointError(msg)
        return output.float().numpy()

    return Fid(features=features, crop=network.crop)


def _entry(entry: Any, path: Path, *, name: str) -> ForeignNetwork:  # noqa: ANN401  # YAML until it is checked
    where = f"{path}: {name}"
    keys = _FID_KEYS if name == FID else _KEYS
    if not isinstance(entry, Mapping) or set(entry) != set(keys):
        msg = f"{where}: wanted the keys {', '.join(keys)} and no others, got {entry!r}"
        raise ConfigError(msg)
    ends = entry["range"]
    if not (isinstance(ends, list) and len(ends) == 2 and all(_is_number(end) for end in ends)):
        msg = f"{where}: range: wanted what black and white are, such as [0, 1], got {ends!r}"
        raise ConfigError(msg)
    sides = {key: entry[key] for key in keys if key not in _KEYS}
    for key, side in sides.items():
        if not isinstance(side, int) or side < 1:
            msg = f"{where}: {key}: wanted a number of pixels, got {side!r}"
            raise ConfigError(msg)
    file = path.parent / str(entry["file"])
    if not file.is_file():
        msg = f"{where}: {file}: no such file"
        raise MissingWeightsError(msg)
    return ForeignNetwork(
        file=file, range=(float(ends[0]), float(ends[1])), source=str(entry["source"]), **sides
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tensor(pictures: Sequence[Pixels], ends: tuple[float, float]) -> Tensor:
    """Return uint8 pictures [H, W, 3] as [B, 3, H, W], black and white at `ends`."""
    low, high = ends
    stacked = np.stack(pictures).astype(np.float32)
    return low + (high - low) * torch.from_numpy(stacked).permute(0, 3, 1, 2) / PEAK


def _load(path: Path) -> Callable[[Tensor], Tensor]:
    run = _load_onnx(path) if path.suffix == ".onnx" else _load_torchscript(path)

    def checked(pictures: Tensor) -> Tensor:
        try:
            return run(pictures)
        except (RuntimeError, ValueError) as error:
            said = str(error).strip().rpartition("\n")[2]
            msg = f"{path}: fails on pictures of {pictures.shape[3]}x{pictures.shape[2]}: {said}"
            raise CheckpointError(msg) from error

    return checked


def _load_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        # torch calls TorchScript deprecated; the files that are about are in it.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            msg = f"{path}: no TorchScript file"
            raise CheckpointError(msg) from error
    module.eval()

    def run(pictures: Tensor) -> Tensor:
        with torch.inference_mode():
            output: Tensor = module(pictures)
        return output

    return run


def _load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    except ImportError as error:
        msg = f"{path}: needs onnxruntime; pip install 'vidsr[onnx]', or give a TorchScript file"
        raise MachineError(msg) from error
    failures = (states.Fail, states.InvalidArgument, states.InvalidProtobuf, states.RuntimeException)
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except failures as error:
        msg = f"{path}: no ONNX file that onnxruntime {onnxruntime.__version__} can run ({error})"
        raise CheckpointError(msg) from error
    name = session.get_inputs()[0].name

    def run(pictures: Tensor) -> Tensor:
        try:
            return torch.from_numpy(np.asarray(session.run(None, {name: pictures.numpy()})[0]))
        except failures as error:
            raise ValueError(str(error).partition("\n")[0]) from error

    return run
