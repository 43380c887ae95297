"""The training loop of XPSR, on accelerate: one process or many, resumable to the step."""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from torch.utils.data import DataLoader

from vidsr.files import sha256_of
from vidsr.models.xpsr.blocks import recompute_in_backward
from vidsr.train import checkpoint
from vidsr.train.gradients import refuse_diverged
from vidsr.train.run_log import RunLog
from vidsr.train.xpsr.average import Average
from vidsr.train.xpsr.encode import Encoder
from vidsr.train.xpsr.export import write_checkpoint
from vidsr.train.xpsr.initialise import StartNetworks
from vidsr.train.xpsr.names import Ablation
from vidsr.train.xpsr.objective import Losses, TrainedPair
from vidsr.train.xpsr.pairs import Batch, BatchStream, Samples
from vidsr.train.xpsr.settings import XpsrTrainSettings
from vidsr.train.xpsr.trained import choose_trained
from vidsr.train.xpsr.validate import Validator, make_sheet, write_sheet

log = logging.getLogger(__name__)

GRADIENT_LIMIT = 1.0
"""Of the norm over both networks together."""
STATE = "state.safetensors"
NUM_WORKERS = 2
FREE = (
    *("steps", "log_every", "validate_every", "checkpoint_every", "export_every", "validation"),
    *("micro_batch", "gradient_checkpointing"),
)
"""Settings that may be others when a run goes on: they change no weights, or by rounding alone. The number of
validation pictures, which are not trained on, may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a run was started as; with the settings it says whether a state belongs to it."""

    weights: tuple[str, ...]
    """SHA-256 of the files that both networks began as."""
    ablation: Ablation | None

    @classmethod
    def of(cls, networks: StartNetworks, ablation: Ablation | None) -> "Origin":
        """Read the files of weights once."""
        return cls(weights=tuple(sha256_of(path) for path in networks.weights), ablation=ablation)


class XpsrRun:
    """Networks, average, optimiser and step: what a state holds."""

    def __init__(
        self,
        settings: XpsrTrainSettings,
        networks: StartNetworks,
        encoder: Encoder,
        samples: Samples,
        *,
        accelerator: Accelerator,
        output: Path,
        ablation: Ablation | None,
    ) -> None:
        self.settings = settings
        self.step = 0
        self._networks = networks
        self._encoder = encoder
        self._samples = samples
        self._accelerator = accelerator
        self._output = output
        self._origin = Origin.of(networks, ablation)
        self._constraint_weight = 0.0 if ablation == "dfc" else settings.constraint_weight
        self._trained = choose_trained(
            networks.unet, networks.controlnet, with_heads=self._constraint_weight > 0
        )
        if settings.gradient_checkpointing:
            recompute_in_backward(networks.unet)
            recompute_in_backward(networks.controlnet)
        self._optimizer = torch.optim.AdamW(
            self._trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        pair = TrainedPair(networks.unet, networks.controlnet).train()
        self._pair, self._prepared = accelerator.prepare(pair, self._optimizer)
        self._average = Average(self._trained, decay=settings.ema_decay)

    def train(self, *, board: Path | None = None) -> Path:
        """Train to the end, from the state in the output folder if any; return the last checkpoint.

        Args:
            board: folder of event files for tensorboard; None writes none.
        """
        self._begin()
        started, first = time.monotonic(), self.step
        batches = self._batches()
        with contextlib.closing(RunLog(self._output, after=first, board=board)) as run_log:
            while self.step < self.settings.steps:
                losses, norm = self._take_step(batches)
                if self._accelerator.is_main_process and self.step % self.settings.log_every == 0:
                    rate = (self.step - first) * self.settings.batch_size / (time.monotonic() - started)
                    run_log.write(
                        {"loss": losses, "gradient_norm": norm, "pictures_per_second": round(rate, 2)},
                        step=self.step,
                    )
                self._keep(run_log)
        return self._output / f"checkpoint-{self.step}"

    def _take_step(self, batches: Iterator[Batch]) -> tuple[dict[str, float], float]:
        """Take one step; return its losses and the norm of its gradient before it was limited."""
        settings, accelerator = self.settings, self._accelerator
        rate = settings.learning_rate * min(1.0, (self.step + 1) / max(1, settings.warmup_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        passes = settings.passes(accelerator.num_processes)
        sums = torch.zeros(len(Losses._fields), device=accelerator.device)
        norm = 0.0
        for _ in range(passes):
            batch = next(batches)
            with accelerator.autocast():
                example = self._encoder.example(batch)
            # Both networks in one module: in two contexts accelerate would count each pass twice.
            with accelerator.accumulate(self._pair):
                losses: Losses = self._pair(example, constraint_weight=self._constraint_weight)
                accelerator.backward(losses.total)
                if accelerator.sync_gradients:
                    norm = float(accelerator.clip_grad_norm_(self._trained.values(), GRADIENT_LIMIT))
                    refuse_diverged(norm, step=self.step)
                self._prepared.step()
                self._prepared.zero_grad(set_to_none=True)
            sums += torch.stack([loss.detach().float() for loss in losses]) / passes
        self.step += 1
        self._average.follow(self.step)
        means = accelerator.reduce(sums, "mean").tolist()
        return dict(zip(Losses._fields, means, strict=True)), norm

    def _keep(self, run_log: RunLog) -> None:
        """Write and look at what is due after this step."""
        settings, is_last = self.settings, self.step == self.settings.steps
        if not self._accelerator.is_main_process:
            self._accelerator.wait_for_everyone()
            return
        if settings.validation.pictures and self.step % settings.validate_every == 0:
            self._validate(run_log)
        if is_last or self.step % settings.export_every == 0:
            with self._average.in_place():
                write_checkpoint(self._output, self._networks, step=self.step)
        if is_last or self.step % settings.checkpoint_every == 0:
            self._save()
        self._accelerator.wait_for_everyone()

    def _validate(self, run_log: RunLog) -> None:
        validator = Validator(
            samples=self._samples.validation(),
            encoder=self._encoder,
            settings=self.settings.validation,
            constraint_weight=self._constraint_weight,
        )
        networks = (self._networks.unet, self._networks.controlnet)
        with self._average.in_place(), self._accelerator.autocast():
            losses = validator.losses(*networks)
            restored = validator.restore(*networks)
        sheet = make_sheet(validator.samples, restored)
        write_sheet(self._output / "validation" / f"step-{self.step:07d}.png", sheet)
        scores = validator.scores(restored)
        run_log.write({"validation": {**losses, **scores}}, step=self.step, pictures={"validation": sheet})

    def _save(self) -> None:
        groups: dict[str, Mapping[str, torch.Tensor]] = {
            "trained": self._trained,
            "average": self._average.tensors,
            "optimizer": checkpoint.optimizer_tensors(self._optimizer, self._trained),
        }
        checkpoint.save(self._output / STATE, groups, step=self.step, settings_digest=self._digest())

    def _begin(self) -> None:
        path = self._output / STATE
        if not path.is_file():
            return
        groups, self.step = checkpoint.load(path, settings_digest=self._digest())
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(groups["trained"][name])
        self._average.load(groups["average"])
        checkpoint.restore_optimizer(self._optimizer, self._trained, groups["optimizer"])
        log.info("resumed at step %d", self.step)

    def _digest(self) -> str:
        """Return what a state is tied to, by SHA-256: everything but the settings that are free."""
        tree: dict[str, Any] = asdict(self.settings)
        for name in FREE:
            del tree[name]
        tree |= {"validation_pictures": self.settings.validation.pictures, **asdict(self._origin)}
        return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    def _batches(self) -> Iterator[Batch]:
        """Yield this process's share of each batch, a pass at a time, made in worker processes."""
        settings, accelerator = self.settings, self._accelerator
        passes, size = settings.passes(accelerator.num_processes), settings.micro_batch
        first = accelerator.process_index * passes * size
        starts = range(first, first + passes * size, size)
        shares = [tuple(range(start, start + size)) for start in starts]
        loader = DataLoader(
            BatchStream(self._samples),
            batch_size=None,
            sampler=((step, share) for step in range(self.step, settings.steps) for share in shares),
            num_workers=NUM_WORKERS,
            prefetch_factor=3,
            # Of its own, or the loader would draw from the random state of the caller.
            generator=torch.Generator(),
        )
        yield from loader


def make_accelerator(settings: XpsrTrainSettings, *, device: str) -> Accelerator:
    """Return accelerate's hold on the device, and on the other processes where it was launched with some.

    Raises:
        ConfigError: the batch cannot be shared by the processes.
    """
    precision = "bf16" if settings.precision == "bfloat16" else "no"
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=precision)
    accelerator.gradient_accumulation_steps = settings.passes(accelerator.num_processes)
    return accelerator
