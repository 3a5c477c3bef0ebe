"""The label party's side of a join by time: tells times, chooses which rows are agreed on.

It needs alignments of keys first: `secureboost.align.align` over `event_table.different_keys` of
both sides. What comes out are alignments of rows, in order of time, the same with every party.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parties.peer import Peer
from parties.session import Session
from secureboost.align.asker import LABEL_PARTY, Asked, greeted
from secureboost.align.chunking import AHEAD
from secureboost.align.event_table import EventTable
from secureboost.align.events import Events, check_events
from secureboost.align.join_label import LabelRows, label_rows
from secureboost.align.join_options import AsOfOptions, WindowOptions, listed_terms
from secureboost.align.join_protocol import (
    TIMES_CHUNK,
    BeginJoin,
    ConcludeJoin,
    KeepRows,
    Matches,
    TimesOf,
)
from secureboost.align.join_transcript import JoinTranscript, join_details
from secureboost.align.pairing import MatchCounts, keep_decided
from secureboost.align.streams import StreamCounts
from secureboost.alignment import ABSENT, Alignment
from secureboost.errors import ConfigError, DataError, IntegrityError


@dataclass(frozen=True)
class JoinedRows:
    """The outcome of a join.

    Attributes
    ----------
    alignments : dict of str to Alignment
        For each feature party the label party's view: ``rows`` is the same in all of them,
        positions in the label party's table, in order of time. A row with several matches is there
        several times.
    rows : StreamCounts
        What became of the label party's rows.
    matches : MatchCounts
        What became of those that were told. With several parties a row matches if all of them have
        a match. ``cut`` is 0: a feature party counts what it drops.
    """

    alignments: dict[str, Alignment]
    rows: StreamCounts
    matches: MatchCounts

    def __str__(self) -> str:
        one = next(iter(self.alignments.values()))
        return _outcome(self.rows, self.matches, list(self.alignments), str(one.details["join"]))


def join_with(
    table: EventTable,
    keyed: Mapping[str, Alignment],
    parties: Sequence[Asked],
    options: AsOfOptions | WindowOptions,
) -> JoinedRows:
    """Join the label party's rows with those of the feature parties.

    Parameters
    ----------
    table : EventTable
        The label party's.
    keyed : mapping of str to Alignment
        `aligned.Aligned.alignments` of the different keys, with these parties.
    parties : sequence of Asked
        At least one.
    options : AsOfOptions or WindowOptions

    Raises
    ------
    ConfigError
        If the join cannot be had on these terms.
    DataError
        If times cannot be used, or no row is left.
    AlignmentError
        If an alignment is of another table.
    IntegrityError
        If a party answers what cannot be.
    parties.errors.PartyError
        If a party cannot be reached or refuses. All parties are released, nothing is kept.
    """
    alignments = [keyed[party.name] for party in parties]
    check_terms(table, alignments, options)
    customers = table.customers(alignments[0])
    check_events(customers, table.times, LABEL_PARTY)
    n_rows = int((customers >= 0).sum())
    if not n_rows:
        raise DataError("The label party has no row of a common customer.")
    with greeted(parties) as session:
        begins = [
            BeginJoin(alignment=alignment.id, n_rows=n_rows, terms=options.terms())
            for alignment in alignments
        ]
        session.ask_all(begins)
        talks = [
            _Talk(peer, begin, options) for peer, begin in zip(session.peers, begins, strict=True)
        ]
        rows = label_rows(customers, table.times, options, LABEL_PARTY)
        told = _tell(talks, rows)
        matches = MatchCounts()
        agreed = _agree(session, talks, told, matches, options)
        if not len(agreed):
            join = str(listed_terms(options.terms())["join"])
            outcome = _outcome(rows.counts, matches, [talk.party for talk in talks], join)
            raise DataError(
                f"No row is left: {outcome}. Take a wider window, or see whether both sides' times "
                "mean the same."
            )
        ids = [talk.transcript.digest() for talk in talks]
        session.ask_all([ConcludeJoin(alignment=alignment) for alignment in ids])
    return JoinedRows(
        {
            talk.party: Alignment(
                id=alignment,
                rows=agreed,
                table_digest=table.digest,
                party=LABEL_PARTY,
                peer=talk.party,
                details=join_details(
                    talk.begin, len(agreed), {"own rows too late": rows.counts.late}
                ),
                secret=alignments[0].secret,
            )
            for talk, alignment in zip(talks, ids, strict=True)
        },
        rows.counts,
        matches,
    )


def _outcome(rows: StreamCounts, matches: MatchCounts, parties: Sequence[str], join: str) -> str:
    """What became of the rows, in words of the join."""
    if join == "as-of":
        return matches.as_of(parties[0] if len(parties) == 1 else "each party")
    return f"rows: {rows}; {matches}"


def check_terms(
    table: EventTable, keyed: Sequence[Alignment], options: AsOfOptions | WindowOptions
) -> None:
    """Refuse what cannot be joined.

    Raises
    ------
    ConfigError
    """
    if options.unit != table.unit:
        raise ConfigError(f"is {options.unit!r}; the times were read as {table.unit!r}", "unit")
    if len(keyed) > 1 and isinstance(options, WindowOptions) and options.match == "all":
        raise ConfigError(
            f"'all' pairs a row with every match, which needs one party; there are {len(keyed)}. "
            "Take 'first', 'nearest' or 'last'.",
            "match",
        )
    for alignment in keyed:
        if (alignment.rows == ABSENT).any():
            raise ConfigError(
                f"the alignment of keys with {alignment.peer!r} hides by padding which customers "
                "are common, and a join tells it: it sends the times of common customers alone. "
                "Align keys with result='both' and padding=0."
            )
        if not np.array_equal(alignment.rows, keyed[0].rows):
            raise ConfigError(
                f"the alignments of keys with {keyed[0].peer!r} and {alignment.peer!r} are not of "
                "one run. Align all parties together."
            )


class _Talk:
    """What is said with one party."""

    def __init__(self, peer: Peer, begin: BeginJoin, options: AsOfOptions | WindowOptions) -> None:
        self.party = peer.name
        self.peer = peer
        self.begin = begin
        self.transcript = JoinTranscript(begin)
        self._n_matches: list[NDArray[np.uint16]] = []
        self._most = 1
        if isinstance(options, WindowOptions) and options.match == "all":
            self._most = options.max_matches

    def take(self, request: TimesOf, reply: Matches) -> None:
        """Check an answer and take it down."""
        n_matches = reply.n_matches
        if len(n_matches) != len(request.times):
            raise IntegrityError(
                self.party, f"sent {len(n_matches)} answers for {len(request.times)} rows"
            )
        if n_matches.max() > self._most:
            raise IntegrityError(
                self.party,
                f"says that a row has {n_matches.max()} matches; at most {self._most} were agreed",
            )
        self.transcript.add_times(request, n_matches)
        self._n_matches.append(n_matches)

    def all_matches(self) -> NDArray[np.int64]:
        """How many matches each row that was told has."""
        return np.concatenate([np.zeros(0, np.int64), *self._n_matches])


def _tell(talks: Sequence[_Talk], rows: LabelRows) -> NDArray[np.int64]:
    """Tell all rows to all parties, some chunks ahead of the answers.

    Returns
    -------
    array of shape (n_told,), int64
        Their positions in the table.
    """
    told = [np.zeros(0, np.int64)]
    waiting: deque[tuple[TimesOf, list[Future[Matches]]]] = deque()

    def take() -> None:
        request, futures = waiting.popleft()
        for talk, future in zip(talks, futures, strict=True):
            talk.take(request, future.result())

    for chunk in _chunks(rows.parts()):
        request = TimesOf(customers=chunk.customers, times=chunk.times)
        waiting.append((request, [talk.peer.submit(request) for talk in talks]))
        told.append(chunk.numbers)
        if len(waiting) > AHEAD:
            take()
    while waiting:
        take()
    return np.concatenate(told)


def _chunks(parts: Iterable[Events]) -> Iterator[Events]:
    for part in parts:
        for first in range(0, len(part), TIMES_CHUNK):
            yield part.pick(slice(first, first + TIMES_CHUNK))


def _agree(
    session: Session,
    talks: Sequence[_Talk],
    told: NDArray[np.int64],
    counts: MatchCounts,
    options: AsOfOptions | WindowOptions,
) -> NDArray[np.int32]:
    """Choose the agreed rows and tell all parties; nothing is told if there are none.

    Returns
    -------
    array of shape (n_agreed,), int32
        Positions in the table.
    """
    of_all = np.stack([talk.all_matches() for talk in talks]).min(axis=0)
    kept = keep_decided(options, counts, of_all)
    agreed = np.repeat(told[kept], np.maximum(of_all[kept], 1)).astype(np.int32)
    if len(agreed):
        request = KeepRows(kept=np.packbits(kept, bitorder="little"), n_agreed=len(agreed))
        session.ask_all([request] * len(talks))
        for talk in talks:
            talk.transcript.add_kept(request)
    return agreed
