"""Small pictures that stand in for photographs, and packs of them as the training reads them."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image


def make_picture(seed: int, height: int = 80, width: int = 112) -> Image.Image:
    """Return soft random shapes, another picture for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def make_pack(folder: Path, *pictures: Image.Image) -> Path:
    """Write `pictures` and their manifest into the new folder, and return it."""
    folder.mkdir()
    entries = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number}.png"
        picture.save(path)
        entries.append({"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    (folder / "manifest.json").write_text(json.dumps({"pictures": entries}))
    return folder
