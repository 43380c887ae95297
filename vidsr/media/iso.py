"""What can be told of an mp4 or mov that FFmpeg cannot open."""

import os
import struct
from pathlib import Path

MAX_BOXES = 10_000
"""A file may be made of nothing else."""

_BOX_HEAD = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")


def lacks_table(path: Path) -> bool:
    """Return whether a file is an mp4 or mov without the box that says where everything is.

    It is the last thing that many programs write: what is cut off, or was never finished, has none.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        position, names = 0, set[bytes]()
        for _ in range(MAX_BOXES):
            if position + _BOX_HEAD.size > size:
                break
            file.seek(position)
            length, name = _BOX_HEAD.unpack(file.read(_BOX_HEAD.size))
            large = file.read(_LARGE_SIZE.size)
            if length == 1 and len(large) == _LARGE_SIZE.size:
                length = _LARGE_SIZE.unpack(large)[0]
            names.add(name)
            if not position and name != b"ftyp":
                return False
            # A box of length 0 goes on to the end.
            position = position + length if length >= _BOX_HEAD.size else size
    return b"ftyp" in names and b"moov" not in names
