"""Pairs out of a folder of photographs, degraded as they are needed.

    ROOT/ANY/FOLDER/NAME.jpg
         captions.yaml           optional, or captions.json: what is seen, by the picture's path in ROOT

How a picture is degraded is known, and said in the words of vidsr.degradation_words.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from vidsr.degradation_words import Degradation, describe
from vidsr.errors import InputError
from vidsr.models.compact.estimate import enlarge
from vidsr.train.degradation import DegradationSet, degrade
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.xpsr.pairs import Pair, from_unit, read_picture, to_unit

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
CAPTIONS = ("captions.yaml", "captions.json")
LOW_OF_CLEAN = describe(Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotographPairs:
    """Implements `vidsr.train.xpsr.pairs.Pairs`."""

    paths: tuple[Path, ...]
    captions: tuple[str, ...]
    """One for each path."""
    sets: Sequence[DegradationSet]
    shares: Sequence[float]
    resolution: int
    held_out: HeldOut

    def __len__(self) -> int:
        return len(self.paths)

    def pair(self, index: int, draw: Draw) -> Pair:
        """Cut a square, mirror it half of the time, and degrade it."""
        clean = to_unit(_cut(read_picture(self.paths[index], self.held_out), self.resolution, draw))
        degraded = degrade(clean, draw, self.sets[draw.pick(self.shares)])
        enlarged = to_unit(from_unit(enlarge(degraded.lr[None])[0]))
        return Pair(
            clean=clean,
            degraded=enlarged,
            high=self.captions[index],
            low=describe(degraded.truth),
            low_of_clean=LOW_OF_CLEAN,
        )


def open_photographs(
    root: Path,
    *,
    sets: Sequence[DegradationSet],
    shares: Sequence[float],
    resolution: int,
    held_out: HeldOut,
) -> PhotographPairs:
    """Find the photographs of a folder, sorted, and look at each once.

    Args:
        root: the folder; folders in it are searched too.
        sets: ways to degrade.
        shares: of each of `sets`.
        resolution: side of the squares that are cut.
        held_out: pictures that must not be trained on.

    Raises:
        InputError: there are none, one is too small or cannot be read, or the captions do not fit.
        ConfigError: one is held out for evaluation.
    """
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        msg = f"{root}: no pictures ({', '.join(sorted(SUFFIXES))}), and no dataset_N of the published layout"
        raise InputError(msg)
    for path in paths:
        height, width = read_picture(path, held_out).shape[1:]
        if min(height, width) < resolution:
            msg = f"{path}: is {width}x{height}, smaller than resolution, {resolution}; take it out"
            raise InputError(msg)
    names = [path.relative_to(root).as_posix() for path in paths]
    captions = _read_captions(root, set(names))
    return PhotographPairs(
        paths=tuple(paths),
        captions=tuple(captions.get(name, "") for name in names),
        sets=sets,
        shares=shares,
        resolution=resolution,
        held_out=held_out,
    )


def _read_captions(root: Path, names: set[str]) -> Mapping[str, str]:
    """Return what is seen on each picture; nothing where the folder has no captions."""
    found = [root / name for name in CAPTIONS if (root / name).is_file()]
    if not found:
        return {}
    if len(found) > 1:
        msg = f"{root}: has {' and '.join(CAPTIONS)}; keep one"
        raise InputError(msg)
    path = found[0]
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        msg = f"{path}: cannot be read ({type(error).__name__}); wanted a sentence for each picture"
        raise InputError(msg) from error
    if not isinstance(tree, dict) or not all(isinstance(text, str) for text in tree.values()):
        msg = f"{path}: wanted a sentence for each picture, such as `beach/0001.jpg: a dog runs on sand`"
        raise InputError(msg)
    if strange := sorted(map(str, tree.keys() - names)):
        msg = f"{path}: {strange[0]} is no picture of the folder ({len(strange)} are not); mend its path"
        raise InputError(msg)
    return tree


def _cut(pixels: Tensor, size: int, draw: Draw) -> Tensor:
    """Cut a random square, [3, size, size], mirrored half of the time."""
    height, width = pixels.shape[1:]
    top, left = draw.integer(height - size + 1), draw.integer(width - size + 1)
    square = pixels[:, top : top + size, left : left + size]
    return torch.flip(square, (2,)) if draw.chance(0.5) else square
