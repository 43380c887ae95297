"""The number of threads as part of what is measured."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch work in one thread inside.

    Degraded pictures are made this way. Another number of threads sums in another order, and where that
    changes the rate of a Poisson draw by a bit, it may be rejected, and all that follow are others: the
    picture is as good, but it is not the same picture.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
