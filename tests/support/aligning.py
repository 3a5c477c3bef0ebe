"""Companies that look for common customers: keys, parties in this process, frames and faults."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from support.insecure_group import INSECURE

from parties.answerer import Answerer
from parties.errors import PeerUnreachableError
from parties.local import LocalTransport, RecordingTransport
from parties.messages import Message, Reply, Request
from parties.peer import Peer, Transport, make_hello
from parties.service import Service
from secureboost.align import align
from secureboost.align.aligned import Aligned
from secureboost.align.answerer import AlignSession
from secureboost.align.keys import Keys, make_keys
from secureboost.align.options import AlignOptions
from secureboost.align.rules import key_rules
from secureboost.align.table import AlignTable
from secureboost.alignment import Alignment
from secureboost.trainers import ALIGN_TRAINER, Trainer

CODEC = ALIGN_TRAINER.codec()


def keys_of(ids: Sequence[str], rule: str = "exact", **options: Any) -> Keys:
    columns = pd.DataFrame({"id": pd.Series(list(ids), dtype=object)})
    return make_keys(columns, key_rules(["id"], {"id": rule}), **options)


def options(**changes: Any) -> AlignOptions:
    """Small chunks in a group that protects nothing."""
    return AlignOptions(**({"group": INSECURE, "chunk": 4, "n_jobs": 1} | changes))


class Altered(Service):
    """A service whose replies may lie."""

    def __init__(self, inner: Service, alter: Callable[[Request[Any], Reply], Reply]) -> None:
        self.transitions = inner.transitions  # type: ignore[misc]
        self._inner = inner
        self._alter = alter

    def answer(self, request: Request[Any]) -> Reply:
        return self._alter(request, self._inner.answer(request))

    def close(self) -> None:
        self._inner.close()


class Faulty(Transport):
    """Cuts the connection before or after a request arrives at the party.

    `where` is the number of the request; `told` is whether the party still answers it.
    """

    def __init__(self, inner: Transport, where: int, *, told: bool) -> None:
        self._inner, self._where, self._told = inner, where, told
        self.requests = 0

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        number, self.requests = self.requests, self.requests + 1
        if number == self._where:
            if self._told:
                self._inner.exchange(frame, timeout)
            raise PeerUnreachableError("bureau", "the line was cut")
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort: bool) -> None:
        self._inner.close(abort=abort)


class AlignParty:
    """A feature party in this process; every frame is kept."""

    def __init__(
        self,
        keys: Keys | Callable[[], Keys],
        name: str = "bureau",
        *,
        alter: Callable[[Request[Any], Reply], Reply] = lambda _request, reply: reply,
        wrap: Callable[[Transport], Transport] = lambda transport: transport,
        **table: Any,
    ) -> None:
        self.name = name
        self.table = AlignTable(name, keys, **table)
        self.alter = alter
        self.wrap = wrap
        self.transports: list[RecordingTransport] = []
        self.answerers: list[Answerer] = []
        self.peer: Peer | None = None

    def connect(self, trainer: Trainer) -> Peer:
        answerer = Answerer(
            self.name,
            CODEC,
            {trainer.name: lambda _hello: Altered(AlignSession(self.table), self.alter)},
            software_version="1",
        )
        self.answerers.append(answerer)
        self.transports.append(RecordingTransport(self.wrap(LocalTransport(answerer))))
        self.peer = Peer(self.name, self.transports[-1], CODEC)
        return self.peer

    @property
    def kept(self) -> list[Alignment]:
        return list(self.table.alignments.alignments.values())  # type: ignore[attr-defined]

    @property
    def released(self) -> bool:
        """Whether every session is over on both sides."""
        return all(answerer.closed for answerer in self.answerers) and (
            self.peer is None or self.peer.closed
        )

    def messages(self) -> list[tuple[Message, Message]]:
        """All requests and replies so far, decoded."""
        return [
            (CODEC.decode(exchange.request, "label"), CODEC.decode(exchange.reply, self.name))
            for transport in self.transports
            for exchange in transport.exchanges
        ]

    def frames(self) -> list[bytes]:
        return [
            frame
            for transport in self.transports
            for exchange in transport.exchanges
            for frame in (exchange.request, exchange.reply)
        ]


class Conversation:
    """Asks one session of a feature party by hand, request by request."""

    def __init__(self, table: AlignTable) -> None:
        self.table = table
        self.answerer = Answerer(
            table.party,
            CODEC,
            {ALIGN_TRAINER.name: lambda _hello: AlignSession(table)},
            software_version="1",
        )
        self.ask(make_hello(ALIGN_TRAINER.name, "bank", "1"))

    def ask(self, request: Request[Any]) -> Message:
        return CODEC.decode(self.answerer.answer(CODEC.encode(request)), self.table.party)


def align_parties(own: Keys, *parties: AlignParty, **changes: Any) -> Aligned:
    state = changes.pop("state", None)
    progress = changes.pop("progress", None)
    return align(own, parties, options(**changes), state=state, progress=progress)  # type: ignore[arg-type]


def matches(aligned: Aligned, own: Sequence[str], party: AlignParty, ids: Sequence[str]):
    """The agreed rows as pairs of ids of both sides, in their order; None where a side has none."""
    mine = aligned.alignments[party.name]
    (theirs,) = [kept for kept in party.kept if kept.id == mine.id]
    assert len(mine) == len(theirs)
    return [
        (own[a] if a >= 0 else None, ids[b] if b >= 0 else None)
        for a, b in zip(mine.rows, theirs.rows, strict=True)
    ]


def threads_of(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]
