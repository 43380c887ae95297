"""Notices that nothing has moved for too long."""

import threading
from collections.abc import Callable
from typing import Self

from vidsr import events
from vidsr.errors import StalledError, VidsrError

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""Given to the calling thread to end in good order before `on_hang` is called."""

OnHang = Callable[[VidsrError], None]
"""Called, in a thread of its own, with why the job is over while the job's thread is held by a native call.
Only the owner of the process can end that, with the process."""


class Watchdog:
    """Watches one job: every event of it counts as a step forward.

    Time is counted in polls and not read from a clock, so that a process that was suspended is not found
    stalled when it goes on.
    """

    def __init__(self, limit_seconds: float, *, on_event: events.Listener, on_hang: OnHang | None) -> None:
        """Watch nothing yet.

        Args:
            limit_seconds: after which a stage is stalled; 0 never.
            on_event: is passed every event.
            on_hang: see OnHang; None waits for the native call as long as it takes.
        """
        self._limit_seconds = limit_seconds
        self._poll_seconds = min(POLL_SECONDS, limit_seconds / 4)
        self._on_event = on_event
        self._on_hang = on_hang
        self._stage = "starting"
        self._idle_polls = 0
        self._stalled: StalledError | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="vidsr-watchdog")

    def __enter__(self) -> Self:
        """Start to watch."""
        if self._limit_seconds:
            self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop watching."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def enter(self, stage: str) -> None:
        """Say what begins now, in the words of the error: "restoring"."""
        self._stage, self._idle_polls = stage, 0

    def listen(self, event: events.Event) -> None:
        """Pass `event` on; something has moved.

        Raises:
            StalledError: too late.
        """
        self.check()
        self._idle_polls = 0
        self._on_event(event)

    def check(self) -> None:
        """Do nothing unless the job is stalled. For all who wait for another thread.

        Raises:
            StalledError: naming the stage.
        """
        if self._stalled is not None:
            raise self._stalled

    def _watch(self) -> None:
        while not self._is_over.wait(self._poll_seconds):
            self._idle_polls += 1
            if self._idle_polls * self._poll_seconds >= self._limit_seconds:
                break
        else:
            return
        self._stalled = StalledError(
            f"{self._stage}: nothing has moved for {self._limit_seconds:g} s; finished parts are kept: run "
            "the same command again to go on, or allow more with --set run.stall_seconds"
        )
        if not self._is_over.wait(PATIENCE_SECONDS) and self._on_hang is not None:
            self._on_hang(self._stalled)
