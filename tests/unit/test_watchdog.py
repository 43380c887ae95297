import threading
import time

import pytest

from vidsr import events
from vidsr.errors import StalledError, VidsrError
from vidsr.job import watchdog
from vidsr.job.watchdog import Watchdog


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE_SECONDS", 0.1)


def wait_for_stall(dog: Watchdog) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        dog.check()
        time.sleep(0.01)


def test_a_stage_in_which_nothing_moves_is_named() -> None:
    with Watchdog(0.2, on_event=events.ignore, on_hang=None) as dog:
        dog.enter("planning")
        with pytest.raises(StalledError, match=r"planning: nothing has moved for 0\.2 s.*run\.stall_seconds"):
            wait_for_stall(dog)


def test_what_moves_is_not_stalled() -> None:
    seen: list[events.Event] = []
    with Watchdog(2, on_event=seen.append, on_hang=None) as dog:
        for _ in range(20):
            time.sleep(0.15)
            dog.listen(events.Assembling())
        dog.check()
    assert len(seen) == 20


def test_the_owner_of_the_process_is_called_where_the_job_does_not_come_back() -> None:
    told: list[VidsrError] = []
    called = threading.Event()

    def on_hang(error: VidsrError) -> None:
        told.append(error)
        called.set()

    with Watchdog(0.1, on_event=events.ignore, on_hang=on_hang) as dog:
        dog.enter("restoring")
        assert called.wait(10)
        with pytest.raises(StalledError, match="restoring"):
            dog.listen(events.Assembling())
    assert [type(error) for error in told] == [StalledError]


def test_a_job_that_comes_back_in_time_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE_SECONDS", 30)
    told: list[VidsrError] = []
    with Watchdog(0.1, on_event=events.ignore, on_hang=told.append) as dog, pytest.raises(StalledError):
        wait_for_stall(dog)
    assert told == []


def test_zero_never_stalls_and_starts_no_thread() -> None:
    before = threading.active_count()
    with Watchdog(0, on_event=events.ignore, on_hang=None) as dog:
        assert threading.active_count() == before
        dog.check()
    assert threading.active_count() == before
