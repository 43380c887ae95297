"""The number of threads as part of what is measured."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch and OpenCV work in one thread inside.

    Degraded pictures are made this way. Another number of threads sums in another order, and where that
    changes the rate of a Poisson draw by a bit, it may be rejected, and all that follow are others: the
    picture is as good, but it is not the same picture. And in one thread the processor's time is what a
    method costs, whatever else the machine is doing.
    """
    threads, others = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(others)
