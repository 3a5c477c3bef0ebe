"""A bounded queue that can be closed from either end; closing wakes everybody who waits."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Hands items from one thread to another.

    Parameters
    ----------
    capacity : int
        Items that may wait; `put` blocks when so many do.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None

    def put(self, item: Item, timeout: float | None = None) -> bool:
        """Add an item; False if the mailbox is closed.

        Raises
        ------
        TimeoutError
            If there is no room within `timeout` seconds.
        """
        with self._changed:
            self._wait(lambda: len(self._items) < self._capacity, timeout)
            if self._error is not None:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> Item:
        """Take the oldest item. A closed mailbox gives what is left, then raises why it closed.

        Raises
        ------
        TimeoutError
            If nothing comes within `timeout` seconds.
        Exception
            What `close` was given.
        """
        with self._changed:
            self._wait(lambda: bool(self._items), timeout)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            raise self._error or TimeoutError()

    def close(self, error: Exception) -> None:
        """Let `put` fail from now on, and `get` once it is empty. The first error stays."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        if not self._changed.wait_for(lambda: ready() or self._error is not None, timeout):
            raise TimeoutError
