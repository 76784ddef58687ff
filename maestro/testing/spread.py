"""The same work on many values, spread over processes that end with the one that started them.

Invariants: results come in the order of the values; whatever ends the starting process, kill -9 included, ends the
others. (A pool of the standard library waits for work for ever when nobody is left who could send it any.)
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

AT_ONCE = 8  # values per message to a process: a seed takes a tenth of a second


def cores() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[A], B], values: Iterable[A], jobs: int | None = None) -> Iterator[B]:
    """`work` on each value, in order, on so many processes; on one, right here."""
    if jobs == 1:
        yield from map(work, values)
        return
    jobs, all_ = jobs or cores(), list(values)
    chunk = min(AT_ONCE, max(1, len(all_) // (4 * jobs)))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_end_with_parent) as pool:
        try:
            yield from pool.map(work, all_, chunksize=chunk)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """This process ends at once when its parent has."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - whoever is spawned has one

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), name="parent-watch", daemon=True).start()
