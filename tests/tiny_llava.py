"""A language model that reads pictures, as small as it can be, in the layout of the hub."""

import json
from pathlib import Path

from tests.golden.fill import filled

SHAPES = {
    "vision_tower.layer.weight": (8, 4),
    "language_model.embed.weight": (16, 8),
    "language_model.head.weight": (16, 8),
}
"""Not those of a true one: the store looks at names and files, and leaves the network to transformers."""


def write_small_files(folder: Path) -> None:
    """Write what says that a folder holds a LLaVA."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor"})
    )
    (folder / "tokenizer.json").write_text("{}")


def shards() -> list[dict]:
    """Return the weights in two parts."""
    state = filled(SHAPES)
    names = list(state)
    return [{name: state[name] for name in part} for part in (names[:1], names[1:])]
