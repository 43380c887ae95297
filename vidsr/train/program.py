"""A training run from files: what `vidsr train` and `python -m vidsr.train` both start."""

from dataclasses import dataclass
from pathlib import Path

from vidsr.models.lpips import Lpips
from vidsr.train.held_out import read_held_out
from vidsr.train.loop import TrainFiles, train
from vidsr.train.settings import read_degradation, read_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Where a run finds what it needs."""

    config: Path
    """YAML of TrainSettings; the degradation sets it mixes lie in `degradation/` beside it."""
    data: Path
    """Pack of photographs, made by tools/collect_photographs.py."""
    output: Path
    """Folder of checkpoint, log and exported weights; a run that is there goes on."""
    held_out: Path | None = None
    """List of pictures to refuse; None: evaluate/heldout.yaml beside the folder of `config`."""
    lpips: Path | None = None
    """lpips_alex.safetensors of tools/fetch_metric_weights.py, for `perceptual_weight`."""
    start_from: Path | None = None
    """Weights to start from."""
    device: str = "cpu"
    ranks: int = 1
    """Processes that share a batch."""


def start(options: TrainOptions) -> Path:
    """Run the training and return the exported weights.

    Raises:
        ConfigError, InputError, CheckpointError, MissingWeightsError: naming the file.
    """
    settings = read_settings(options.config)
    folder = options.config.parent
    held_out = options.held_out or folder.parent / "evaluate" / "heldout.yaml"
    return train(
        settings,
        TrainFiles(pack=options.data, output=options.output, start_from=options.start_from),
        sets=[read_degradation(folder / "degradation" / f"{name}.yaml") for name in settings.mix],
        held_out=read_held_out(held_out),
        perceptual=None if options.lpips is None else Lpips(options.lpips).to(options.device),
        device=options.device,
        num_ranks=options.ranks,
    )
