"""What a training run of XPSR is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidsr.errors import ConfigError
from vidsr.models.xpsr.autoencoder import FACTOR
from vidsr.train.settings import SMALLEST_CROP, build_value

Precision = Literal["float32", "bfloat16"]

_COUNTS = ("batch_size", "micro_batch", "log_every", "validate_every", "checkpoint_every", "export_every")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOdds:
    """How often a pair is shown otherwise than it is."""

    drop_captions: float
    """Both captions are empty, so that the networks know what to do without."""
    show_original: float
    """The clean picture is shown in place of the degraded one, and described as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What is looked at on the way."""

    pictures: int
    """The first ones of the data; they are not trained on."""
    steps: int
    guidance_scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class XpsrTrainSettings:
    """One training run; configs/train/xpsr.yaml says what each number does."""

    seed: int
    steps: int
    batch_size: int
    micro_batch: int
    resolution: int
    degradation: dict[str, float] | None
    odds: SampleOdds
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    constraint_weight: float
    ema_decay: float
    precision: Precision
    gradient_checkpointing: bool
    validation: Validation
    log_every: int
    validate_every: int
    checkpoint_every: int
    export_every: int

    def __post_init__(self) -> None:
        """Refuse numbers that no run can work with."""
        if self.resolution < FACTOR or self.resolution % FACTOR:
            msg = f"resolution: wanted a multiple of {FACTOR}, got {self.resolution}"
            raise ConfigError(msg)
        if self.degradation is not None and self.resolution < SMALLEST_CROP:
            msg = f"resolution: for photographs wanted at least {SMALLEST_CROP}, got {self.resolution}"
            raise ConfigError(msg)
        if self.degradation is not None and abs(sum(self.degradation.values()) - 1) > 1e-6:
            msg = f"degradation: shares add up to {sum(self.degradation.values()):g}, wanted 1"
            raise ConfigError(msg)
        for name in _COUNTS:
            if getattr(self, name) < 1:
                msg = f"{name}: wanted at least 1, got {getattr(self, name)}"
                raise ConfigError(msg)

    def passes(self, num_processes: int) -> int:
        """Return how many passes of each process make a step.

        Raises:
            ConfigError: the batch cannot be shared out like this.
        """
        at_once = self.micro_batch * num_processes
        if self.batch_size % at_once:
            msg = (
                f"batch_size: {self.batch_size} cannot be shared by {num_processes} processes of "
                f"micro_batch {self.micro_batch}; wanted a multiple of {at_once}"
            )
            raise ConfigError(msg)
        return self.batch_size // at_once


def build_settings(tree: dict[str, Any], *, path: Path) -> XpsrTrainSettings:
    """Make the settings from what stands in a YAML of kind xpsr.

    Raises:
        ConfigError: unknown or missing keys, or values that are not meant.
    """
    numbers = {name: value for name, value in tree.items() if name != "kind"}
    return build_value(XpsrTrainSettings, numbers, where=str(path))
