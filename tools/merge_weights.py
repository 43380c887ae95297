"""Puts the estimate of one run and the denoiser of another into one file.

    python tools/merge_weights.py ESTIMATE DENOISER OUTPUT --note TEXT --training-steps N ...

A denoiser is trained on one estimate, and goes with a better one too.
--steps and --strength are what `restore.steps` and `restore.strength` default to with these weights.
"""

import argparse
from pathlib import Path

from vidsr.models.compact import weights


def main() -> None:
    """Merge as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("estimate", type=Path, help="weights file whose estimate is taken")
    parser.add_argument("denoiser", type=Path, help="weights file whose denoiser is taken")
    parser.add_argument("output", type=Path)
    parser.add_argument("--training-steps", type=int, required=True, help="of all stages of both")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--strength", type=float, required=True)
    parser.add_argument("--note", required=True, help="where both come from")
    options = parser.parse_args()
    estimate, _ = weights.load(options.estimate)
    denoiser, _ = weights.load(options.denoiser)
    if denoiser.denoiser is None:
        parser.error(f"{options.denoiser}: holds an estimate alone; wanted weights of a denoiser's training")
    info = weights.WeightsInfo(
        training_steps=options.training_steps,
        note=options.note,
        steps=options.steps,
        strength=options.strength,
    )
    weights.save(options.output, weights.CompactModel(estimate.estimate, denoiser.denoiser), info)
    print(f"{options.output}: {weights.digest(options.output)}")


if __name__ == "__main__":
    main()
