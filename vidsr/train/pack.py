"""Packs of photographs to train on, as tools/collect_photographs.py makes them."""

import hashlib
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vidsr.errors import ConfigError, InputError
from vidsr.train.held_out import HeldOut


class Tile(NamedTuple):
    """A square of a photograph and what a classifier sees there."""

    top: int
    left: int
    size: int
    tags: list[str]


class Photograph(NamedTuple):
    """One picture of a pack."""

    pixels: Tensor
    """uint8 [3, H, W]."""
    tiles: list[Tile]
    """Empty where the pack has no tags."""

    def tags_at(self, row: float, column: float) -> list[str]:
        """Return the tags of the tile whose centre is nearest."""
        if not self.tiles:
            return []
        return min(
            self.tiles,
            key=lambda tile: math.hypot(tile.top + tile.size / 2 - row, tile.left + tile.size / 2 - column),
        ).tags


def load_pack(folder: Path, *, held_out: HeldOut) -> list[Photograph]:
    """Read the photographs of a pack, with the tags of tools/tag_pack.py where there are any.

    Raises:
        InputError: there is no pack, or a picture is not the one its manifest names.
        ConfigError: a picture is held out for evaluation; training on it would make the figures worthless.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder}: holds no manifest.json; make the pack with tools/collect_photographs.py"
        raise InputError(msg) from error
    tags = _read_tags(folder / "tags.json")
    pictures = []
    for entry in manifest["pictures"]:
        path = folder / entry["file"]
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry["sha256"]:
            msg = f"{path}: not the picture that manifest.json names; collect the pack again"
            raise InputError(msg)
        with Image.open(path) as image:
            if held_out.holds(image):
                msg = f"{path}: is held out for evaluation, or near to what is; take it out of the pack"
                raise ConfigError(msg)
            pixels = np.array(image.convert("RGB"))
        planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
        pictures.append(Photograph(planes, tags.get(entry["file"], [])))
    return pictures


def _read_tags(path: Path) -> dict[str, list[Tile]]:
    if not path.exists():
        return {}
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return {name: [Tile(**tile) for tile in tiles] for name, tiles in tree.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path}: not the tags of a pack ({type(error).__name__}); make them with tools/tag_pack.py"
        raise InputError(msg) from error
