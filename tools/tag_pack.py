"""Tag the photographs of a training pack tile by tile, as the captioner tags a shot.

    python tools/tag_pack.py --pack PACK --weights runs/tags/mobilenet_v2.safetensors

Writes PACK/tags.json. For every photograph of PACK/manifest.json it holds the squares of 512 pixels that
cover the photograph, each sharing half or more of itself with its neighbours, and what is seen in them, the
likeliest tag first; where the classifier is not sure, there are none:

    {"lake.jpg": [{"top": 0, "left": 256, "size": 512, "tags": ["alp"]}, ...], ...}

A photograph whose shorter side is less than 512 pixels has squares of that side.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from packages import ToolError, command_line
from PIL import Image

from vidsr.caption.tags import THRESHOLD, Tagger
from vidsr.errors import VidsrError
from vidsr.files import write_whole
from vidsr.models import mobilenet

TILE = 512
"""About what a 128-pixel crop of the degraded picture becomes."""


def starts(length: int, size: int) -> list[int]:
    """Return where tiles of `size` begin that cover `length` evenly and overlap by half or more."""
    num_steps = -(-(length - size) // (size // 2))
    return [round(step * (length - size) / num_steps) for step in range(num_steps)] + [length - size]


def tag_photograph(pixels: NDArray[np.uint8], tagger: Tagger) -> list[dict[str, Any]]:
    """Return the tiles of a photograph [H, W, 3] with their tags, row by row."""
    height, width = pixels.shape[:2]
    size = min(TILE, height, width)
    picture = pixels.transpose(2, 0, 1)
    return [
        {
            "top": top,
            "left": left,
            "size": size,
            "tags": tagger.tags([picture[:, top : top + size, left : left + size]]),
        }
        for top in starts(height, size)
        for left in starts(width, size)
    ]


def tag_pack(pack: Path, tagger: Tagger) -> dict[str, list[dict[str, Any]]]:
    """Return the tiles of all photographs of a pack by file name."""
    try:
        manifest = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))
        names = [picture["file"] for picture in manifest["pictures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{pack}: not a pack of tools/collect_photographs.py ({type(error).__name__}: {error})"
        raise ToolError(msg) from error
    tiles = {}
    for name in names:
        with Image.open(pack / name) as image:
            tiles[name] = tag_photograph(np.asarray(image.convert("RGB")), tagger)
        print(f"{name}: {sum(bool(tile['tags']) for tile in tiles[name])} of {len(tiles[name])} tiles")
    return tiles


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = command_line(__doc__)
    parser.add_argument("--pack", type=Path, required=True, help="folder of tools/collect_photographs.py")
    parser.add_argument("--weights", type=Path, required=True, help="file of tools/fetch_tag_weights.py")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help=f"mean probability of a tag ({THRESHOLD})"
    )
    options = parser.parse_args(arguments)
    try:
        tagger = Tagger(mobilenet.load(options.weights), threshold=options.threshold)
        tiles = tag_pack(options.pack, tagger)
        write_whole(options.pack / "tags.json", json.dumps(tiles, indent=1) + "\n")
    except (ToolError, VidsrError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
