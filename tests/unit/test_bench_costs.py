"""A call's cost is its own: not what it waits for, nor what was loaded before it."""

import sys
import time

import numpy as np
import pytest
import torch

from tests.bench.costs import counted, timed

SIDE = 64
MEBIBYTES = 48


def test_waiting_costs_nothing() -> None:
    result, seconds = timed(lambda: time.sleep(0.2) or "done")  # type: ignore[func-returns-value]
    assert result == "done"
    assert seconds < 0.1


def test_operations_are_two_for_each_multiplication_with_its_addition() -> None:
    one = torch.ones(SIDE, SIDE)
    result, work = counted(lambda: one @ one, warm_up=lambda: one @ one)
    assert result[0, 0] == SIDE
    assert work.gflop == pytest.approx(2 * SIDE**3 / 1e9)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_what_a_call_takes_at_its_peak_and_gives_back() -> None:
    def call() -> float:
        return float(np.ones(MEBIBYTES << 17).sum())

    before = np.ones(4 * MEBIBYTES << 17)
    _, work = counted(call, warm_up=lambda: np.ones(before.size))
    assert work.peak_mebibytes == pytest.approx(MEBIBYTES, abs=4)
