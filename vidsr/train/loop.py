"""The training loop: resumable to the step, deterministic given its seed."""

import contextlib
import copy
import dataclasses
import functools
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn
from torch.utils.data import DataLoader

from vidsr.errors import CheckpointError, ConfigError
from vidsr.models.compact import weights
from vidsr.train import checkpoint
from vidsr.train.data import Batch, BatchStream, SampleMaker
from vidsr.train.degradation import DegradationSet
from vidsr.train.denoiser_task import DenoiserTask
from vidsr.train.estimate_task import EstimateTask
from vidsr.train.gradients import refuse_diverged
from vidsr.train.held_out import HeldOut
from vidsr.train.pack import load_pack
from vidsr.train.ranks import average_gradients, run_ranks
from vidsr.train.run_log import RunLog
from vidsr.train.settings import TrainSettings
from vidsr.train.task import Perceptual, Task

log = logging.getLogger(__name__)

GRADIENT_LIMIT = 1.0
LOG_EVERY = 20
WEIGHTS_NAME = "xpsr-s.safetensors"
CHECKPOINT_NAME = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFiles:
    """Where a run reads and writes."""

    pack: Path
    output: Path
    """Folder of checkpoint.safetensors, log.jsonl and xpsr-s.safetensors."""
    start_from: Path | None = None
    """Weights to start from in place of random ones."""
    board: Path | None = None
    """Folder of event files for tensorboard; None writes none."""


def train(
    settings: TrainSettings,
    files: TrainFiles,
    *,
    sets: Sequence[DegradationSet],
    held_out: HeldOut,
    perceptual: Perceptual | None = None,
    device: str = "cpu",
    num_ranks: int = 1,
) -> Path:
    """Train to `settings.steps`, from the checkpoint in the output folder if there is one.

    Args:
        settings: the numbers.
        files: where pictures come from and results go.
        sets: degradation sets in the order of `settings.mix`.
        held_out: pictures that must not be trained on.
        perceptual: the distance that `perceptual_weight` weighs.
        device: cpu or cuda.
        num_ranks: processes that share each batch; see `vidsr.train.ranks`. The samples stay the same.

    Returns:
        The exported weights.
    """
    if settings.batch_size % num_ranks:
        msg = f"batch_size: {settings.batch_size} cannot be shared by {num_ranks} ranks"
        raise ConfigError(msg)
    if (settings.perceptual_weight > 0) != (perceptual is not None):
        msg = (
            f"perceptual_weight is {settings.perceptual_weight:g}: weights of LPIPS go with it, and only then"
        )
        raise ConfigError(msg)
    files.output.mkdir(parents=True, exist_ok=True)
    maker = SampleMaker(
        pictures=load_pack(files.pack, held_out=held_out),
        sets=sets,
        shares=list(settings.mix.values()),
        captions=settings.captions,
        crop=settings.crop,
        crop_choices=settings.crop_choices,
        seed=settings.seed,
        diffusion=settings.diffusion,
    )
    body = functools.partial(
        _train_rank, settings, files, maker, perceptual=perceptual, device=device, num_ranks=num_ranks
    )
    run_ranks(body, num_ranks)
    return files.output / WEIGHTS_NAME


def _train_rank(
    settings: TrainSettings,
    files: TrainFiles,
    maker: SampleMaker,
    rank: int,
    *,
    perceptual: Perceptual | None,
    device: str,
    num_ranks: int,
) -> None:
    """Train on this rank's share of each batch. All ranks hold the same network; rank 0 writes."""
    task = make_task(settings, files.start_from, perceptual=perceptual, device=device)
    run = TrainingRun(settings, files, task, device=device)
    run.begin(maker)
    started, first = time.monotonic(), run.step
    positions = range(rank, settings.batch_size, num_ranks)
    with contextlib.closing(RunLog(files.output, after=first, board=files.board)) as run_log:
        for batch in _batches(maker, settings, positions, start=first, device=device):
            losses = run.train_on(batch)
            if rank != 0:
                continue
            if run.step % LOG_EVERY == 0:
                rate = (run.step - first) * settings.batch_size / (time.monotonic() - started)
                run_log.write({"loss": losses, "crops_per_second": round(rate, 1)}, step=run.step)
            if run.step % settings.validate_every == 0:
                run_log.write({"validation": task.validate(run.ema, maker)}, step=run.step)
            if run.step % settings.checkpoint_every == 0 or run.step == settings.steps:
                run.save()


class TrainingRun:
    """Networks, average, optimiser and step: what a checkpoint holds."""

    def __init__(self, settings: TrainSettings, files: TrainFiles, task: Task, *, device: str) -> None:
        self.settings = settings
        self.files = files
        self.step = 0
        self.task = task
        task.network.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        task.helpers.to(device)
        self.ema = copy.deepcopy(task.network).eval()
        self._named = {
            **{f"network.{name}": parameter for name, parameter in task.network.named_parameters()},
            **{f"heads.{name}": parameter for name, parameter in task.helpers.named_parameters()},
        }
        self._optimizer = torch.optim.AdamW(
            self._named.values(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4
        )

    @property
    def export_path(self) -> Path:
        """The averaged weights as the product reads them, written with each checkpoint."""
        return self.files.output / WEIGHTS_NAME

    @property
    def _checkpoint_path(self) -> Path:
        return self.files.output / CHECKPOINT_NAME

    def train_on(self, batch: Batch) -> dict[str, float]:
        """Take one step on `batch`; return the parts of its loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        losses = self.task.losses(batch, self.step)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        average_gradients(list(self._named.values()))
        # Each by itself: a large gradient of one must not shorten the step of the other.
        for module in (self.task.network, self.task.helpers):
            norm = nn.utils.clip_grad_norm_(list(module.parameters()), GRADIENT_LIMIT)
            refuse_diverged(float(norm), step=self.step)
        self._optimizer.step()
        self.step += 1
        self._average()
        return {name: float(value.detach()) for name, value in losses.parts.items()}

    def _average(self) -> None:
        # A short memory at first, so that the average is not held back by the random start.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, current in zip(self.ema.parameters(), self.task.network.parameters(), strict=True):
                average.lerp_(current, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint and the exported average."""
        groups = {
            "network": self.task.network.state_dict(),
            "heads": self.task.helpers.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(self._optimizer, self._named),
        }
        checkpoint.save(self._checkpoint_path, groups, step=self.step, settings_digest=digest(self.settings))
        weights.save(self.export_path, *self.task.export(self.ema, steps=self.step))

    def begin(self, maker: SampleMaker) -> None:
        """Go on from the checkpoint in the output folder, or start where there is none."""
        if not self._checkpoint_path.is_file():
            self.task.prepare(maker)
            self.ema.load_state_dict(self.task.network.state_dict())
            return
        groups, self.step = checkpoint.load(self._checkpoint_path, settings_digest=digest(self.settings))
        self.task.network.load_state_dict(groups["network"])
        self.task.helpers.load_state_dict(groups.get("heads", {}))
        self.ema.load_state_dict(groups["ema"])
        checkpoint.restore_optimizer(self._optimizer, self._named, groups["optimizer"])
        log.info("resumed at step %d", self.step)


def make_task(
    settings: TrainSettings, start_from: Path | None, *, perceptual: Perceptual | None, device: str
) -> Task:
    """Return what `settings` wants trained, from random or given weights.

    Raises:
        CheckpointError, ConfigError: the weights do not go with the settings.
    """
    start = None if start_from is None else weights.load(start_from)[0]
    kind = EstimateTask if settings.diffusion is None else DenoiserTask
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        try:
            return kind(settings, start=start, perceptual=perceptual, device=device)
        except CheckpointError as error:
            msg = f"{start_from}: {error}"
            raise CheckpointError(msg) from error


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the rate at `step`: linear warm-up, then a cosine down to a fiftieth."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    cosine = 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
    return settings.learning_rate * (0.02 + 0.98 * cosine)


def digest(settings: TrainSettings) -> str:
    """Return what a checkpoint is tied to: by SHA-256, the settings but for the length and rhythm of the run.

    A run may be resumed to end earlier or later than it was meant to; the rate then follows the new length.
    """
    tree = dataclasses.asdict(settings)
    for name in ("steps", "checkpoint_every", "validate_every"):
        del tree[name]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _batches(
    maker: SampleMaker, settings: TrainSettings, positions: range, *, start: int, device: str
) -> Iterator[Batch]:
    """Yield `positions` of the batches of steps `start` to the end, made in worker processes."""
    loader = DataLoader(
        BatchStream(maker, positions=positions),
        batch_size=None,
        sampler=range(start, settings.steps),
        num_workers=1 if distributed.is_initialized() else 2,
        prefetch_factor=3,
        # Of its own, or the loader would draw from the random state of the caller.
        generator=torch.Generator(),
    )
    for batch in loader:
        yield batch.to(device)
