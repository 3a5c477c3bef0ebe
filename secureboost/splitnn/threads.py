"""How many threads torch computes with, set for a while and put back.

The number of threads decides how sums are split up, so it decides the last bits: two runs are equal
only if it is the same, and the default is 1. Networks of the usual size are faster with it, too: a
batch takes less time than waking threads up, above all where other processes want the cores.
Whatever the number, each operation used here gives the same result each time on one machine.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 0
_of_thread = threading.local()


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Compute with so many threads inside the block.

    torch keeps the number by thread, and what a new thread begins with for the whole process.
    Several parties in one process may be inside at a time, each in a thread; all put back what the
    first one found.
    """
    global _inside, _before
    chosen: list[int] = _of_thread.__dict__.setdefault("chosen", [])
    with _lock:
        if _inside == 0:
            _before = torch.get_num_threads()
        _inside += 1
        torch.set_num_threads(n_threads)
    chosen.append(n_threads)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            chosen.pop()
            torch.set_num_threads(chosen[-1] if chosen else _before)
