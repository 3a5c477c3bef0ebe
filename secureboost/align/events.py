"""Rows with a customer and a time: what the as-of join and the streaming join work on.

Customers are numbers ``0 .. n_customers - 1`` that both sides share after their keys were matched;
-1 is a customer that the other side does not have. Times are whole numbers in a unit that both
sides agreed on (`secureboost.dates.read_times`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.data import positions_text, table_name
from secureboost.dates import TIME_LIMIT
from secureboost.errors import ConfigError, DataError

MAX_ROWS = 2**31 - 1
"""Row positions are int32."""


def check_events(
    customers: NDArray[np.int32],
    times: NDArray[np.int64],
    party: str,
    n_customers: int | None = None,
) -> None:
    """Check rows with a customer and a time.

    Parameters
    ----------
    customers : array of shape (n_rows,), int32
        -1: a customer that the other side does not have.
    times : array of shape (n_rows,), int64
    party : str
        Whose they are, for messages.
    n_customers : int, optional
        Customers are numbered below this.

    Raises
    ------
    DataError
        If shapes or types are others, there are too many rows, or a number is out of its limits.
    """
    name = table_name(party)
    for what, array, dtype in (("customers", customers, np.int32), ("times", times, np.int64)):
        if array.ndim != 1 or array.dtype != dtype:
            raise DataError(
                f"{name}: {what} have {array.ndim} dimensions and type {array.dtype}; they must "
                f"have one dimension and type {np.dtype(dtype)}."
            )
    if len(customers) != len(times):
        raise DataError(f"{name}: {len(customers):,} customers for {len(times):,} times.")
    if len(customers) > MAX_ROWS:
        raise DataError(f"{name}: {len(customers):,} rows; at most {MAX_ROWS:,} can be joined.")
    beyond = customers < -1
    if n_customers is not None:
        beyond |= customers >= n_customers
    if beyond.any():
        behind = "" if n_customers is None else f" and below {n_customers:,}"
        raise DataError(
            f"{name}: the customer number is out of its limits in {positions_text(beyond)}; it "
            f"must be at least -1{behind}."
        )
    beyond = (times > TIME_LIMIT) | (times < -TIME_LIMIT)
    if beyond.any():
        raise DataError(
            f"{name}: the time lies beyond plus or minus 2**61 in {positions_text(beyond)}. Count "
            "in a larger unit."
        )


def check_span(value: int, name: str) -> None:
    """Check a length of time.

    Raises
    ------
    ConfigError
        If it is negative or too long.
    """
    if not 0 <= value <= TIME_LIMIT:
        raise ConfigError(f"is {value}; it must lie between 0 and 2**61", name)


@dataclass(frozen=True, repr=False)
class Events:
    """Events of one stream.

    Attributes
    ----------
    customers : array of shape (n,), int32
    times : array of shape (n,), int64
    numbers : array of shape (n,), int64
        Each event's place in its stream, from 0; later events have higher numbers.
    """

    customers: NDArray[np.int32]
    times: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.customers)

    def pick(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> "Events":
        """Some of them, by a mask, positions or a range."""
        return Events(self.customers[which], self.times[which], self.numbers[which])

    def join(self, others: "Events") -> "Events":
        """These, then the others."""
        return Events(
            np.concatenate([self.customers, others.customers]),
            np.concatenate([self.times, others.times]),
            np.concatenate([self.numbers, others.numbers]),
        )


NO_EVENTS = Events(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
