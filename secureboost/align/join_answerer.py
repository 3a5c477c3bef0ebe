"""The feature party's side of a join by time: finds its rows, tells how many, keeps which.

It checks that the label party's times come in order and within what was announced, and that none
of its own rows that match knows the future. Nothing is kept before the end.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Message, Refusal, Reply
from secureboost.align.event_table import EventTable
from secureboost.align.join_finders import Finder, make_finder
from secureboost.align.join_options import AsOfTerms, Terms, differences, terms_text
from secureboost.align.join_protocol import (
    TIMES_CHUNK,
    BeginJoin,
    ConcludeJoin,
    KeepRows,
    Matches,
    TimesOf,
)
from secureboost.align.join_transcript import JoinTranscript, join_details
from secureboost.align.keys import Keys
from secureboost.align.pairing import pair_up
from secureboost.align.policy import AlignPolicy
from secureboost.align.protocol import Code
from secureboost.align.table import AlignTable
from secureboost.alignment import Alignment
from secureboost.dates import TIME_LIMIT
from secureboost.errors import SecureBoostError

log = logging.getLogger(__name__)


class JoinAnswerer:
    """Answers what `join_protocol` allows, within one session.

    Parameters
    ----------
    table : AlignTable
    asker : str
        Name of the label party, for the alignments that are kept.

    Attributes
    ----------
    answers : mapping of request type to method
    """

    def __init__(self, table: AlignTable, asker: str) -> None:
        self._table = table
        self._asker = asker
        self._join: _Join | None = None
        self.answers: Mapping[type[Message], Callable[[Any], Reply]] = {
            BeginJoin: self._begin,
            TimesOf: lambda request: self._under_way().tell(request),
            KeepRows: lambda request: self._under_way().keep(request),
            ConcludeJoin: self._conclude,
        }

    def close(self) -> None:
        """Forget what is under way."""
        self._join = None

    def _under_way(self) -> "_Join":
        if self._join is None:
            raise RuntimeError("no join is under way")
        return self._join

    def _begin(self, request: BeginJoin) -> Ack:
        self.close()
        try:
            self._join = self._prepare(request)
        except SecureBoostError as error:
            log.error("the label party wants to join rows, but: %s", error)
            raise Refusal(
                Code.JOIN, "this party's rows cannot be joined; its log says why"
            ) from error
        log.info(
            "a join begins: at most %d rows of the label party, %s",
            request.n_rows,
            terms_text(request.terms),
        )
        return Ack()

    def _prepare(self, request: BeginJoin) -> "_Join":
        table = self._table
        events = table.read_rows()
        if not isinstance(events, EventTable):
            raise Refusal(Code.JOIN, "this party has no column of times to join rows by")
        keyed = table.alignments.load(request.alignment)
        if keyed is None:
            raise Refusal(
                Code.JOIN,
                f"this party holds no alignment {request.alignment.hex()[:8]} of keys; align again",
            )
        check_begin(request, events, table.policy)
        customers = events.customers(keyed)
        if not table.budget.spend_keys(request.n_rows):
            raise Refusal(
                Code.BUDGET,
                f"{request.n_rows} rows are more than this party still lets be compared with its "
                f"table; {table.budget.spent.probed_keys} of {table.policy.max_probed_keys} keys "
                "and rows have been",
            )
        finder = make_finder(request.terms, events, customers, len(keyed), table.party)
        return _Join(request, finder, len(keyed), table.policy.max_rows)

    def _conclude(self, request: ConcludeJoin) -> Ack:
        join = self._under_way()
        if request.alignment != join.transcript.digest():
            raise Refusal(
                Code.TRANSCRIPT,
                "both sides do not have the same record of what was said: something was changed "
                "on the way or by a side. Nothing is kept; join again",
                ends_session=True,
            )
        self._table.alignments.save(
            Alignment(
                id=request.alignment,
                rows=join.rows,
                table_digest=join.finder.events.digest,
                party=self._table.party,
                peer=self._asker,
                details=join_details(join.begin, len(join.rows), join.finder.counts()),
            )
        )
        log.info("%d rows are agreed on: alignment %s", len(join.rows), request.alignment.hex()[:8])
        self.close()
        return Ack()


def check_begin(request: BeginJoin, events: EventTable, policy: AlignPolicy) -> None:
    """Refuse terms and numbers that the party's rules do not allow.

    Raises
    ------
    Refusal
    """
    check_join(request.terms, events)
    if request.n_rows > policy.max_rows:
        raise Refusal(
            Code.TOO_MANY,
            f"{request.n_rows} rows are above this party's limit of {policy.max_rows}",
        )


def check_join(terms: Terms | None, rows: Keys | EventTable) -> None:
    """Refuse a label party that joins rows by time in another way than this party.

    Parameters
    ----------
    terms : AsOfTerms, WindowTerms or None
        The label party's; None: it joins nothing by time.
    rows : Keys or EventTable
        This party's.

    Raises
    ------
    Refusal
    """
    differ = _differences(terms, rows)
    if differ:
        raise Refusal(Code.TERMS, f"the terms of the join differ: {'; '.join(differ)}"[:500])
    if isinstance(rows, EventTable) and rows.dates and not isinstance(terms, AsOfTerms):
        raise Refusal(
            Code.TERMS,
            "this party has columns of dates that must not lie after the label party's times, "
            "which it checks in as-of joins alone",
        )


def _differences(terms: Terms | None, rows: Keys | EventTable) -> list[str]:
    """Say in what terms differ, as the label party reads it."""
    if not isinstance(rows, EventTable):
        return [] if terms is None else [_one_sided(terms, "the label party", "this party")]
    if terms is None:
        return [_one_sided(rows.terms, "this party", "the label party")]
    if rows.terms is not None:
        return differences(terms, rows.terms)
    if terms.unit == rows.unit:
        return []
    return [f"unit is {terms.unit!r} at the label party and {rows.unit!r} at this party"]


def _one_sided(terms: Terms | None, one: str, other: str) -> str:
    """Say that one side alone joins rows by time."""
    how = "" if terms is None else f" ({terms_text(terms)})"
    return (
        f"rows are joined by time at {one}{how} and not at {other}. Set align.time on both sides, "
        "or on neither"
    )


class _Join:
    """A join under way."""

    def __init__(self, begin: BeginJoin, finder: Finder, n_customers: int, max_pairs: int) -> None:
        self.begin = begin
        self.finder = finder
        self.transcript = JoinTranscript(begin)
        self.rows = np.zeros(0, np.int32)
        self._n_customers = n_customers
        self._max_pairs = max_pairs
        self._n_told = 0
        self._n_pairs = 0
        self._last = -TIME_LIMIT
        self._n_matches: list[NDArray[np.uint16]] = []
        self._partners: list[NDArray[np.int32]] = []

    def tell(self, request: TimesOf) -> Matches:
        """Find the matches of a chunk."""
        customers, times = request.customers, request.times
        self._check(customers, times)
        n_matches, partners = self.finder.find(customers, times)
        self._n_told += len(times)
        self._n_pairs += len(partners)
        self._last = int(times[-1])
        if self._n_pairs > self._max_pairs:
            raise Refusal(
                Code.TOO_MANY,
                f"the matches are more than this party's limit of {self._max_pairs} rows",
                ends_session=True,
            )
        reply = Matches(n_matches=n_matches.astype(np.uint16))
        self._n_matches.append(reply.n_matches)
        self._partners.append(partners)
        self.transcript.add_times(request, reply.n_matches)
        return reply

    def keep(self, request: KeepRows) -> Ack:
        """Work out which own rows the agreed ones are."""
        if len(request.kept) != -(-self._n_told // 8):
            raise _fault(
                Code.LIST, f"{len(request.kept)} bytes say which of {self._n_told} rows are kept"
            )
        bits = np.unpackbits(request.kept, bitorder="little").astype(np.bool_)
        if bits[self._n_told :].any():
            raise _fault(Code.LIST, f"rows behind the {self._n_told} that were told are kept")
        kept = bits[: self._n_told]
        n_matches = np.concatenate([np.zeros(0, np.int64), *self._n_matches])
        partners = np.concatenate([np.zeros(0, np.int32), *self._partners])
        told = np.arange(self._n_told)
        pairs = pair_up(told[kept], n_matches[kept], partners[np.repeat(kept, n_matches)])
        if len(pairs) != request.n_agreed:
            raise _fault(
                Code.LIST, f"{request.n_agreed} agreed rows are announced, {len(pairs)} are kept"
            )
        self.rows = pairs.partner.astype(np.int32)
        self.transcript.add_kept(request)
        return Ack()

    def _check(self, customers: NDArray[np.int32], times: NDArray[np.int64]) -> None:
        """Refuse rows that were not announced, do not exist or are out of order."""
        n = len(times)
        if not 1 <= n <= TIMES_CHUNK or len(customers) != n:
            raise _fault(
                Code.TIMES,
                f"{len(customers)} customers and {n} times came; a chunk has 1 to {TIMES_CHUNK} of "
                "both",
            )
        if self._n_told + n > self.begin.n_rows:
            raise _fault(
                Code.TIMES,
                f"{self._n_told + n} rows came; at most {self.begin.n_rows} were announced",
            )
        if customers.min() < 0 or customers.max() >= self._n_customers:
            raise _fault(Code.TIMES, f"customers must be rows 0..{self._n_customers - 1}")
        if times[0] < self._last or times[-1] > TIME_LIMIT or (times[1:] < times[:-1]).any():
            raise _fault(Code.TIMES, "times must ascend, within plus and minus 2**61")


def _fault(code: Code, detail: str) -> Refusal:
    return Refusal(code, detail, ends_session=True)
