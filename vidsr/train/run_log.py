"""What a run says of itself: log.jsonl and, where it is asked for, the same on a board of tensorboard."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidsr.errors import MachineError

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

log = logging.getLogger(__name__)

Figures = Mapping[str, float | Mapping[str, float]]
"""By name; those that belong together are named in a mapping of their own."""


class RunLog:
    """Writes entries to log.jsonl, and their figures to a board if there is one."""

    def __init__(self, output: Path, *, after: int, board: Path | None) -> None:
        """Go on from step `after`. `board` is the folder of event files; None writes none."""
        self._path = output / "log.jsonl"
        self._after = after
        self._board = board
        self._writer: SummaryWriter | None = None

    def write(
        self, entry: Figures, *, step: int, pictures: Mapping[str, NDArray[np.uint8]] | None = None
    ) -> None:
        """Append a line to log.jsonl. `pictures`, RGB [3, H, W], are for the board alone.

        Raises:
            MachineError: there is to be a board, and tensorboard is not installed.
        """
        line = json.dumps({"step": step, **entry})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        log.info("%s", line)
        if self._board is None:
            return
        if self._writer is None:
            # With the first entry: a run that has nothing to do leaves no file, and the thread of the writer
            # is not there yet where the processes that make samples are forked. Events of later steps are of
            # a run that was killed before it saved; this one takes those steps again.
            self._writer = summary_writer()(str(self._board), purge_step=self._after + 1)
        for name, figure in _named(entry):
            self._writer.add_scalar(name, figure, step)
        for name, pixels in (pictures or {}).items():
            self._writer.add_image(name, pixels, step)
        # Left to itself the writer would keep two minutes, and a killed run lose them.
        self._writer.flush()

    def close(self) -> None:
        """End the event file."""
        if self._writer is not None:
            self._writer.close()


def summary_writer() -> "type[SummaryWriter]":
    """Return what writes event files.

    Raises:
        MachineError: tensorboard is not installed.
    """
    try:
        # Of the extra `tensorboard`; torch has the writer, but not the format of its files.
        from torch.utils.tensorboard.writer import SummaryWriter
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "tensorboard":
            raise
        msg = "--tensorboard needs tensorboard: pip install 'vidsr[tensorboard]', or leave the option out"
        raise MachineError(msg) from error
    return SummaryWriter


def _named(entry: Figures) -> Iterator[tuple[str, float]]:
    """Yield the figures of `entry` as the board names them: loss/noise."""
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{part}", figure) for part, figure in value.items())
        else:
            yield name, value
