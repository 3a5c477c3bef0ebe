"""Work on ranges in threads; the work must release the GIL to gain by it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from crypto.wide import Words

T = TypeVar("T")
VECTOR = 8
"""Engines may work on so many numbers at a time."""


def over_ranges(
    work: Callable[[int, int], T], count: int, n_jobs: int, *, multiple: int = 1, least: int = 1
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
    least : int
        Fewer are not worth a thread of their own.

    Returns
    -------
    list
        What the calls returned, in order; empty if `count` is 0.
    """
    units = -(-count // multiple)
    n_jobs = max(1, min(n_jobs, units, count // least))
    size = -(-units // n_jobs) * multiple
    ranges = [(first, min(first + size, count)) for first in range(0, count, max(size, 1))]
    if len(ranges) < 2:
        return [work(first, end) for first, end in ranges]
    with ThreadPoolExecutor(len(ranges)) as pool:
        return list(pool.map(work, *zip(*ranges, strict=True)))


def in_blocks(draw: Callable[[int], Words], count: int, n_jobs: int) -> Words:
    """Call ``draw(size)`` for a block of rows on each thread, and put the blocks together."""
    blocks = over_ranges(lambda first, end: draw(end - first), count, n_jobs, multiple=VECTOR)
    return np.concatenate(blocks) if blocks else draw(0)
