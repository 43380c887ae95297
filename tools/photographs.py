"""Read photographs and bring them to the size at which their pixels are sharp.

Published photographs are compressed and often soft at full size. Halving them by area averaging removes most
of both; what stays soft or blocky is measured here and left out by the callers.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fingerprints import NEAR_DUPLICATE_BITS, nearest
from numpy.typing import NDArray
from packages import ToolError
from PIL import Image, ImageOps

JPEG_GRID = 8
TILE = 64
SHARP_ENOUGH = 16.0
"""Laplacian spread (8-bit grey levels) of the sharpest twentieth of the tiles that lets one halving do."""
MIN_SHARPNESS = 6.0
"""The same, below which a picture is dropped as blurred."""
CLEAN_ENOUGH = 1.15
"""Ratio of the steps on the compression grid to those beside it at which one halving will do."""
MAX_BLOCKINESS = 1.25
"""The same, above which a picture is dropped as blocky."""
MIN_SIDE = 480


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A picture reduced to the size it is used at, with what was measured on it."""

    picture: Image.Image
    halvings: int
    sharpness: float
    blockiness: float


def read_picture(path: Path) -> Image.Image:
    """Read a picture upright, as 8-bit RGB."""
    if path.suffix == ".jxl":
        try:
            importlib.import_module("pillow_jxl")  # registers the format with pillow
        except ModuleNotFoundError as error:
            msg = f"{path.name} is JPEG XL: `pip install pillow-jxl-plugin`, or use --budgie-suite trixie"
            raise ToolError(msg) from error
    try:
        with Image.open(path) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except OSError as error:
        msg = f"{path}: cannot be read as a picture ({error})"
        raise ToolError(msg) from error


def tile_sharpness(picture: Image.Image) -> NDArray[np.float64]:
    """Return the spread of the Laplacian of grey in each 64x64 tile, [rows, columns], in 8-bit levels."""
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    rows, columns = (side // TILE for side in laplacian.shape)
    tiles = laplacian[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    return np.asarray(tiles.std(axis=(1, 3)))


def grid_steps(picture: Image.Image, period: int) -> float:
    """Return how much larger steps across a grid of `period` pixels are than the other steps; 1 is none.

    The JPEG grid of 8 pixels has a period of 4 after one halving, 2 after two.
    """
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    ratios = []
    for plane in (grey, grey.T):
        steps = np.abs(np.diff(plane, axis=1)).mean(axis=0)
        usable = steps[: len(steps) // period * period].reshape(-1, period).mean(axis=0)
        ratios.append(float(usable[-1] / max(usable[:-1].mean(), 1e-6)))
    return max(ratios)


def halve(picture: Image.Image) -> Image.Image:
    """Return the picture at half its size; every pixel is the mean of two by two."""
    return picture.crop((0, 0, picture.width // 2 * 2, picture.height // 2 * 2)).reduce(2)


def prepare(picture: Image.Image) -> Prepared:
    """Halve once, and once more if that leaves the picture soft or blocky and it stays large enough."""
    halved = halve(picture)
    once = measure(halved, halvings=1)
    is_good = once.sharpness >= SHARP_ENOUGH and once.blockiness <= CLEAN_ENOUGH
    if is_good or min(halved.size) // 2 < MIN_SIDE:
        return once
    return measure(halve(halved), halvings=2)


def measure(picture: Image.Image, *, halvings: int) -> Prepared:
    """Attach its sharpness and blockiness to a picture that was halved `halvings` times."""
    tiles = tile_sharpness(picture)
    return Prepared(
        picture=picture,
        halvings=halvings,
        sharpness=float(np.percentile(tiles, 95)) if tiles.size else 0.0,  # smaller than one tile
        blockiness=grid_steps(picture, JPEG_GRID >> halvings),
    )


def fault(prepared: Prepared, refused: Sequence[str], *, near_to: str) -> str | None:
    """Return why a prepared picture is not used, or None if it is.

    Args:
        prepared: the picture with its measures.
        refused: difference hashes of pictures that it must not resemble.
        near_to: what those pictures are called in the reason.
    """
    if min(prepared.picture.size) < MIN_SIDE:
        return f"too small: {prepared.picture.width}x{prepared.picture.height}"
    if prepared.sharpness < MIN_SHARPNESS:
        return f"blurred: sharpness {prepared.sharpness:.1f} < {MIN_SHARPNESS}"
    if prepared.blockiness > MAX_BLOCKINESS:
        return f"blocky: {prepared.blockiness:.2f} > {MAX_BLOCKINESS}"
    if (distance := nearest(prepared.picture, refused)) <= NEAR_DUPLICATE_BITS:
        return f"near-duplicate in {near_to}: {distance} of 256 bits differ"
    return None
