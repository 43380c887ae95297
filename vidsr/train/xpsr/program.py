"""A training run of XPSR from files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vidsr.diffusion.latent import NoiseSchedule
from vidsr.errors import ConfigError, InputError, MachineError, UsageError
from vidsr.models.device import resolve_device
from vidsr.models.xpsr.autoencoder import Autoencoder
from vidsr.models.xpsr.base import load_text, load_vae, scheduler_config
from vidsr.models.xpsr.checkpoint import find_base
from vidsr.models.xpsr.text import TextEncoder
from vidsr.train.held_out import HeldOut
from vidsr.train.settings import read_degradation
from vidsr.train.xpsr.encode import Encoder
from vidsr.train.xpsr.initialise import StartNetworks, networks_from_base, networks_from_checkpoint
from vidsr.train.xpsr.names import Ablation
from vidsr.train.xpsr.pairs import Pairs, Samples
from vidsr.train.xpsr.photographs import open_photographs
from vidsr.train.xpsr.published import is_published_layout, open_published
from vidsr.train.xpsr.settings import XpsrTrainSettings, build_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class XpsrTrainFiles:
    """Where a run of XPSR finds what it needs."""

    data: Path
    """Photographs, or pairs in the published layout."""
    base: Path
    """Stable Diffusion 1.5 with its unet/."""
    output: Path
    """Folder of state.safetensors, log.jsonl, validation/ and checkpoint-N; a run that is there goes on."""
    sets: Path
    """Folder of the degradation sets."""
    start_from: Path | None = None
    """An XPSR checkpoint to train further; None begins at the base."""
    board: Path | None = None
    """Folder of event files for tensorboard; None writes none."""


def train_xpsr(
    tree: Mapping[str, Any],
    files: XpsrTrainFiles,
    *,
    config: Path,
    held_out: HeldOut,
    device: str = "cpu",
    ablation: Ablation | None = None,
) -> Path:
    """Train, and return the last checkpoint-N.

    Args:
        tree: what stands in the YAML.
        files: where pictures and weights come from and results go.
        config: the YAML, for errors.
        held_out: pictures that must not be trained on.
        device: cpu or cuda.
        ablation: a part to train without.

    Raises:
        ConfigError, InputError, CheckpointError, MissingWeightsError: naming the file.
        MachineError: accelerate is not installed, or there is no such device.
        UnwritableError, DiskFullError: naming the output.
    """
    settings = build_settings(dict(tree), path=config)
    if files.start_from is not None and ablation == "sfa":
        msg = "--ablate sfa: a checkpoint has the parts it was trained with; leave --start-from out"
        raise UsageError(msg)
    resolve_device("cuda" if device == "cuda" else "cpu")
    pairs = open_pairs(files, settings, config=config, held_out=held_out)
    samples = Samples(
        pairs=pairs,
        odds=settings.odds,
        seed=settings.seed,
        num_validation=settings.validation.pictures,
        with_captions=ablation != "prompts",
    )
    return _run(settings, files, samples, device=device, ablation=ablation)


def open_pairs(
    files: XpsrTrainFiles, settings: XpsrTrainSettings, *, config: Path, held_out: HeldOut
) -> Pairs:
    """Open the data as what it is: the settings must say the same.

    Raises:
        InputError, ConfigError: naming the file.
    """
    if not files.data.is_dir():
        msg = f"{files.data}: no such folder; wanted photographs, or dataset_N of the published layout"
        raise InputError(msg)
    if is_published_layout(files.data):
        if settings.degradation is not None:
            msg = f"{config}: degradation: {files.data} holds pairs that are degraded already; wanted null"
            raise ConfigError(msg)
        return open_published(files.data, resolution=settings.resolution, held_out=held_out)
    if settings.degradation is None:
        msg = f"{config}: degradation: null is for the published layout, and {files.data} has no dataset_N"
        raise ConfigError(msg)
    return open_photographs(
        files.data,
        sets=[read_degradation(files.sets / f"{name}.yaml") for name in settings.degradation],
        shares=list(settings.degradation.values()),
        resolution=settings.resolution,
        held_out=held_out,
    )


def _run(
    settings: XpsrTrainSettings,
    files: XpsrTrainFiles,
    samples: Samples,
    *,
    device: str,
    ablation: Ablation | None,
) -> Path:
    try:
        # Of the extra `train`; whoever only restores does without.
        from vidsr.train.xpsr.run import XpsrRun, make_accelerator
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "accelerate":
            raise
        msg = "training XPSR needs accelerate: pip install 'vidsr[train]'"
        raise MachineError(msg) from error
    accelerator = make_accelerator(settings, device=device)
    files.output.mkdir(parents=True, exist_ok=True)
    run = XpsrRun(
        settings,
        start_networks(files, settings, ablation),
        open_encoder(files.base, accelerator.device, seed=settings.seed),
        samples,
        accelerator=accelerator,
        output=files.output,
        ablation=ablation,
    )
    return run.train(board=files.board)


def start_networks(
    files: XpsrTrainFiles, settings: XpsrTrainSettings, ablation: Ablation | None
) -> StartNetworks:
    """Return what the run begins at.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    if files.start_from is not None:
        return networks_from_checkpoint(files.start_from)
    return networks_from_base(files.base, seed=settings.seed, with_fusion=ablation != "sfa")


def open_encoder(base: Path, device: torch.device, *, seed: int) -> Encoder:
    """Load what is used of Stable Diffusion beside its UNet.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    folders = find_base(base)
    autoencoder, text = load_vae(folders, device=device), load_text(folders, device=device)
    autoencoder.requires_grad_(False)
    text.encoder.requires_grad_(False)
    return Encoder(
        autoencoder=Autoencoder(autoencoder),
        text=TextEncoder(text.tokenizer, text.encoder),
        schedule=NoiseSchedule(scheduler_config(folders)),
        device=device,
        seed=seed,
    )
