"""Small pieces of work for torch, side by side."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from finprint.base.device import best_device

J = TypeVar("J")
R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread, so that the results do not depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(work: Callable[[J], R], jobs: Iterable[J]) -> Iterator[R]:
    """Results in the order of the jobs, from as many threads as torch may use; on a GPU from one.

    Each job has one of torch's threads for itself. For networks as small as these that is faster than all threads for
    one job after the other, and the results do not depend on the number of threads.
    """
    pool = ThreadPoolExecutor(1 if best_device().type == "cuda" else torch.get_num_threads())
    with one_thread():
        try:
            yield from pool.map(work, jobs)
        finally:
            pool.shutdown(cancel_futures=True)
