"""What each part of XPSR's training is worth: one run with all of them, and one without each.

    python -m tests.bench.ablation --output DIR --base STABLE_DIFFUSION --data DATA --config YAML
    python -m tests.bench.ablation --output DIR                   a network of random weights, in a minute

All runs have the same seed, samples, noise and number of steps, and are measured on the same pictures of the
data that none is trained on: YAML's `validation`. A run that is in DIR already goes on or is taken as it is.
With random weights the table says that the runs work, not what the parts are worth.
"""

import argparse
import dataclasses
import json
from math import prod
from pathlib import Path

import accelerate
import torch

from tests.bench.end_to_end import machine
from tests.tiny_training import TINY, write_base, write_published
from vidsr.models.tensor_file import open_tensors
from vidsr.train.held_out import read_held_out
from vidsr.train.settings import read_mapping
from vidsr.train.xpsr.names import ABLATIONS, Ablation
from vidsr.train.xpsr.program import XpsrTrainFiles, train_xpsr
from vidsr.train.xpsr.run import STATE
from vidsr.train.xpsr.settings import Validation, XpsrTrainSettings, build_settings

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SMALL_PAIRS = 12
PART_NAMES: dict[Ablation | None, str] = {
    None: "none",
    "sfa": "Semantic-Fusion Attention",
    "dfc": "degradation-free constraint",
    "prompts": "captions",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A row of the table."""

    left_out: str
    num_trained: int
    """Weights."""
    noise: float
    """Squared distance of the predicted noise on validation pictures."""
    psnr: float
    """Of the restored validation pictures, in dB."""
    psnr_shown: float


def measure(
    part: Ablation | None, settings: XpsrTrainSettings, files: XpsrTrainFiles, *, config: Path, device: str
) -> Result:
    """Train without `part`, and read off the run's own validation how good that became."""
    own = dataclasses.replace(files, output=files.output / (part or "all"))
    train_xpsr(
        dataclasses.asdict(settings),
        own,
        config=config,
        held_out=read_held_out(CONFIGS / "evaluate" / "heldout.yaml"),
        device=device,
        ablation=part,
    )
    lines = [json.loads(line) for line in (own.output / "log.jsonl").read_text().splitlines()]
    scores = next(line["validation"] for line in reversed(lines) if "validation" in line)
    sizes = [
        prod(shape)
        for name, shape in open_tensors(own.output / STATE).shapes.items()
        if name.startswith("trained/")
    ]
    return Result(
        left_out=PART_NAMES[part],
        num_trained=sum(sizes),
        noise=scores["noise"],
        psnr=scores["PSNR"],
        psnr_shown=scores["PSNR shown"],
    )


def to_markdown(results: list[Result]) -> str:
    """Return the table."""
    rows = ["| left out | trained weights | noise | PSNR | PSNR of what was shown |", "|---|---|---|---|---|"]
    rows += (
        f"| {row.left_out} | {row.num_trained:,} | {row.noise:.4f} | {row.psnr:.2f} | {row.psnr_shown:.2f} |"
        for row in results
    )
    return "\n".join(rows)


def small(output: Path, steps: int) -> tuple[XpsrTrainSettings, XpsrTrainFiles]:
    """Write a tiny base and pairs, and return a run on them."""
    base, data = output / "base", output / "pairs"
    if not base.exists():
        write_base(base)
        write_published(data, num_pictures=SMALL_PAIRS, side=32)
    settings = dataclasses.replace(
        TINY,
        steps=steps,
        resolution=32,
        degradation=None,
        validation=Validation(pictures=4, steps=4, guidance_scale=1.0),
    )
    return settings, XpsrTrainFiles(data=data, base=base, output=output, sets=CONFIGS)


def main() -> None:
    """Run all four and print the table."""
    parser = argparse.ArgumentParser(description="Ablation of XPSR's training.")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--config", type=Path, default=CONFIGS / "train" / "xpsr.yaml")
    parser.add_argument("--steps", type=int, help="in place of the config's; 60 without a base")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    if (options.base is None) != (options.data is None):
        parser.error("--base and --data go together")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.base is None:
        settings, files = small(options.output, options.steps or 60)
    else:
        settings = build_settings(read_mapping(options.config), path=options.config)
        sets = options.config.parent / "degradation"
        files = XpsrTrainFiles(data=options.data, base=options.base, output=options.output, sets=sets)
    steps = options.steps or settings.steps
    settings = dataclasses.replace(settings, steps=steps, validate_every=steps)
    results = [
        measure(part, settings, files, config=options.config, device=options.device)
        for part in (None, *ABLATIONS)
    ]
    gpu = {"gpu": torch.cuda.get_device_name()} if options.device == "cuda" else {}
    print(json.dumps({**machine(), **gpu, "accelerate": accelerate.__version__}))
    print(
        f"{steps} steps of {settings.batch_size} pictures of {settings.resolution} pixels; "
        f"{settings.validation.pictures} validation pictures; seed {settings.seed}"
    )
    if options.base is None:
        print("Random weights: this shows that the runs work, not what the parts are worth.")
    print(to_markdown(results))
    rows = [dataclasses.asdict(row) for row in results]
    (options.output / "ablation.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
