"""The as-of join: for an application the partner's newest row that was known on its day.

A credit bureau has many rows of a customer, one for each month say. An application of 15 March may
see the row of 1 March, never that of 1 April: what came later is often the outcome itself, a model
that has seen it is excellent on paper and useless at the counter. This is the classic fault of
credit models, so it is held off twice:

- The row's own time decides, in `AsOfRows.newest`: at or before the time of the application, at
  least `lag` and at most `window` older. Times in days know no hours, so with ``lag=0`` a row of
  the same day counts as known, though it may have been written hours later. Where that matters
  take ``lag=1``, or times in seconds. A source that is published late needs its delay as `lag`.
- A row's columns may still hold what was filled in afterwards. A partner names its columns of
  dates, and `check_later_dates` finds matched rows in which one lies after the application.

Of rows of the same customer and time the last in the table is taken.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secureboost.align.events import check_events
from secureboost.compiling import kernel
from secureboost.data import positions_text, table_name
from secureboost.errors import DataError

LaterDates: TypeAlias = Literal["error", "drop"]
"""What becomes of matched rows with a date after the application."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class AsOfRows:
    """A partner's rows by customer and time.

    Attributes
    ----------
    starts : array of shape (n_customers + 1,), int64
        The rows of customer c are ``starts[c] .. starts[c + 1] - 1`` of the arrays below.
    times : array of shape (n,), int64
        Ascending within a customer.
    rows : array of shape (n,), int32
        Positions in the table; ascending where customer and time are equal.
    """

    starts: NDArray[np.int64]
    times: NDArray[np.int64]
    rows: NDArray[np.int32]

    @property
    def n_customers(self) -> int:
        """Customers are numbered below this."""
        return len(self.starts) - 1

    def newest(
        self,
        customers: NDArray[np.int32],
        times: NDArray[np.int64],
        *,
        window: int,
        lag: int = 0,
    ) -> NDArray[np.int32]:
        """Find for each application the newest row that it may see.

        Parameters
        ----------
        customers : array of shape (n,), int32
            Below `n_customers`; -1 finds nothing.
        times : array of shape (n,), int64
        window, lag : int
            The row is at least `lag` and at most `window` older.

        Returns
        -------
        array of shape (n,), int32
            Positions in the partner's table, -1 where there is no such row.
        """
        found = np.empty(len(customers), np.int32)
        newest_rows(self.starts, self.times, self.rows, customers, times, window, lag, found)
        return found


def sort_rows(
    customers: NDArray[np.int32], times: NDArray[np.int64], n_customers: int, party: str
) -> AsOfRows:
    """Bring a partner's rows into the order in which they are looked up.

    Parameters
    ----------
    customers : array of shape (n_rows,), int32
        -1: a customer that the other side does not have.
    times : array of shape (n_rows,), int64
    n_customers : int
        Customers are numbered below this.
    party : str
        Whose they are, for messages.

    Raises
    ------
    DataError
        See `events.check_events`.
    """
    check_events(customers, times, party, n_customers)
    order = np.lexsort((times, customers))  # stable: equal rows stay in the order of the table
    order = order[np.searchsorted(customers[order], 0) :]
    counts = np.bincount(customers[order], minlength=n_customers)
    starts = np.append(np.int64(0), np.cumsum(counts, dtype=np.int64))
    return AsOfRows(starts, times[order], order.astype(np.int32))


def check_later_dates(
    found: NDArray[np.int32],
    times: NDArray[np.int64],
    dates: Mapping[str, NDArray[np.int64]],
    party: str,
    rule: LaterDates = "error",
) -> NDArray[np.int32]:
    """Find matched rows whose columns hold a date after the application: leaks from the future.

    Parameters
    ----------
    found : array of shape (n,), int32
        The matched rows, -1 for none.
    times : array of shape (n,), int64
        Of the applications.
    dates : mapping of str to array of shape (n_rows,), int64
        The partner's columns that hold dates, in the same unit; `secureboost.dates.NO_DATE` where
        a row has none.
    party : str
        Whose table it is, for messages.
    rule : {"error", "drop"}
        ``"drop"``: such an application has no row. No older one is taken instead, since that may
        have been changed afterwards just as well.

    Returns
    -------
    array of shape (n,), int32
        `found`, with -1 where a row was dropped.

    Raises
    ------
    DataError
        If there is such a row and `rule` is ``"error"``. Error and log name columns and positions,
        which are for the partner itself and not for the other company.
    """
    matched = found >= 0
    kept = found.copy()
    problems = []
    for column, values in dates.items():
        later = np.zeros(len(found), np.bool_)
        later[matched] = values[found[matched]] > times[matched]
        if later.any():
            kept[later] = -1
            bad = np.zeros(len(values), np.bool_)
            bad[found[later]] = True
            problems.append(f"column {column!r} in {positions_text(bad)}")
    if problems:
        text = (
            f"{table_name(party)}: {int((kept != found).sum()):,} of {int(matched.sum()):,} "
            f"matches are with rows that hold a date after the application: {'; '.join(problems)}"
        )
        if rule == "error":
            raise DataError(
                f"{text}. Such rows know the future. Give the table as it was known at the time, "
                "or have these matches dropped."
            )
        log.warning("%s. These matches are dropped", text)
    return kept


@kernel
def newest_rows(
    starts: NDArray[np.int64],
    times: NDArray[np.int64],
    rows: NDArray[np.int32],
    customers: NDArray[np.int32],
    moments: NDArray[np.int64],
    window: int,
    lag: int,
    found: NDArray[np.int32],
) -> None:
    """Write the newest row of each customer into `found`; see `AsOfRows.newest`."""
    for i in range(len(customers)):
        found[i] = -1
        if customers[i] < 0:
            continue
        begin = starts[customers[i]]
        low, high = begin, starts[customers[i] + 1]
        latest = moments[i] - lag
        while low < high:  # to the first row after `latest`
            middle = (low + high) >> 1
            if times[middle] <= latest:
                low = middle + 1
            else:
                high = middle
        if low > begin and times[low - 1] >= moments[i] - window:
            found[i] = rows[low - 1]
