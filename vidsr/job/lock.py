"""One run at a time: a lock file that the system gives up with its process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from vidsr.errors import OutputBusyError
from vidsr.files import write_error

OPEN_ATTEMPTS = 100
"""After so many, a folder that is not there is no matter of chance."""


@contextlib.contextmanager
def locked(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock file at `path`, which is made with its folder, and removed with it if that is empty.

    A lock file that a killed run left behind is taken over.

    Args:
        path: the lock file.
        what: it stands for, in the words of the error.

    Raises:
        OutputBusyError: a process holds it; the message names `what` and the process.
        UnwritableError, DiskFullError: it cannot be made.
    """
    try:
        descriptor = _acquire(path, what=what)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        _say_who(descriptor, path)
        yield
    finally:
        # While it is held: a run that has opened it meanwhile sees that its name is gone. Where it cannot be
        # removed it stays, and is in nobody's way.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
        remove_if_empty(path.parent)


def remove_if_empty(folder: Path) -> None:
    """Remove `folder` unless something is in it, or it is gone already."""
    # The system decides: another run may be putting something in at this moment.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _acquire(path: Path, *, what: str) -> int:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_named(path, descriptor):
            return descriptor
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode("ascii", "replace")
        os.close(descriptor)
        msg = f"{what}: is being made by process {holder or 'of another run'}; wait for it, or stop it"
        raise OutputBusyError(msg) from error
    except BaseException:
        os.close(descriptor)
        raise
    # Whoever held it had removed it before it was ours.
    os.close(descriptor)
    return _acquire(path, what=what)


def _open(path: Path) -> int:
    for _ in range(OPEN_ATTEMPTS):
        # The folder is removed, between two looks at it, by a run that ends just now.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _open_in_folder(path)
    return _open_in_folder(path)


def _open_in_folder(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _say_who(descriptor: int, path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except OSError as error:
        raise write_error(path, error) from error


def _is_named(path: Path, descriptor: int) -> bool:
    """Return whether `path` still leads to the open file: whoever held the lock removes it in the end."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
