"""A small conversation to test the session with: messages, a service, and two endpoints."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.answerer import Answerer
from parties.certificates import TLS, create_certificate
from parties.codec import Codec, Limits
from parties.grpc_server import Server, listen
from parties.grpc_transport import dial
from parties.link import LinkTransport, serve_link
from parties.local import LocalTransport
from parties.messages import Ack, Array, MatchRows, Refusal, Reply, Request
from parties.peer import Peer
from parties.rows import check_rows
from parties.service import Service, Transitions

IDS = ["a", "b", "c"]
GREETING: dict[str, str] = {"trainer": "sums", "party": "bank", "software_version": "1"}


class SumCode(StrEnum):
    TOO_MANY = "too_many"


class Total(Reply, frozen=True, kw_only=True):
    """The sum.

    Reveals: the sum of each column.
    """

    total: Annotated[NDArray[np.int64], Array("int64", 1)]
    positive: Annotated[NDArray[np.bool_], Array("bool", 1)] | None = None


class Add(Request[Total], frozen=True, kw_only=True):
    """Add up the columns of a table.

    Reveals: the table,
    all of it.
    """

    values: Annotated[NDArray[np.int64], Array("int64", 2)]
    times: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Begin(Request[Ack], frozen=True, kw_only=True):
    """Start adding.

    Reveals: that adding starts.
    """

    key: bytes = b""


class Explode(Request[Ack], frozen=True, kw_only=True):
    """Meet a fault of the service.

    Reveals: nothing.
    """


MESSAGES = (Total, Add, Begin, Explode)


class Sums(Service):
    transitions: ClassVar[Transitions] = {
        "open": {MatchRows: "matched", Explode: "open", Begin: "adding"},
        "matched": {Begin: "adding"},
        "adding": {Add: "adding"},
    }

    def __init__(self, ids: list[str] = IDS) -> None:
        self.ids = ids
        self.closed = 0
        self.was_closed = threading.Event()
        self.asked = threading.Event()
        self.gate: threading.Event | None = None

    def answer(self, request: Request[Any]) -> Reply:
        self.asked.set()
        match request:
            case MatchRows():
                check_rows(request, self.ids)
                return Ack()
            case Add():
                if self.gate is not None:
                    self.gate.wait(20)
                if len(request.values) > 1 << 22:
                    raise Refusal(SumCode.TOO_MANY, "at most 4194304 rows")
                total = request.values.sum(axis=0) * request.times
                return Total(total=total, positive=total > 0)
            case Explode():
                raise RuntimeError("label of row 17 is 1")
        return Ack()

    def close(self) -> None:
        self.closed += 1
        self.was_closed.set()


def make_codec(limits: Limits | None = None) -> Codec:
    return Codec(MESSAGES, [SumCode], limits)


def make_answerer(
    service: Sums | None = None, name: str = "bureau", limits: Limits | None = None
) -> Answerer:
    chosen = service or Sums()
    return Answerer(name, make_codec(limits), {"sums": lambda hello: chosen}, software_version="1")


def local_peer(service: Sums | None = None, name: str = "bureau", **options: Any) -> Peer:
    peer = Peer(name, LocalTransport(make_answerer(service, name)), make_codec(), **options)
    peer.greet(**GREETING)
    return peer


class Wires:
    """Certificates of a bank and a bureau in a folder, each pinning the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for party in ("bank", "bureau"):
            self.make(party)
        self.bank = self.tls("bank", pin="bureau")
        self.bureau = self.tls("bureau", pin="bank")

    def make(
        self, party: str, stem: str = "", valid_from: datetime | None = None, days: int = 2
    ) -> None:
        stem = stem or party
        create_certificate(
            party,
            self.folder / f"{stem}.pem",
            self.folder / f"{stem}.key",
            valid_from=valid_from,
            days=days,
        )

    def tls(self, own: str, pin: str) -> TLS:
        return TLS(
            self.folder / f"{own}.pem", self.folder / f"{own}.key", self.folder / f"{pin}.pem"
        )

    def serve(self, answerers: Callable[[], Answerer], **options: Any) -> Server:
        """The bureau listens and answers."""
        return listen(
            "127.0.0.1:0", self.bureau, lambda link: serve_link(link, answerers()), **options
        )

    @contextmanager
    def peer(self, server: Server, **options: Any) -> Iterator[Peer]:
        """The bank dials and asks."""
        link = dial(f"127.0.0.1:{server.port}", self.bank)
        peer = Peer("bureau", LinkTransport(link), make_codec(), **options)
        try:
            yield peer
        finally:
            peer.abort()
