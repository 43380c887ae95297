"""What a signal does to the process: the first asks it to stop, the second ends it at once.

Only the owner of a process decides on its signals: the command line and workers do, a library does not.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from vidsr.errors import Stopped, VidsrError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 15.0
"""Given to a process that was asked to stop; then it is ended."""

END_OF_BAR = b"\r\x1b[K\x1b[?25h"
"""Clears the line and shows the cursor."""


@contextlib.contextmanager
def stop_on_signals(*, grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Have SIGINT and SIGTERM stop the body. For the main thread.

    The first one raises Stopped in the body, which ends in good order: what is finished is kept. A native
    call can hold the main thread for longer than anybody wants to wait, and Python runs no handler until it
    returns: so a thread of its own ends the process after `grace_seconds`, or when a second signal comes.
    Nothing is lost by that: all that is kept is written so that it may end at any moment. A shell sees 130 or
    143 in each case.

    Args:
        grace_seconds: from the first signal to the end of the process at the latest.

    Raises:
        Stopped: in the body, wherever it is.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    is_stopping = False

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        del frame
        nonlocal is_stopping
        if is_stopping:
            return
        is_stopping = True
        if os.getpid() != 1:
            # So that the system ends the process at the second, also where a native call lets nothing else in
            # Python move. For the first process of a container it does not do that; there the watcher does.
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
        raise _stopped(number)

    handlers = {number: signal.signal(number, ask_to_stop) for number in SIGNALS}
    # Written to by the C handler, whatever the main thread does.
    wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(
        target=_watch, args=(receiver, grace_seconds), daemon=True, name="vidsr-signals"
    )
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sender.close()
        watcher.join()
        receiver.close()


def end_process(error: VidsrError) -> NoReturn:
    """Say why, and end the process without waiting for anything."""
    # A progress bar may be drawn on a terminal, and has hidden its cursor.
    start = END_OF_BAR if os.isatty(2) else b""
    line = f"vidsr: error: {' '.join(str(error).split())}\n"
    try:
        # The streams of Python may be locked by a thread that never returns.
        os.write(2, start + line.encode(errors="backslashreplace"))
    finally:
        # Also where nobody listens any more.
        os._exit(error.exit_code)


def _watch(receiver: socket.socket, grace_seconds: float) -> None:
    """End the process when a second signal arrives, or too long after the first."""
    deadline: float | None = None
    first = 0
    while True:
        receiver.settimeout(None if deadline is None else max(0.01, deadline - time.monotonic()))
        try:
            received = receiver.recv(1)
        except TimeoutError:
            end_process(_stopped(first))
        if not received:
            return
        if received[0] not in SIGNALS:
            continue
        if deadline is not None:
            end_process(_stopped(received[0]))
        first, deadline = received[0], time.monotonic() + grace_seconds


def _stopped(number: int) -> Stopped:
    name = signal.Signals(number).name
    return Stopped(f"stopped by {name}; run the same command again to go on", signal_number=number)
