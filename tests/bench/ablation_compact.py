"""What each part of the embedded model's training is worth: one run with all of them, and one without each.

    python -m tests.bench.ablation_compact --output DIR --data PACK --train all sfa dfc prompts [--steps N]
    python -m tests.bench.ablation_compact --output DIR --clean HELDOUT [--metrics METRICS]

The first call trains small estimates from scratch (configs/train/xpsr-s-ablation.yaml), one after the other.
All see the same samples in the same order. Each run is one process with one thread, so two calls with two
names each share two cores; one that was stopped goes on when it is called again. The second call degrades
HELDOUT (tools/collect_heldout.py) as tests/bench/comparison.py does, and makes the table of the runs that are
in DIR and as long as the complete one. Both may be one call. What was made and measured is kept in
DIR/measured, so that another call computes what is new.

sfa: no Semantic-Fusion Attention; words still reach the residual blocks by FiLM. dfc: the degradation-free
constraint weighs nothing. prompts: no low-level prior, neither in training nor when measured.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from tests.bench.comparison import compare
from tests.bench.end_to_end import machine
from tests.bench.judges import open_judges
from tests.bench.methods import Method
from tests.bench.results import Block
from tests.bench.samples import pictures, read_set
from tests.bench.store import Store
from tests.bench.threads import one_thread
from tests.bench.xpsr_s import Told, Variant, estimate_alone, methods_of, with_other_priors
from vidsr.errors import InputError
from vidsr.evaluate.table import to_markdown
from vidsr.train import checkpoint
from vidsr.train.held_out import read_held_out
from vidsr.train.loop import CHECKPOINT_NAME, WEIGHTS_NAME, TrainFiles, digest, train
from vidsr.train.settings import TrainSettings, read_settings
from vidsr.train.xpsr.names import ABLATIONS, Ablation

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Run = Ablation | Literal["all"]
RUNS: tuple[Run, ...] = ("all", *ABLATIONS)
COMPLETE = "all parts"
LABELS: dict[Run, str] = {
    "all": COMPLETE,
    "sfa": "without Semantic-Fusion Attention",
    "dfc": "without the degradation-free constraint",
    "prompts": "without the low-level prior",
}
DEGRADATION = "light"
"""That is measured on."""


def main() -> None:
    """Train what is asked for, then measure where pictures are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIGS / "train" / "xpsr-s-ablation.yaml")
    parser.add_argument("--train", nargs="+", default=[], choices=RUNS, metavar="RUN", help=", ".join(RUNS))
    parser.add_argument("--data", type=Path, help="pack of tools/collect_photographs.py, to train on")
    parser.add_argument("--steps", type=int, help="of each run, in place of the config's")
    parser.add_argument("--clean", type=Path, help="folder of PNG pictures, to measure on")
    parser.add_argument("--metrics", type=Path, help="folder of tools/fetch_metric_weights.py")
    parser.add_argument("--every", type=int, default=1, help="measure on every n-th picture")
    parser.add_argument("--seed", type=int, default=2024, help="of the degradation that is measured on")
    options = parser.parse_args()
    if bool(options.train) != (options.data is not None) or not (options.train or options.clean):
        parser.error("wanted --train RUN... with --data PACK, or --clean HELDOUT, or both")
    settings = read_settings(options.config)
    settings = replace(settings, steps=options.steps or settings.steps)
    print(json.dumps(machine()))
    for run in options.train:
        train_run(run, settings, pack=options.data, output=options.output / run)
    if options.clean is None:
        return
    found = methods(options.output, settings)
    block = measure(found, options)
    note = (
        f"Steps: {trained_steps('all', settings, options.output)} of {settings.batch_size} crops of "
        f"{settings.crop} pixels, seed {settings.seed}, widths {settings.network.widths}."
    )
    print(f"\n{note}\n\n{to_markdown(block.rows())}")
    print(f"Difference to {COMPLETE}, picture by picture:\n\n{to_markdown(block.rows_beside(COMPLETE))}")
    kept = {"machine": machine(), "settings": asdict(settings), "note": note, "samples": block.figures}
    (options.output / "ablation.json").write_text(json.dumps(kept, indent=1) + "\n")


def settings_of(run: Run, settings: TrainSettings) -> TrainSettings:
    """Return `settings` without the part that `run` leaves out."""
    if run == "sfa":
        return replace(settings, network=replace(settings.network, num_sfa=0))
    if run == "dfc":
        return replace(settings, constraint_weight=0.0)
    if run == "prompts":
        # What is denied stays in the target, which makes no sense to those who are not told.
        captions = replace(settings.captions, empty_probability=1.0, keep_probability=0.0)
        return replace(settings, captions=captions)
    return settings


def train_run(run: Run, settings: TrainSettings, *, pack: Path, output: Path) -> None:
    """Train `run` to its end, from where it is."""
    with one_thread():
        train(
            settings_of(run, settings),
            TrainFiles(pack=pack, output=output),
            sets=[read_set(name) for name in settings.mix],
            held_out=read_held_out(CONFIGS / "evaluate" / "heldout.yaml"),
        )


def trained_steps(run: Run, settings: TrainSettings, output: Path) -> int:
    """Return how far a run is, 0 where there is none.

    Raises:
        CheckpointError: it was trained under other settings.
    """
    path = output / run / CHECKPOINT_NAME
    if not path.is_file():
        return 0
    return checkpoint.read_step(path, settings_digest=digest(settings_of(run, settings)))


def methods(output: Path, settings: TrainSettings) -> list[Method]:
    """Return the methods that the runs in the folder are, and say which runs are left out.

    Raises:
        InputError: the complete run is not there.
    """
    steps = {run: trained_steps(run, settings, output) for run in RUNS}
    if not steps["all"]:
        msg = f"{output}: holds no run `all`, which the others are compared with; make it with --train all"
        raise InputError(msg)
    found: list[Method] = []
    for run in RUNS:
        if steps[run] != steps["all"]:
            print(f"left out: {run}, which has {steps[run]} steps where `all` has {steps['all']}")
            continue
        found += methods_of(output / run / WEIGHTS_NAME, variants(run), part_frames=1)
    return found


def variants(run: Run) -> list[Variant]:
    """Return how a run is measured: as it was trained, and the complete one also as it may be told."""
    plain = estimate_alone()
    told: Told = "nothing" if run == "prompts" else "measured"
    own = Variant(name=LABELS[run], settings=plain, told=told)
    return [own, *with_other_priors(COMPLETE, plain)] if run == "all" else [own]


def measure(found: Sequence[Method], options: argparse.Namespace) -> Block:
    """Return the figures of every method on every picture."""
    samples = pictures(options.clean, read_set(DEGRADATION), seed=options.seed, every=options.every)
    store = Store(options.output / "measured", open_judges(options.metrics), kind="pictures")
    with one_thread():
        return compare(DEGRADATION, "pictures", samples, found, store)


if __name__ == "__main__":
    main()
