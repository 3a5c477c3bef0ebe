"""How a feature party finds its rows for the customers and times that the label party tells."""

import logging
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal
from secureboost.align.as_of import check_later_dates, sort_rows
from secureboost.align.event_table import EventTable
from secureboost.align.events import check_events
from secureboost.align.join_options import AsOfTerms, Terms, WindowTerms
from secureboost.align.protocol import Code
from secureboost.align.streams import PartnerStream
from secureboost.errors import DataError

BLOCK = 1 << 16
"""Own rows of a stream that are taken at a time."""

log = logging.getLogger(__name__)


class Finder(ABC):
    """Finds own rows of the customers and times that come, in order of time."""

    def __init__(self, events: EventTable) -> None:
        self.events = events

    @abstractmethod
    def find(
        self, customers: NDArray[np.int32], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return how many rows match each, shape (n,), and their positions one after the other.

        Raises
        ------
        Refusal
        """

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Say what was dropped, for people."""


class AsOfFinder(Finder):
    """Finds the newest row at or before a time."""

    def __init__(
        self,
        terms: AsOfTerms,
        events: EventTable,
        customers: NDArray[np.int32],
        n_customers: int,
        party: str,
    ) -> None:
        super().__init__(events)
        self._terms = terms
        self._party = party
        self._rows = sort_rows(customers, events.times, n_customers, party)
        self._n_later = 0

    def find(
        self, customers: NDArray[np.int32], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """See `Finder.find`."""
        events, terms = self.events, self._terms
        found = self._rows.newest(customers, times, window=terms.window, lag=terms.lag)
        try:
            kept = check_later_dates(found, times, events.dates, self._party, events.later_dates)
        except DataError as error:
            log.error("%s", error)
            raise Refusal(
                Code.LATER_DATES,
                "rows of this party that match hold a date after the application; its log says "
                "which. They would tell the model the future",
                ends_session=True,
            ) from error
        self._n_later += int((kept != found).sum())
        matched = kept >= 0
        return matched.astype(np.int64), kept[matched]

    def counts(self) -> dict[str, int]:
        """See `Finder.counts`."""
        return {"matches dropped for a later date": self._n_later}


class WindowFinder(Finder):
    """Finds rows around a time, reading its own table as a stream beside the label party's."""

    def __init__(
        self, terms: WindowTerms, events: EventTable, customers: NDArray[np.int32], party: str
    ) -> None:
        super().__init__(events)
        self._customers = customers
        self._stream = PartnerStream(terms, party)
        self._n_cut = 0

    def find(
        self, customers: NDArray[np.int32], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """See `Finder.find`."""
        stream = self._stream
        numbers, partners, done = [], [], 0
        while True:
            decided = int(np.searchsorted(times, stream.decided_before))
            n_matches, rows, cut = stream.match(customers[done:decided], times[done:decided])
            numbers.append(n_matches)
            partners.append(rows.astype(np.int32))
            self._n_cut += cut
            done = decided
            stream.forget(int(times[min(done, len(times) - 1)]))
            if done == len(times):
                return np.concatenate(numbers), np.concatenate(partners)
            self._read_on()

    def counts(self) -> dict[str, int]:
        """See `Finder.counts`."""
        counts = self._stream.counts
        return {
            "own events read": counts.came,
            "own events too late": counts.late,
            "own events of other customers": counts.unknown,
            "matches above max_matches": self._n_cut,
        }

    def _read_on(self) -> None:
        """Take the next block of the own stream, or its end."""
        stream, events = self._stream, self.events
        block = slice(stream.counts.came, stream.counts.came + BLOCK)
        if block.start >= len(events.times):
            stream.ended = True
            return
        stream.add(self._customers[block], events.times[block])
        if len(stream) > events.max_held:
            log.error("a join needs more than max_held=%d events in memory", events.max_held)
            raise Refusal(
                Code.TOO_MANY,
                f"more than {events.max_held} events of this party lie in a window at a time; take "
                "a smaller window or less lateness",
                ends_session=True,
            )


def make_finder(
    terms: Terms,
    events: EventTable,
    customers: NDArray[np.int32],
    n_customers: int,
    party: str,
) -> Finder:
    """Make what finds own rows on these terms.

    Raises
    ------
    DataError
        If the own times cannot be used.
    """
    check_events(customers, events.times, party)
    if isinstance(terms, AsOfTerms):
        return AsOfFinder(terms, events, customers, n_customers, party)
    return WindowFinder(terms, events, customers, party)
