"""Pairs that were degraded before, in the layout of XPSR's authors.

    ROOT/dataset_0/HR/SOURCE/NAME.png                    clean
                   LR/SOURCE/NAME.png                    degraded, enlarged to the size of HR
                   highlevel_prompt_GT/SOURCE/NAME.txt   what is seen, said of HR
                   highlevel_prompt/SOURCE/NAME.txt      the same said of LR, used where that of HR is empty
                   lowlevel_prompt_q/SOURCE/NAME.txt     how LR is degraded
                   lowlevel_prompt_q_GT/SOURCE/NAME.txt  the same of HR
         dataset_1/...

Of a text the first line counts. A file may be empty and must be there.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vidsr.errors import InputError
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.xpsr.pairs import Pair, read_picture, to_unit

CLEAN, DEGRADED = "HR", "LR"
HIGH_OF_CLEAN, HIGH = "highlevel_prompt_GT", "highlevel_prompt"
LOW_OF_CLEAN, LOW = "lowlevel_prompt_q_GT", "lowlevel_prompt_q"
SUFFIXES = {
    CLEAN: ".png", DEGRADED: ".png", HIGH_OF_CLEAN: ".txt", HIGH: ".txt", LOW_OF_CLEAN: ".txt", LOW: ".txt",
}  # fmt: skip


def is_published_layout(root: Path) -> bool:
    """Say whether there is a dataset_N with clean pictures in `root`."""
    return any(root.glob(f"dataset_*/{CLEAN}"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedPairs:
    """Implements `vidsr.train.xpsr.pairs.Pairs`."""

    names: tuple[tuple[Path, Path], ...]
    """Of each pair the dataset_N, and SOURCE/NAME without its suffix."""
    resolution: int
    held_out: HeldOut

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, index: int, draw: Draw) -> Pair:
        """Return a pair as it lies there; nothing about it is random."""
        del draw
        return Pair(
            clean=self._picture(index, CLEAN),
            degraded=self._picture(index, DEGRADED),
            high=self._text(index, HIGH_OF_CLEAN) or self._text(index, HIGH),
            low=self._text(index, LOW),
            low_of_clean=self._text(index, LOW_OF_CLEAN),
        )

    def _path(self, index: int, kind: str) -> Path:
        dataset, name = self.names[index]
        return dataset / kind / name.with_name(name.name + SUFFIXES[kind])

    def _picture(self, index: int, kind: str) -> Tensor:
        path = self._path(index, kind)
        pixels = read_picture(path, self.held_out)
        height, width = pixels.shape[1:]
        if (height, width) != (self.resolution, self.resolution):
            msg = f"{path}: is {width}x{height}, and resolution says {self.resolution}x{self.resolution}"
            raise InputError(msg)
        return to_unit(pixels)

    def _text(self, index: int, kind: str) -> str:
        path = self._path(index, kind)
        try:
            # As elsewhere only \n ends a line.
            return path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: cannot be read as text in UTF-8 ({type(error).__name__})"
            raise InputError(msg) from error


def open_published(root: Path, *, resolution: int, held_out: HeldOut) -> PublishedPairs:
    """Find the pairs of a folder, sorted.

    Raises:
        InputError: a file is missing, or there is one too many.
    """
    names: list[tuple[Path, Path]] = []
    for dataset in sorted(root.glob("dataset_*")):
        clean = _names(dataset, CLEAN)
        for kind in SUFFIXES:
            if differing := clean ^ _names(dataset, kind):
                name = min(differing)
                here, there = (CLEAN, kind) if name in clean else (kind, CLEAN)
                msg = (
                    f"{dataset}: {name} is in {here} and not in {there} ({len(differing)} differ); "
                    "wanted a file for each picture, which may be empty where it is text"
                )
                raise InputError(msg)
        names += ((dataset, name) for name in sorted(clean))
    if not names:
        msg = f"{root}: no pictures in dataset_*/{CLEAN}"
        raise InputError(msg)
    return PublishedPairs(names=tuple(names), resolution=resolution, held_out=held_out)


def _names(dataset: Path, kind: str) -> set[Path]:
    folder, suffix = dataset / kind, SUFFIXES[kind]
    return {path.relative_to(folder).with_suffix("") for path in folder.rglob(f"*{suffix}")}
