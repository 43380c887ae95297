"""Training on several processes of one machine that average their gradients.

Threads of one process meet after every operation, processes once a step: where tensors are small and the
machine is shared, N processes of one thread are faster than N threads (docs/experiments.md has figures).
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import start_processes

RankBody = Callable[[int], None]
"""What one process does, given its rank; it must be picklable."""


def run_ranks(body: RankBody, num_ranks: int) -> None:
    """Run `body(rank)` in `num_ranks` processes; this one is rank 0. One rank uses no process group."""
    if num_ranks == 1:
        body(0)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = str(Path(folder) / "ranks")
        others = start_processes(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            _other_rank,
            args=(body, num_ranks, meeting_point),
            nprocs=num_ranks - 1,
            join=False,
            start_method="spawn",
        )
        with _group(0, num_ranks, meeting_point):
            body(0)
        others.join()


def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over the ranks; nothing to do where there is one."""
    if not distributed.is_initialized():
        return
    gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def _other_rank(index: int, body: RankBody, num_ranks: int, meeting_point: str) -> None:
    with _group(index + 1, num_ranks, meeting_point):
        body(index + 1)


@contextlib.contextmanager
def _group(rank: int, num_ranks: int, meeting_point: str) -> Iterator[None]:
    """Be a member of the group, with this rank's share of the threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // num_ranks))
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=num_ranks
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
        torch.set_num_threads(threads)
