"""One stream of a streaming join: what comes too late, what waits, what is held.

`window_join` puts a label stream and a partner stream together in one process; the protocol has
each of them at its own company.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.align.events import NO_EVENTS, Events, check_events
from secureboost.align.held import HeldEvents
from secureboost.align.join_options import WindowTerms
from secureboost.dates import TIME_LIMIT

_ENDED = 2 * TIME_LIMIT + 1
"""Behind every time and every time plus a window."""


class StreamCounts(msgspec.Struct, kw_only=True):
    """What became of the events of a stream so far.

    Attributes
    ----------
    came : int
        All of them.
    late : int
        Dropped, below the watermark.
    unknown : int
        Dropped, of customers that the other side does not have.
    """

    came: int = 0
    late: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        return (
            f"{self.came:,} came, {self.late:,} dropped that came too late, {self.unknown:,} of "
            "customers that the other side does not have"
        )


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it is kept to be gone on with; arrays as bytes."""

    counts: StreamCounts
    newest: int | None
    ended: bool
    customers: bytes
    times: bytes
    numbers: bytes

    def events(self) -> Events:
        """The events in memory."""
        return Events(
            np.frombuffer(self.customers, np.int32),
            np.frombuffer(self.times, np.int64),
            np.frombuffer(self.numbers, np.int64),
        )


class Watermark:
    """How far a stream that is only roughly in order has come, and what came too late.

    An event is late if its time is more than `lateness` below the newest time before it in the
    stream. So whether it is late depends on its own stream alone, not on the sizes of blocks nor
    on the other stream. Every further event that is not late has at least the time `value`.

    Parameters
    ----------
    lateness : int
        In the unit of the times.
    newest : int, optional
        The newest time so far, when a stream is gone on with.
    """

    def __init__(self, lateness: int, newest: int | None = None) -> None:
        self.lateness = lateness
        self.newest = newest

    @property
    def value(self) -> int:
        """No event below this will be admitted any more."""
        return -2 * TIME_LIMIT if self.newest is None else self.newest - self.lateness

    def admit(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take note of the next block; tell which of its events are in time.

        Parameters
        ----------
        times : array of shape (n,), int64
        """
        first = -TIME_LIMIT if self.newest is None else self.newest
        newest = np.maximum.accumulate(np.append(np.int64(first), times))
        if len(times):
            self.newest = int(newest[-1])
        return np.asarray(times >= newest[:-1] - self.lateness)


class WaitingEvents:
    """Events that wait until no earlier one can come; they leave in order of time.

    Events of equal times leave in the order in which they came.

    Parameters
    ----------
    events : Events
        Those that wait, in order, when a stream is gone on with.
    """

    def __init__(self, events: Events = NO_EVENTS) -> None:
        self.events = events

    def __len__(self) -> int:
        return len(self.events)

    def add(self, events: Events) -> None:
        """Take more events, of higher numbers than those before."""
        together = self.events.join(events)
        # stable, and fast where the first part is in order
        self.events = together.pick(np.argsort(together.times, kind="stable"))

    def take_before(self, time: int) -> Events:
        """Let go of all events whose time is below `time`."""
        end = int(np.searchsorted(self.events.times, time))
        leaving, self.events = self.events.pick(slice(end)), self.events.pick(slice(end, None))
        return leaving


class _Stream:
    """What both streams do with a block.

    Parameters
    ----------
    terms : WindowTerms
    party : str
        Whose stream it is, for messages.
    state : StreamState, optional
        Where to go on.
    """

    def __init__(self, terms: WindowTerms, party: str, state: StreamState | None = None) -> None:
        self.terms = terms
        self.party = party
        self.counts = StreamCounts() if state is None else state.counts
        self.watermark = Watermark(terms.lateness, None if state is None else state.newest)
        self.ended = state is not None and state.ended

    def _admit(self, customers: NDArray[np.int32], times: NDArray[np.int64]) -> Events:
        """Number and count the events of a block; drop those that are late or unknown."""
        check_events(customers, times, self.party)
        numbers = np.arange(self.counts.came, self.counts.came + len(times), dtype=np.int64)
        in_time, known = self.watermark.admit(times), customers >= 0
        self.counts.came += len(times)
        self.counts.late += int((~in_time).sum())
        self.counts.unknown += int((in_time & ~known).sum())
        return Events(customers, times, numbers).pick(in_time & known)

    def _state(self, events: Events) -> StreamState:
        return StreamState(
            counts=self.counts,
            newest=self.watermark.newest,
            ended=self.ended,
            customers=events.customers.tobytes(),
            times=events.times.tobytes(),
            numbers=events.numbers.tobytes(),
        )


class LabelStream(_Stream):
    """The label party's side of the join: puts its events into order."""

    def __init__(self, terms: WindowTerms, party: str, state: StreamState | None = None) -> None:
        super().__init__(terms, party, state)
        self.waiting = WaitingEvents(NO_EVENTS if state is None else state.events())

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def decided_before(self) -> int:
        """No further event will come below this time."""
        return _ENDED if self.ended else self.watermark.value

    def add(self, customers: NDArray[np.int32], times: NDArray[np.int64]) -> None:
        """Take a block of the stream.

        Raises
        ------
        DataError
            See `events.check_events`.
        """
        self.waiting.add(self._admit(customers, times))

    def state(self) -> StreamState:
        """What has to be known to go on."""
        return self._state(self.waiting.events)


class PartnerStream(_Stream):
    """The partner's side of the join: holds its events, and finds those that match."""

    def __init__(self, terms: WindowTerms, party: str, state: StreamState | None = None) -> None:
        super().__init__(terms, party, state)
        self.held = HeldEvents(NO_EVENTS if state is None else state.events())

    def __len__(self) -> int:
        return len(self.held)

    @property
    def decided_before(self) -> int:
        """Label events below this time have met all that they can match."""
        return _ENDED if self.ended else self.watermark.value - self.terms.after

    def add(self, customers: NDArray[np.int32], times: NDArray[np.int64]) -> None:
        """Take a block of the stream.

        Raises
        ------
        DataError
            See `events.check_events`.
        """
        self.held.add(self._admit(customers, times))

    def match(
        self, customers: NDArray[np.int32], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Find the matches of label events that are decided.

        Parameters
        ----------
        customers : array of shape (n,), int32
        times : array of shape (n,), int64
            Below `decided_before`.

        Returns
        -------
        n_matches : array of shape (n,), int64
        partners : array of shape (sum of n_matches,), int64
            Numbers of the partner events, one label event's after the other's.
        cut : int
            Matches above ``max_matches``, which are left out.
        """
        terms = self.terms
        starts, found = self.held.find(
            customers, times, before=terms.before, after=terms.after, match=terms.match
        )
        n_matches = np.minimum(found, terms.max_matches)
        partners = self.held.events.numbers[_ranges(starts, n_matches)]
        return n_matches, partners, int((found - n_matches).sum())

    def forget(self, next_time: int) -> None:
        """Let go of what only label events before `next_time` could match."""
        self.held.forget_before(next_time - self.terms.before)

    def state(self) -> StreamState:
        """What has to be known to go on."""
        return self._state(self.held.events)


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """``start, start + 1, ...`` of each range, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum(), dtype=np.int64) + np.repeat(starts - ends + counts, counts)
