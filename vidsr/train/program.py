"""A training run from files: what `vidsr train` and `python -m vidsr.train` both start.

A YAML with `kind: xpsr` trains XPSR; one without a kind trains the embedded model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsr.errors import ConfigError, UsageError
from vidsr.models.lpips import Lpips
from vidsr.train.held_out import HeldOut, read_held_out
from vidsr.train.loop import TrainFiles, train
from vidsr.train.run_log import summary_writer
from vidsr.train.settings import TrainSettings, build_value, read_degradation, read_mapping
from vidsr.train.xpsr.names import KIND, Ablation


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Where a run finds what it needs."""

    config: Path
    """YAML of either kind; the degradation sets it mixes lie in `degradation/` beside it."""
    data: Path
    """Pack of photographs, made by tools/collect_photographs.py; for XPSR any pictures, or pairs."""
    output: Path
    """Folder of checkpoint, log and exported weights; a run that is there goes on."""
    held_out: Path | None = None
    """List of pictures to refuse; None: evaluate/heldout.yaml beside the folder of `config`."""
    lpips: Path | None = None
    """lpips_alex.safetensors of tools/fetch_metric_weights.py, for `perceptual_weight`."""
    start_from: Path | None = None
    """Weights to start from."""
    base: Path | None = None
    """Folder of Stable Diffusion 1.5, for XPSR."""
    ablate: Ablation | None = None
    """A part of XPSR to train without."""
    device: str = "cpu"
    ranks: int = 1
    """Processes that share a batch; those of XPSR are started by `accelerate launch`."""
    tensorboard: bool = False
    """Write event files too."""

    @property
    def board(self) -> Path | None:
        """Folder of the event files, if there are to be any."""
        return self.output / "tensorboard" if self.tensorboard else None


def start(options: TrainOptions) -> Path:
    """Run the training and return the exported weights.

    Raises:
        UsageError: an option is not for what is trained.
        ConfigError, InputError, CheckpointError, MissingWeightsError: naming the file.
        MachineError: training XPSR or the board needs a package that is not installed.
    """
    if options.tensorboard:
        # Now, or it would be missed with the first entry of the log.
        summary_writer()
    tree = read_mapping(options.config)
    held_out = read_held_out(options.held_out or options.config.parent.parent / "evaluate" / "heldout.yaml")
    if "kind" not in tree:
        return _start_embedded(options, tree, held_out)
    if tree["kind"] != KIND:
        msg = (
            f"{options.config}: kind: wanted {KIND}, or no kind for the embedded model, got {tree['kind']!r}"
        )
        raise ConfigError(msg)
    return _start_xpsr(options, tree, held_out)


def _start_embedded(options: TrainOptions, tree: Mapping[str, Any], held_out: HeldOut) -> Path:
    _refuse(options, {"--base": options.base, "--ablate": options.ablate}, trained="the embedded model")
    settings = build_value(TrainSettings, tree, where=str(options.config))
    sets = options.config.parent / "degradation"
    return train(
        settings,
        TrainFiles(
            pack=options.data, output=options.output, start_from=options.start_from, board=options.board
        ),
        sets=[read_degradation(sets / f"{name}.yaml") for name in settings.mix],
        held_out=held_out,
        perceptual=None if options.lpips is None else Lpips(options.lpips).to(options.device),
        device=options.device,
        num_ranks=options.ranks,
    )


def _start_xpsr(options: TrainOptions, tree: Mapping[str, Any], held_out: HeldOut) -> Path:
    others = {"--lpips": options.lpips, "--ranks": None if options.ranks == 1 else options.ranks}
    _refuse(options, others, trained="XPSR")
    if options.base is None:
        msg = f"{options.config} trains XPSR: wanted --base, a folder of Stable Diffusion 1.5 with its unet/"
        raise UsageError(msg)
    # Brings diffusers and transformers, which the embedded model is trained without.
    from vidsr.train.xpsr.program import XpsrTrainFiles, train_xpsr

    return train_xpsr(
        tree,
        XpsrTrainFiles(
            data=options.data,
            base=options.base,
            output=options.output,
            sets=options.config.parent / "degradation",
            start_from=options.start_from,
            board=options.board,
        ),
        config=options.config,
        held_out=held_out,
        device=options.device,
        ablation=options.ablate,
    )


def _refuse(options: TrainOptions, others: Mapping[str, object], *, trained: str) -> None:
    """Refuse options that say nothing about what is trained."""
    for name, value in others.items():
        if value is not None:
            msg = f"{name}: {options.config} trains {trained}, which has no use for it; leave it out"
            raise UsageError(msg)
