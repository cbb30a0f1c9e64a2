"""Ordered work on a few threads: results come in order, and only a few batches are ever in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def default_workers() -> int:
    """Threads to render with: the processors that this process may use, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 8)


def in_order(work: Callable[[int, int], T], count: int, size: int, workers: int) -> Iterator[T]:
    """Run ``work(first, end)`` on consecutive batches of ``range(count)``.

    Args:
        work: must release the GIL to gain anything from threads.
        count: how many items there are.
        size: items in a batch.
        workers: threads; the results do not depend on it.

    Yields:
        The result of each batch, in order; at most ``workers + 1`` batches are begun ahead of the consumer.
    """
    batches = [(first, min(first + size, count)) for first in range(0, count, size)]
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="render") as pool:
        try:
            for first, end in batches:
                pending.append(pool.submit(work, first, end))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
