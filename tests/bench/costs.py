"""What a call costs: the processor's time, operations, and memory."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch.utils.flop_counter import FlopCounterMode

PROCESS = Path("/proc/self")
RESET_PEAK = "5"
"""Written to clear_refs, it sets the peak of resident memory to what is resident now."""
KIBIBYTE = 1024

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Operations and memory of one call."""

    gflop: float
    """Of matrix products and convolutions, two for each multiplication with its addition."""
    peak_mebibytes: float | None
    """Resident at the call's peak beyond what was when it began, so without weights; None but on Linux."""


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """Return what `call` returns and the seconds that processors worked for this process meanwhile.

    In one thread on an idle machine that is the time it takes; beside other work it is still what it costs.
    """
    started = time.process_time()
    result = call()
    return result, time.process_time() - started


def counted(call: Callable[[], Result], *, warm_up: Callable[[], object]) -> tuple[Result, Work]:
    """Return what `call` returns, and its work. Counting takes time, so that it is not timed.

    Args:
        call: what is counted.
        warm_up: the same on something small: what is loaded once is not part of a call's memory.
    """
    with FlopCounterMode(display=False):
        # Counting, too, loads what it needs when the first operation comes.
        warm_up()
    _give_back_freed()
    before = _reset_peak()
    with FlopCounterMode(display=False) as counter:
        result = call()
    peak = None if before is None else (_resident("VmHWM") - before) / 2**20
    return result, Work(gflop=counter.get_total_flops() / 1e9, peak_mebibytes=peak)


def _give_back_freed() -> None:
    """Have the allocator return what is free, or the call would take that first and seem to need less."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _reset_peak() -> int | None:
    if sys.platform != "linux":
        return None
    (PROCESS / "clear_refs").write_text(RESET_PEAK)
    return _resident("VmRSS")


def _resident(name: str) -> int:
    """Return a size of /proc/self/status in bytes."""
    lines = (PROCESS / "status").read_text().splitlines()
    return KIBIBYTE * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
