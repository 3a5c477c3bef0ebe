"""Partner events that a label event may still match, in the order in which they are looked up."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secureboost.align.events import NO_EVENTS, Events
from secureboost.compiling import kernel

Match: TypeAlias = Literal["all", "first", "nearest", "last"]
"""Which partner events in its window a label event matches.

first, last
    The earliest, the latest; of equal times the one that came first, or last.
nearest
    The one with the smallest distance in time; the earlier of two, then the one that came first.
"""

_NEAREST, _LAST = 1, 2
_CHOICE: dict[Match, int] = {"all": 0, "first": 0, "nearest": _NEAREST, "last": _LAST}


class HeldEvents:
    """Events by customer, time and number.

    Parameters
    ----------
    events : Events
        Those that are held, in that order, when a stream is gone on with.
    """

    def __init__(self, events: Events = NO_EVENTS) -> None:
        self.events = events

    def __len__(self) -> int:
        return len(self.events)

    def add(self, events: Events) -> None:
        """Take more events, of higher numbers than those before."""
        block = events.pick(np.lexsort((events.times, events.customers)))
        mine = self.events
        merged = Events(
            np.empty(len(mine) + len(block), np.int32),
            np.empty(len(mine) + len(block), np.int64),
            np.empty(len(mine) + len(block), np.int64),
        )
        merge_events(
            *(mine.customers, mine.times, mine.numbers),
            *(block.customers, block.times, block.numbers),
            *(merged.customers, merged.times, merged.numbers),
        )
        self.events = merged

    def forget_before(self, time: int) -> None:
        """Let go of all events whose time is below `time`."""
        self.events = self.events.pick(self.events.times >= time)

    def find(
        self,
        customers: NDArray[np.int32],
        times: NDArray[np.int64],
        *,
        before: int,
        after: int,
        match: Match,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the matches of label events.

        Parameters
        ----------
        customers : array of shape (n,), int32
        times : array of shape (n,), int64
        before, after : int
            A match lies between ``time - before`` and ``time + after``.
        match : Match

        Returns
        -------
        starts, counts : arrays of shape (n,), int64
            Label event i matches ``events.numbers[starts[i] : starts[i] + counts[i]]``, in order
            of time.
        """
        starts, counts = np.empty(len(customers), np.int64), np.empty(len(customers), np.int64)
        held = self.events
        find_windows(
            held.customers,
            held.times,
            customers,
            times,
            before,
            after,
            _CHOICE[match],
            starts,
            counts,
        )
        return starts, counts if match == "all" else np.minimum(counts, 1)


@kernel
def merge_events(
    customers: NDArray[np.int32],
    times: NDArray[np.int64],
    numbers: NDArray[np.int64],
    new_customers: NDArray[np.int32],
    new_times: NDArray[np.int64],
    new_numbers: NDArray[np.int64],
    out_customers: NDArray[np.int32],
    out_times: NDArray[np.int64],
    out_numbers: NDArray[np.int64],
) -> None:
    """Merge two lists in the order of customer and time; of equal ones the first list's first."""
    i, j = 0, 0
    for k in range(len(out_customers)):
        if j == len(new_customers):
            takes_new = False
        elif i == len(customers):
            takes_new = True
        elif new_customers[j] == customers[i]:
            takes_new = new_times[j] < times[i]
        else:
            takes_new = new_customers[j] < customers[i]
        if takes_new:
            out_customers[k] = new_customers[j]
            out_times[k] = new_times[j]
            out_numbers[k] = new_numbers[j]
            j += 1
        else:
            out_customers[k] = customers[i]
            out_times[k] = times[i]
            out_numbers[k] = numbers[i]
            i += 1


@kernel
def find_windows(
    held_customers: NDArray[np.int32],
    held_times: NDArray[np.int64],
    customers: NDArray[np.int32],
    times: NDArray[np.int64],
    before: int,
    after: int,
    choice: int,
    starts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Write where each label event's matches start and how many lie in its window.

    With `choice` the start is that of the nearest or the last one in the window.
    """
    for i in range(len(customers)):
        customer, time = customers[i], times[i]
        start = first_at(held_customers, held_times, customer, time - before)
        end = first_at(held_customers, held_times, customer, time + after + 1)
        counts[i] = end - start
        if start < end and choice == _LAST:
            start = end - 1
        elif start < end and choice == _NEAREST:
            later = first_at(held_customers, held_times, customer, time)
            if later == end or (
                later > start and time - held_times[later - 1] <= held_times[later] - time
            ):
                start = first_at(held_customers, held_times, customer, held_times[later - 1])
            else:
                start = later
        starts[i] = start


@kernel
def first_at(
    held_customers: NDArray[np.int32], held_times: NDArray[np.int64], customer: int, time: int
) -> int:
    """Position of the first event of `customer` at `time` or later, or behind its last one."""
    low, high = 0, len(held_customers)
    while low < high:
        middle = (low + high) >> 1
        if held_customers[middle] < customer or (
            held_customers[middle] == customer and held_times[middle] < time
        ):
            low = middle + 1
        else:
            high = middle
    return low
