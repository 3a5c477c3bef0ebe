"""The streaming join: label events and partner events of a customer that lie close in time.

Two streams come in blocks, each in rough order of time. A label event at time t matches partner
events of its customer in ``[t - before, t + after]``. Neither stream ever lies in memory as a
whole:

- A stream's watermark (`streams.Watermark`) is its newest time less `lateness`. What comes below
  it is dropped and counted.
- A label event is decided once nothing can come any more that changes it or goes before it: its
  time is below the label watermark, and ``t + after`` below the partner's. Decided events leave in
  the order of their times, those of equal times in the order in which they came.
- A partner event is forgotten once every label event that it could match is decided.

So held are about the events of ``before + after + 2 * lateness`` units of time, and a block or
two. What comes out depends on the two streams alone: not on the sizes of blocks, not on which
stream is fed first, not on stops in between (`WindowJoin.to_bytes`).

Everything that is dropped is counted (`JoinCounts`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.align.join_options import WindowOptions
from secureboost.align.pairing import Joined, MatchCounts, keep_decided, pair_up
from secureboost.align.streams import LabelStream, PartnerStream, StreamCounts, StreamState
from secureboost.errors import DataError

Side: TypeAlias = Literal["label", "partner"]
Block: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Customers and times of some events."""

_DIGEST_BYTES = 32


class WindowJoin:
    """Joins two streams as they come.

    Feed `push` with blocks of both streams, ideally of ten thousand events and more and the stream
    that is `behind` first; `end` each stream. Both methods give the pairs that are decided.
    `join_streams` does so.

    Parameters
    ----------
    options : WindowOptions
    state : bytes, optional
        What `to_bytes` gave, to go on from there.

    Raises
    ------
    DataError
        If `state` is damaged, of another release, or of a join with other options.
    """

    def __init__(self, options: WindowOptions, state: bytes | None = None) -> None:
        begun = _State(options=options) if state is None else _read_state(state, options)
        self.options = options
        self._matches = begun.matches
        self._label = LabelStream(options, "label party", begun.label)
        self._partner = PartnerStream(options, "partner", begun.partner)

    @property
    def counts(self) -> tuple[StreamCounts, StreamCounts, MatchCounts]:
        """Of label events, partner events and matches.

        ``came`` of the first two says how far the streams were read: a join that is loaded again
        goes on behind these events.
        """
        return self._label.counts, self._partner.counts, self._matches

    @property
    def held(self) -> int:
        """Events of both streams in memory."""
        return len(self._label) + len(self._partner)

    @property
    def behind(self) -> Side:
        """The stream that the other one waits for."""
        label_first = self._label.decided_before <= self._partner.decided_before
        return "label" if label_first else "partner"

    def push(self, side: Side, customers: NDArray[np.int32], times: NDArray[np.int64]) -> Joined:
        """Take the next block of a stream.

        Parameters
        ----------
        side : {"label", "partner"}
        customers : array of shape (n,), int32
            -1: a customer that the other side does not have.
        times : array of shape (n,), int64

        Returns
        -------
        Joined
            What is decided now.

        Raises
        ------
        DataError
            If the events cannot be used (`events.check_events`), the stream has ended, or more
            than ``options.max_held`` events would have to be held.
        """
        stream = self._stream(side)
        if stream.ended:
            raise DataError(f"{side}: the stream has ended; no more events can be taken.")
        stream.add(customers, times)
        joined = self._decide()
        if self.held > self.options.max_held:
            raise DataError(
                f"{self.held:,} events would have to be held, more than "
                f"max_held={self.options.max_held:,}. Feed the stream that is behind first, or "
                "take a smaller window, less lateness or a larger max_held."
            )
        return joined

    def end(self, side: Side) -> Joined:
        """Say that a stream has no more events."""
        self._stream(side).ended = True
        return self._decide()

    def to_bytes(self) -> bytes:
        """All that has to be known to go on: options, counts, events in memory."""
        state = _State(
            options=self.options,
            matches=self._matches,
            label=self._label.state(),
            partner=self._partner.state(),
        )
        data = msgspec.msgpack.encode(state)
        return hashlib.sha256(data).digest() + data

    def _stream(self, side: Side) -> LabelStream | PartnerStream:
        return self._label if side == "label" else self._partner

    def _decide(self) -> Joined:
        before = min(self._label.decided_before, self._partner.decided_before)
        events = self._label.waiting.take_before(before)
        n_matches, partners, cut = self._partner.match(events.customers, events.times)
        self._partner.forget(before)
        kept = keep_decided(self.options, self._matches, n_matches)
        self._matches.cut += cut
        return pair_up(events.numbers[kept], n_matches[kept], partners)


def join_streams(
    join: WindowJoin, label: Iterable[Block], partner: Iterable[Block]
) -> Iterator[Joined]:
    """Feed a join with two streams, always the one that the other waits for.

    Parameters
    ----------
    join : WindowJoin
    label, partner : iterables of (customers, times)
        Blocks of the streams, from where the join stands.

    Yields
    ------
    Joined
        After each block; often empty.
    """
    streams: dict[Side, Iterator[Block]] = {"label": iter(label), "partner": iter(partner)}
    while streams:
        side = join.behind if join.behind in streams else next(iter(streams))
        block = next(streams[side], None)
        if block is None:
            del streams[side]
            yield join.end(side)
        else:
            yield join.push(side, *block)


class _State(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.window_join"):
    """A join as it is kept."""

    options: WindowOptions
    matches: MatchCounts = msgspec.field(default_factory=MatchCounts)
    label: StreamState | None = None
    partner: StreamState | None = None


def _read_state(content: bytes, options: WindowOptions) -> _State:
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        raise DataError("the state of the join is damaged; begin a new one.")
    try:
        state = msgspec.msgpack.decode(data, type=_State)
    except msgspec.DecodeError as error:
        raise DataError(f"the state of the join is of another release: {error}.") from error
    for name in options.__struct_fields__:
        then, now = getattr(state.options, name), getattr(options, name)
        if then != now:
            raise DataError(
                f"the join was begun with {name}={then!r} and cannot go on with {now!r}. Take what "
                "it was begun with, or begin a new one."
            )
    return state
