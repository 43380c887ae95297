"""What a training run is told: frozen values, read strictly from YAML."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vidsr.errors import ConfigError
from vidsr.models.compact.unet import UNetShape
from vidsr.nearest import nearest
from vidsr.train.degradation import CodecRange, DegradationSet, DegradationStage, InterlaceRange

Value = TypeVar("Value")

SMALLEST_CROP = 96
"""High-resolution pixels: at 0.15 of this, where the strongest set goes, the widest kernel still fits."""

_STAGES, _LATER = ("first", "second"), ("codec", "interlace")
"""Keys of a set of degradations: those that must be there, if only as null, and those that may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionPolicy:
    """How training captions differ from the plain truth."""

    empty_probability: float
    drop_probability: float
    keep_probability: float
    misjudge_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionPolicy:
    """How far a previous frame lies from its next; lengths in low-resolution pixels."""

    max_shift: float
    max_turn: float
    """Degrees."""
    max_zoom: float
    """Share by which sizes differ."""
    flow_error: float
    """Standard deviation of the smooth error of the flow that the network is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionPolicy:
    """What the denoiser is trained on."""

    timestep_shares: tuple[float, float, float, float]
    """Of t = 1 to 4, in samples without a previous frame."""
    previous_probability: float
    """Share of samples that see the result of a previous frame."""
    warm_probability: float
    """Share of those that start from it; the others are at t = 1."""
    negative_probability: float
    """Share of samples with the negative high-level prior, whose target is the degraded picture."""
    residual_weight: float
    """Of the squared distance of the predicted residual, in units of its variance."""
    temporal_weight: float
    """Of the distance from the previous result where that is to be trusted."""
    adversarial_weight: float
    """Of what the adversary of `vidsr.train.adversary` says; 0 trains without one."""
    motion: MotionPolicy
    best_steps: int
    best_strength: float
    """Both are written into the weights as what they are best at: chosen on validation pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """One training run; configs/train/xpsr-s.yaml says what each number does."""

    seed: int
    steps: int
    batch_size: int
    crop: int
    crop_choices: int
    mix: dict[str, float]
    captions: CaptionPolicy
    learning_rate: float
    warmup_steps: int
    ema_decay: float
    charbonnier_epsilon: float
    psnr_weight: float
    constraint_weight: float
    perceptual_weight: float
    lattice_weight: float
    diffusion: DiffusionPolicy | None
    """None trains the estimate, a policy the denoiser."""
    network: UNetShape
    checkpoint_every: int
    validate_every: int

    def __post_init__(self) -> None:
        """Refuse numbers that no run can work with."""
        if self.crop < SMALLEST_CROP or self.crop % 32:
            msg = f"crop: wanted a multiple of 32 from {SMALLEST_CROP}, got {self.crop}"
            raise ConfigError(msg)
        if self.crop_choices < 1:
            msg = f"crop_choices: wanted at least 1, got {self.crop_choices}"
            raise ConfigError(msg)
        if self.diffusion is not None and (self.psnr_weight or self.constraint_weight):
            msg = "psnr_weight and constraint_weight are of the estimate: wanted 0 beside diffusion"
            raise ConfigError(msg)
        if abs(sum(self.mix.values()) - 1) > 1e-6:
            msg = f"mix: shares add up to {sum(self.mix.values()):g}, wanted 1"
            raise ConfigError(msg)


def read_settings(path: Path) -> TrainSettings:
    """Read a training run's YAML.

    Raises:
        ConfigError: unknown or missing keys, or values of the wrong type.
    """
    return build_value(TrainSettings, read_mapping(path), where=str(path))


def read_degradation(path: Path) -> DegradationSet:
    """Read a set of configs/train/degradation."""
    return degradation_of(read_mapping(path), where=str(path))


def degradation_of(tree: Mapping[str, Any], *, where: str) -> DegradationSet:
    """Return the set that a YAML of configs/train/degradation holds.

    Raises:
        ConfigError: unknown or missing keys, or values of the wrong type.
    """
    _check_keys(tree, _STAGES, where=where, optional=_LATER)
    codec, interlace = (tree.get(name) for name in _LATER)
    if all(tree[name] is None for name in _STAGES):
        if codec is not None or interlace is not None:
            msg = f"{where}: {' and '.join(_LATER)} follow first and second, which are null: wanted null too"
            raise ConfigError(msg)
        return DegradationSet(stages=None)
    first, second = (build_value(DegradationStage, tree[name], where=f"{where}: {name}") for name in _STAGES)
    return DegradationSet(
        stages=(first, second),
        codec=None if codec is None else build_value(CodecRange, codec, where=f"{where}: codec"),
        interlace=(
            None if interlace is None else build_value(InterlaceRange, interlace, where=f"{where}: interlace")
        ),
    )


def build_value(kind: type[Value], tree: Any, *, where: str) -> Value:  # noqa: ANN401  # YAML until it is checked
    """Make the dataclass `kind` from a mapping that has each of its fields and nothing else."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # kind is a dataclass
    if not isinstance(tree, Mapping):
        msg = f"{where}: wanted a mapping with {names}, got {tree!r}"
        raise ConfigError(msg)
    _check_keys(tree, names, where=where)
    values = {name: _convert(hints[name], tree[name], f"{where}: {name}") for name in names}
    try:
        return kind(**values)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def _check_keys(
    tree: Mapping[Any, Any], names: Sequence[str], *, where: str, optional: Sequence[str] = ()
) -> None:
    """Refuse keys that are in neither list, and the lack of one of `names`."""
    known = [*names, *optional]
    for key in tree:
        if key not in known:
            msg = f"{where}: unknown key {key}{nearest(str(key), known)}; known are {', '.join(known)}"
            raise ConfigError(msg)
    if missing := [name for name in names if name not in tree]:
        msg = f"{where}: lacks the key{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise ConfigError(msg)


def _convert(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401  # a type annotation and YAML
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build_value(hint, value, where=where)
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        # Only "X | None" occurs.
        return None if value is None else _convert(typing.get_args(hint)[0], value, where)
    if origin is tuple and isinstance(value, list) and len(value) == len(typing.get_args(hint)):
        return tuple(
            _convert(item, entry, where) for item, entry in zip(typing.get_args(hint), value, strict=True)
        )
    if origin is dict and isinstance(value, dict):
        kind = typing.get_args(hint)[1]
        return {str(key): _convert(kind, entry, f"{where}: {key}") for key, entry in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            msg = f"{where}: wanted a finite number, got {value}"
            raise ConfigError(msg)
        return float(value)
    # No subclasses of int: a bool is one to Python.
    if (hint in {int, bool} and type(value) is hint) or (
        origin is typing.Literal and value in typing.get_args(hint)
    ):
        return value
    # Of generic types the whole, such as dict[str, float].
    name = hint.__name__ if isinstance(hint, type) and origin is None else hint
    msg = f"{where}: wanted {name}, got {value!r}"
    raise ConfigError(msg)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds names and values.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read as YAML ({type(error).__name__})"
        raise ConfigError(msg) from error
    if not isinstance(tree, dict):
        msg = f"{path}: wanted a YAML mapping"
        raise ConfigError(msg)
    return tree
