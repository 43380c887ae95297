"""Degrade clean pictures and restore them, laid out as `vidsr evaluate` reads it.

    python tools/make_pairs.py --clean runs/heldout --degradation light --output runs/pairs-light
    vidsr evaluate runs/pairs-light --weights runs/metrics

Writes OUTPUT/reference and one folder a method: bicubic (PIL's) and xpsr-s with the prior measured, true and
empty. The degraded pictures go to OUTPUT.lr. A picture's degradation follows from --seed and its place in
the sorted list.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vidsr.degradation_words import describe
from vidsr.models.compact import weights
from vidsr.restore.compact import CompactRestorer, best_dtype
from vidsr.restore.picture import measure
from vidsr.train.degradation import degrade
from vidsr.train.draw import Draw
from vidsr.train.settings import read_degradation
from vidsr.types import Prior

SCALE = 4
CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "train" / "degradation"


def main() -> None:
    """Read the command line and make the pairs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clean", type=Path, required=True, metavar="DIR", help="PNG pictures")
    parser.add_argument("--degradation", default="light", choices=("light", "full", "bicubic"))
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", type=Path, default=weights.SHIPPED, metavar="FILE")
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args()
    restorer = CompactRestorer.load(options.weights, scale=SCALE, device="cpu", dtype=best_dtype("cpu"))
    settings = read_degradation(CONFIGS / f"{options.degradation}.yaml")
    for number, path in enumerate(sorted(options.clean.glob("*.png"))):
        clean = np.array(Image.open(path).convert("RGB"))
        tensor = torch.from_numpy(clean).permute(2, 0, 1).float() / 255
        degraded = degrade(tensor, Draw(options.seed, number), settings)
        lr = (degraded.lr * 255).round().byte().numpy()
        pictures: dict[str, NDArray[np.uint8]] = {
            "reference": clean,
            "bicubic": _bicubic(lr.transpose(1, 2, 0)),
        }
        for name, prior in _priors(lr, describe(degraded.truth)).items():
            pictures[name] = restorer.restore_pixels(lr, prior).transpose(1, 2, 0)
        for name, pixels in pictures.items():
            _save(pixels, options.output / name / path.name)
        _save(lr.transpose(1, 2, 0), options.output.with_name(options.output.name + ".lr") / path.name)


def _priors(lr: NDArray[np.uint8], truth: str) -> dict[str, Prior]:
    return {
        "xpsr-s measured": measure(lr),
        "xpsr-s true prior": Prior(low_level=truth, captioner="truth"),
        "xpsr-s no prior": Prior(),
    }


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def _bicubic(lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = lr.shape[:2]
    return np.array(Image.fromarray(lr).resize((SCALE * width, SCALE * height), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
