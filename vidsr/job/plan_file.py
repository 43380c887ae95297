"""The plan as JSON: the one file that every later stage and every worker reads.

The frame table is written as columns of integers, some 35 bytes a frame. A column that repeats another
(`source_pts` of a sound file) is left out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from vidsr.errors import InputError
from vidsr.files import write_whole
from vidsr.types import FrameTable, InputIdentity, MediaInfo, OutputPlan, Plan, Shot, Splice, StreamPlan

FORMAT_VERSION = 1
"""Raised when a reader of the old format would misread the new one."""

PIECE = 4096
"""Frames that are turned into Python's integers at once."""

_VALUES: dict[str, TypeAdapter[Any]] = {
    "input": TypeAdapter(InputIdentity),
    "info": TypeAdapter(MediaInfo),
    "shots": TypeAdapter(tuple[Shot, ...]),
    "streams": TypeAdapter(tuple[StreamPlan, ...]),
    "output": TypeAdapter(OutputPlan),
    "filtered": TypeAdapter(MediaInfo | None),
    "splices": TypeAdapter(tuple[Splice, ...]),
}
_PLAIN = ("config", "weights", "seed", "versions", "decode_errors", "losses", "repairs", "warnings")


def to_json(plan: Plan) -> str:
    """Return the plan as JSON text in ASCII, the same for the same plan.

    A path may hold bytes that are no text; they stand in it as Python has them, as escaped surrogates.
    """
    tree: dict[str, Any] = {"format": FORMAT_VERSION}
    tree |= {name: adapter.dump_python(getattr(plan, name), mode="json") for name, adapter in _VALUES.items()}
    tree |= {name: getattr(plan, name) for name in _PLAIN}
    columns = ",".join(f'"{name}":{_numbers(column)}' for name, column in _columns(plan.frames).items())
    return f'{json.dumps(tree, separators=(",", ":"))[:-1]},"frames":{{{columns}}}}}'


def from_json(text: str, *, where: str) -> Plan:
    """Read a plan back.

    Raises:
        InputError: `text` is not a plan of this format; the message starts with `where`.
    """
    try:
        tree = json.loads(text)
        version = tree["format"]
        if version == FORMAT_VERSION:
            values = {name: adapter.validate_python(tree[name]) for name, adapter in _VALUES.items()}
            return Plan(**values, **{name: tree[name] for name in _PLAIN}, frames=_table(tree["frames"]))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        msg = f"{where}: not a vidsr plan ({type(error).__name__}); delete it and plan again"
        raise InputError(msg) from error
    msg = f"{where}: plan format {version}, this version reads {FORMAT_VERSION}; delete it and plan again"
    raise InputError(msg)


def write(path: Path, plan: Plan) -> None:
    """Write the plan to `path`, whole or not at all."""
    write_whole(path, to_json(plan))


def read(path: Path) -> Plan:
    """Read the plan at `path`."""
    return from_json(path.read_text(encoding="utf-8"), where=str(path))


def _columns(frames: FrameTable) -> dict[str, NDArray[Any] | None]:
    is_sound = np.array_equal(frames.pts, frames.source_pts)
    return {
        "pts": frames.pts,
        "source_pts": None if is_sound else frames.source_pts,
        "duration": frames.duration,
        "luma_crc": frames.luma_crc,
        "flags": frames.flags,
    }


def _numbers(column: NDArray[Any] | None) -> str:
    """Return a column as JSON, in pieces: Python's integers take four times the room of numpy's."""
    if column is None:
        return "null"
    pieces = (column[start : start + PIECE].tolist() for start in range(0, len(column), PIECE))
    return f"[{','.join(json.dumps(piece, separators=(',', ':'))[1:-1] for piece in pieces)}]"


def _table(columns: dict[str, list[int] | None]) -> FrameTable:
    pts = np.array(columns["pts"], dtype=np.int64)
    source = columns["source_pts"]
    return FrameTable(
        pts=pts,
        source_pts=pts.copy() if source is None else np.array(source, dtype=np.int64),
        duration=np.array(columns["duration"], dtype=np.int32),
        luma_crc=np.array(columns["luma_crc"], dtype=np.uint32),
        flags=np.array(columns["flags"], dtype=np.uint8),
    )
