"""The pictures that quality is measured on, and the refusal to train on them or on what is near to them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from vidsr.errors import ConfigError

HASH_SIDE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What configs/evaluate/heldout.yaml says, as far as training needs it. The default refuses nothing."""

    difference_hashes: tuple[int, ...] = ()
    """256 bits each, of the photographs; see `difference_hash`."""
    near_duplicate_bits: int = 0
    """Photographs whose hashes differ in at most this many bits count as the same."""
    pixels_sha256: frozenset[str] = frozenset()
    """Of the RGB bytes of the crops."""

    def holds(self, picture: Image.Image) -> bool:
        """Say whether `picture`, as it is or mirrored, is one of these or near to one."""
        rgb = picture.convert("RGB")
        if hashlib.sha256(rgb.tobytes()).hexdigest() in self.pixels_sha256:
            return True
        mirrored = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return any(
            (difference_hash(one) ^ other).bit_count() <= self.near_duplicate_bits
            for one in (rgb, mirrored)
            for other in self.difference_hashes
        )


def difference_hash(picture: Image.Image) -> int:
    """Return the dHash as 256 bits: is a cell of a grey 17x16 thumbnail darker than its right neighbour?

    The thumbnail is the area average; bits run along the rows, the first one being the highest.
    """
    thumbnail = picture.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    grey = np.asarray(thumbnail, dtype=np.int16)
    return int.from_bytes(np.packbits(grey[:, :-1] < grey[:, 1:]).tobytes())


def read_held_out(path: Path) -> HeldOut:
    """Read the list that tools/collect_heldout.py wrote.

    Raises:
        ConfigError: it is not such a list.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        return HeldOut(
            difference_hashes=tuple(int(source["dhash"], 16) for source in tree["sources"]),
            near_duplicate_bits=int(tree["near_duplicate_bits"]),
            pixels_sha256=frozenset(str(crop["pixels_sha256"]) for crop in tree["crops"]),
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        msg = (
            f"{path}: not a list of held-out pictures ({type(error).__name__}: {error}); see configs/evaluate"
        )
        raise ConfigError(msg) from error
