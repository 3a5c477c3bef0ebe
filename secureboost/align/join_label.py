"""The label party's rows of common customers, in the order of time in which they are told."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from secureboost.align.events import Events
from secureboost.align.join_options import AsOfOptions, WindowOptions
from secureboost.align.streams import LabelStream, StreamCounts
from secureboost.errors import DataError

BLOCK = 1 << 16
"""Rows of a stream that are taken at a time."""


class LabelRows(ABC):
    """Rows in order of time.

    Attributes
    ----------
    counts : StreamCounts
        What became of the rows of the table; complete after `parts`.
    """

    counts: StreamCounts

    @abstractmethod
    def parts(self) -> Iterator[Events]:
        """Give the rows, some at a time; their numbers are positions in the table."""


class TableRows(LabelRows):
    """All rows of a table, sorted by time, then customer: that says nothing of the table's order.

    Parameters
    ----------
    customers : array of shape (n_rows,), int32
        -1: a customer that is not common.
    times : array of shape (n_rows,), int64
    """

    def __init__(self, customers: NDArray[np.int32], times: NDArray[np.int64]) -> None:
        order = np.lexsort((customers, times))
        rows = order[customers[order] >= 0]
        self.counts = StreamCounts(came=len(order), unknown=len(order) - len(rows))
        self._events = Events(customers[rows], times[rows], rows.astype(np.int64))

    def parts(self) -> Iterator[Events]:
        """See `LabelRows.parts`."""
        yield self._events


class StreamRows(LabelRows):
    """The rows of a table as a stream; what comes too late is left out.

    Parameters
    ----------
    customers : array of shape (n_rows,), int32
        -1: a customer that is not common.
    times : array of shape (n_rows,), int64
    options : WindowOptions
    party : str
        Whose they are, for messages.
    """

    def __init__(
        self,
        customers: NDArray[np.int32],
        times: NDArray[np.int64],
        options: WindowOptions,
        party: str,
    ) -> None:
        self._customers = customers
        self._times = times
        self._options = options
        self._stream = LabelStream(options.terms(), party)
        self.counts = self._stream.counts

    def parts(self) -> Iterator[Events]:
        """See `LabelRows.parts`.

        Raises
        ------
        DataError
            If more than ``options.max_held`` rows have to wait.
        """
        stream = self._stream
        for first in range(0, len(self._times), BLOCK):
            block = slice(first, first + BLOCK)
            stream.add(self._customers[block], self._times[block])
            yield stream.waiting.take_before(stream.decided_before)
            if len(stream) > self._options.max_held:
                raise DataError(
                    f"{stream.party}: {len(stream):,} rows have to be held, more than "
                    f"max_held={self._options.max_held:,}. Take less lateness or a larger max_held."
                )
        stream.ended = True
        yield stream.waiting.take_before(stream.decided_before)


def label_rows(
    customers: NDArray[np.int32],
    times: NDArray[np.int64],
    options: AsOfOptions | WindowOptions,
    party: str,
) -> LabelRows:
    """Make what gives the rows for a join with these options."""
    if isinstance(options, WindowOptions):
        return StreamRows(customers, times, options, party)
    return TableRows(customers, times)
