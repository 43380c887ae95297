"""A bounded queue between two threads that both notice when the other one fails."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

POLL_SECONDS = 0.5
"""How often those who wait look up."""


class Cancelled(Exception):  # noqa: N818  # it ends a thread in good order; it is not an error
    """The other end has gone away; the work is no longer wanted."""


class Channel(Generic[Item]):
    """Hands items from one producing thread to one consuming thread, at most `capacity` in flight.

    The producer ends with `close()` or `fail(error)`; the consumer sees the end, or the error, after
    the items before it. Either side may `cancel()`: waiting calls raise Cancelled at once.
    """

    def __init__(self, capacity: int, *, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Open a channel.

        Args:
            capacity: items in flight.
            while_waiting: called now and then by both sides while they wait; what it raises ends the wait.
        """
        self._while_waiting = while_waiting
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._error: BaseException | None = None
        self._is_closed = False
        self._is_cancelled = False
        self._changed = threading.Condition()

    @property
    def is_over(self) -> bool:
        """True when it was closed or cancelled and everything in it was taken."""
        with self._changed:
            return (self._is_closed or self._is_cancelled) and not self._items

    def put(self, item: Item) -> None:
        """Append `item`, waiting for room.

        Raises:
            Cancelled: nobody will take it.
        """
        with self._changed:
            self._wait_for(lambda: self._is_cancelled or len(self._items) < self._capacity)
            if self._is_cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no item follows."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Say that no item follows because of `error`, which the consumer will raise."""
        with self._changed:
            self._error = error
            self._is_closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop what is in flight and wake both sides."""
        with self._changed:
            self._is_cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Yield items until the producer closes; raise its error if it failed.

        Raises:
            Cancelled: the channel was cancelled.
        """
        while True:
            with self._changed:
                self._wait_for(lambda: self._is_cancelled or bool(self._items) or self._is_closed)
                if self._is_cancelled:
                    raise Cancelled
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def _wait_for(self, is_ready: Callable[[], bool]) -> None:
        while not self._changed.wait_for(is_ready, timeout=POLL_SECONDS):
            self._while_waiting()
