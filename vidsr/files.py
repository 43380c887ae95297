"""Files that appear whole, and what bytes they hold."""

import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path

from vidsr.errors import DiskFullError, UnwritableError, VidsrError


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old content or the new, never a part of it.

    Raises:
        UnwritableError, DiskFullError: naming `path`.
    """
    # A name of its own: two runs may write the same file of a shared cache.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        # Also where a signal came in between.
        remove_leftover(temporary)


def remove_leftover(path: Path) -> None:
    """Remove a file that nobody needs, if it is there and within reach; others tell why it is not."""
    with contextlib.suppress(OSError):
        path.unlink()


def move_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` so that a power cut afterwards loses neither its bytes nor its name.

    Raises:
        OSError: `source` cannot be written out or renamed.
    """
    sync(source)
    source.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until the file or folder at `path` is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_error(path: Path, error: OSError) -> VidsrError:
    """Return the error of ours that says why `path` could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(f"{path}: the disk is full; free some space and run again to go on")
    return UnwritableError(f"{path}: cannot be written ({error.strerror or error})")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes in hexadecimal, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
