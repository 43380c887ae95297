"""One run at a time: a lock file that the system gives up with its process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from vidsr.errors import OutputBusyError
from vidsr.files import write_error


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
        # While it is held: a run that has opened it meanwhile sees that its name is gone.
        path.unlink(missing_ok=True)
        os.close(descriptor)
        remove_if_empty(path.parent)


def remove_if_empty(folder: Path) -> None:
    """Remove `folder` unless something is in it, or it is gone already."""
    # The system decides: another run may be putting something in at this moment.
    with contextlib.suppress(OSError):
        folder.rmdir()


def _acquire(path: Path, *, what: str) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # The folder was removed by a run that ended just now.
            continue
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
        os.close(descriptor)


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
