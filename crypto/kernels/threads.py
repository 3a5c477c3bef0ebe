"""Work on ranges in threads; the work must release the GIL to gain by it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def over_ranges(
    work: Callable[[int, int], T], count: int, n_jobs: int, multiple: int = 1
) -> list[T]:
    """Call ``work(first, end)`` on ranges that cover ``[0, count)``, one thread for each.

    Parameters
    ----------
    work : callable
    count : int
    n_jobs : int
        Threads at most.
    multiple : int
        Ranges begin at multiples of this.

    Returns
    -------
    list
        What the calls returned, in order; empty if `count` is 0.
    """
    units = -(-count // multiple)
    n_jobs = max(1, min(n_jobs, units))
    size = -(-units // n_jobs) * multiple
    ranges = [(first, min(first + size, count)) for first in range(0, count, max(size, 1))]
    if len(ranges) < 2:
        return [work(first, end) for first, end in ranges]
    with ThreadPoolExecutor(len(ranges)) as pool:
        return list(pool.map(work, *zip(*ranges, strict=True)))
