"""Randomness made ahead: what encryption needs and no message enters.

A pool is a bounded store of rows that a thread of its own fills and that callers empty. Each row is
handed out once and forgotten. The thread runs at the lowest priority where the system allows it, so
that it uses what the party leaves idle while it waits for the others. A pool is never pickled, and
the child of a fork finds it empty and stopped: two processes never share a row.
"""

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NoReturn
from weakref import WeakSet

import numpy as np

from crypto.wide import Words

BLOCK = 512
"""Rows per call unless said otherwise; stopping a pool waits for one call."""
_LOWEST_PRIORITY = 19

_log = logging.getLogger(__name__)
_pools: "WeakSet[Pool]" = WeakSet()


class Pool:
    """A bounded store of secret random rows, filled by a thread.

    Parameters
    ----------
    draw : callable
        Makes a number of fresh rows.
    capacity : int
        Most rows held: ``8 * words`` bytes each.
    block : int
        Rows per call. Stopping the pool waits for one call.

    Raises
    ------
    ValueError
        If the capacity is not positive.
    """

    def __init__(self, draw: Callable[[int], Words], capacity: int, block: int = BLOCK) -> None:
        if capacity < 1:
            raise ValueError(f"capacity={capacity} must be at least 1 row")
        self.capacity = capacity
        self._draw = draw
        self._block = block
        self._changed = threading.Condition()
        self._blocks: deque[Words] = deque()
        self._available = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        _pools.add(self)

    def __repr__(self) -> str:
        return f"<pool of {self.available} of {self.capacity} rows>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a pool is never pickled or copied: its rows must not be used twice")

    @property
    def available(self) -> int:
        """Rows that can be taken now."""
        with self._changed:
            return self._available

    def start(self) -> None:
        """Begin to fill; does nothing if the thread runs."""
        with self._changed:
            if self._thread is None:
                self._stopping = False
                self._thread = threading.Thread(target=self._fill, name="randomness", daemon=True)
                self._thread.start()

    def pause(self) -> None:
        """End the thread and keep the rows: no more will be needed than there are."""
        with self._changed:
            thread = self._thread
            self._stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        with self._changed:
            self._thread = None

    def stop(self) -> None:
        """End the thread and forget all rows."""
        self.pause()
        with self._changed:
            self._blocks.clear()
            self._available = 0

    def wait_until_full(self, timeout: float | None = None) -> bool:
        """Wait until the pool is full; tell whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._available >= self.capacity, timeout)

    def take(self, count: int) -> list[Words]:
        """Take up to `count` rows out, the oldest first.

        Returns
        -------
        list of arrays of shape (any, words), uint64
            With as many rows together as there were, at most `count`; they are the caller's alone.
        """
        taken = []
        with self._changed:
            while count and self._blocks:
                block = self._blocks.popleft()
                if len(block) > count:
                    self._blocks.appendleft(block[count:])
                    block = block[:count]
                taken.append(block)
                count -= len(block)
                self._available -= len(block)
            self._changed.notify_all()
        return taken

    def _fill(self) -> None:
        _lower_priority()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._available < self.capacity)
                if self._stopping:
                    return
                count = min(self._block, self.capacity - self._available)
            try:
                block = self._draw(count)
            except Exception:
                # Whoever encrypts will meet the same error; the pool only works ahead.
                _log.exception("the pool of randomness stops")
                return
            with self._changed:
                self._blocks.append(block)
                self._available += len(block)
                self._changed.notify_all()

    def _forget(self) -> None:
        """Be as new, in the child of a fork, where the thread is gone and locks may be held."""
        self._changed = threading.Condition()
        self._blocks = deque()
        self._available = 0
        self._thread = None


class WorksAhead:
    """A key whose randomness can be made ahead; by default there is nothing to make."""

    _pool: Pool | None = None

    def start_pool(self, capacity: int) -> Pool | None:
        """Make what encryption or re-randomising needs ahead, in a thread of its own.

        Parameters
        ----------
        capacity : int
            Ciphertexts' worth held at a time, ``8 * ciphertext_words`` bytes each.

        Returns
        -------
        Pool or None
            For waiting and watching; the key draws from it by itself. None where the scheme has
            nothing to make ahead.
        """
        self.stop_pool()
        self._pool = self._make_pool(capacity)
        if self._pool is not None:
            self._pool.start()
        return self._pool

    def stop_pool(self) -> None:
        """End the thread and forget what it made; does nothing if there is none."""
        if self._pool is not None:
            self._pool.stop()
            self._pool = None

    def _make_pool(self, capacity: int) -> Pool | None:
        """Return a pool that was not started, for a scheme that has something to make."""
        return None


def drawn_or_pooled(pool: Pool | None, draw: Callable[[int], Words], count: int) -> Words:
    """Take `count` rows from the pool, and draw what it lacks.

    Returns
    -------
    array of shape (count, words), uint64
    """
    blocks = pool.take(count) if pool is not None else []
    missing = count - sum(map(len, blocks))
    if missing or not blocks:
        blocks.append(draw(missing))
    return np.concatenate(blocks)


def _lower_priority() -> None:
    """Give way to every other thread; on Linux the priority is the thread's own."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)


def _forget_in_child() -> None:
    for pool in _pools:
        pool._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
