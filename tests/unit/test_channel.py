import threading
import time

import pytest

from vidsr.job.channel import Cancelled, Channel


def test_items_arrive_in_order_and_end() -> None:
    channel: Channel[int] = Channel(2)

    def produce() -> None:
        for number in range(100):
            channel.put(number)
        channel.close()

    thread = threading.Thread(target=produce)
    thread.start()
    assert list(channel) == list(range(100))
    thread.join()
    assert channel.is_over


def test_no_more_than_the_capacity_is_in_flight() -> None:
    channel: Channel[int] = Channel(3)
    produced = []

    def produce() -> None:
        try:
            for number in range(10):
                channel.put(number)
                produced.append(number)
        except Cancelled:
            return

    thread = threading.Thread(target=produce)
    thread.start()
    time.sleep(0.2)
    assert produced == [0, 1, 2]
    channel.cancel()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_the_producers_error_reaches_the_consumer_after_its_items() -> None:
    channel: Channel[int] = Channel(4)
    channel.put(1)
    channel.fail(OSError("broken"))
    items = iter(channel)
    assert next(items) == 1
    with pytest.raises(OSError, match="broken"):
        next(items)


def test_cancelling_wakes_a_waiting_consumer() -> None:
    channel: Channel[int] = Channel(1)
    outcome = []

    def consume() -> None:
        try:
            list(channel)
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=consume)
    thread.start()
    time.sleep(0.05)
    channel.cancel()
    thread.join(timeout=5)
    assert outcome == ["cancelled"]
    with pytest.raises(Cancelled):
        channel.put(1)
