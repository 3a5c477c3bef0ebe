"""Requests that are sent while those before them are still being answered."""

import threading
from queue import SimpleQueue

import numpy as np
import pytest
from support.talk import (
    GREETING,
    Add,
    Begin,
    Explode,
    Sums,
    Total,
    Wires,
    make_answerer,
    make_codec,
)

from parties.errors import (
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    SessionClosedError,
    UnexpectedReplyError,
)
from parties.grpc_transport import dial
from parties.link import LinkTransport
from parties.messages import Ack
from parties.peer import Peer, Transport

N_AHEAD = 4


def add(number: int) -> Add:
    return Add(values=np.full((1, 1), number, dtype=np.int64))


class Wire(Transport):
    """Answers only when `hold` frames are on the way, so a peer that waits would wait forever."""

    def __init__(self, hold: int = 1) -> None:
        self.answerer = make_answerer()
        self.hold = hold
        self.sent: SimpleQueue[bytes] = SimpleQueue()
        self.arrived = threading.Semaphore(0)
        self.together = 0
        self.closed: list[bool] = []
        self.fail_receive: Exception | None = None
        self.fail_send: Exception | None = None

    @property
    def sends_ahead(self) -> bool:
        return True

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        assert self.sent.empty()  # everything that was sent ahead is answered
        return self.answerer.answer(frame)

    def send(self, frame: bytes, timeout: float) -> None:
        if self.fail_send is not None:
            raise self.fail_send
        self.sent.put(frame)
        self.arrived.release()

    def receive(self, timeout: float) -> bytes:
        while self.together < self.hold:
            if not self.arrived.acquire(timeout=min(timeout, 10)):
                raise TimeoutError
            self.together += 1
        if self.fail_receive is not None:
            raise self.fail_receive
        return self.answerer.answer(self.sent.get())

    def close(self, *, abort: bool) -> None:
        self.closed.append(abort)


def adding_peer(wire: Wire, **options) -> Peer:
    peer = Peer("bureau", wire, make_codec(), **options)
    peer.greet(**GREETING)
    peer.ask(Begin())
    return peer


def test_frames_are_on_the_way_together_and_answers_keep_their_order() -> None:
    wire = Wire(hold=N_AHEAD)
    peer = adding_peer(wire)
    futures = [peer.submit(add(number), ahead=True) for number in range(N_AHEAD)]
    assert [future.result(20).total[0] for future in futures] == list(range(N_AHEAD))
    peer.close()
    assert peer.traffic["Add"].messages == N_AHEAD


def test_an_ordinary_request_waits_for_what_was_sent_ahead() -> None:
    wire = Wire(hold=2)
    peer = adding_peer(wire)
    ahead = [peer.submit(add(number), ahead=True) for number in range(2)]
    assert peer.ask(add(7)).total[0] == 7
    assert all(future.done() for future in ahead)
    later = peer.submit(add(8), ahead=True)
    assert later.result(20).total[0] == 8
    peer.close()


def test_a_refusal_leaves_those_behind_it_alone() -> None:
    peer = adding_peer(Wire())
    too_many = Add(values=np.zeros(((1 << 22) + 1, 1), dtype=np.int64))
    futures = [peer.submit(request, ahead=True) for request in (add(1), too_many, add(2))]
    assert futures[0].result(20).total[0] == 1
    with pytest.raises(PeerRefusedError, match="too_many"):
        futures[1].result(20)
    assert futures[2].result(20).total[0] == 2
    assert not peer.closed
    peer.close()


def test_a_lost_connection_ends_everything_that_waits() -> None:
    wire = Wire(hold=3)
    wire.fail_receive = PeerUnreachableError("bureau", "the connection was lost")
    peer = adding_peer(wire)
    futures = [peer.submit(add(number), ahead=True) for number in range(3)]
    for future in futures:
        with pytest.raises(PeerUnreachableError, match="was lost"):
            future.result(20)
    assert peer.closed
    assert wire.closed == [True]
    with pytest.raises(PeerUnreachableError, match="was lost"):
        peer.ask(add(1))


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (TimeoutError(), PeerTimeoutError),
        (PeerUnreachableError("bureau", "is gone"), PeerUnreachableError),
        (OSError("pipe"), Exception),
    ],
)
def test_a_frame_that_cannot_be_sent(failure: Exception, error: type[Exception]) -> None:
    wire = Wire()
    wire.fail_send = failure
    peer = adding_peer(wire)
    with pytest.raises(error):
        peer.submit(add(1), ahead=True).result(20)
    assert peer.closed


def test_an_answer_that_does_not_come_in_time() -> None:
    peer = adding_peer(Wire(hold=2))
    with pytest.raises(PeerTimeoutError, match=r"no answer to Add within 0\.01 seconds"):
        peer.submit(add(1), 0.01, ahead=True).result(20)
    assert peer.closed


def test_a_wrong_answer_and_a_fault_end_the_session() -> None:
    wire = Wire()
    peer = adding_peer(wire)
    wire.answerer.answer = lambda _frame: make_codec().encode(Ack())  # type: ignore[method-assign]
    with pytest.raises(UnexpectedReplyError, match="answered Add with Ack"):
        peer.submit(add(1), ahead=True).result(20)
    assert peer.closed
    other = Peer("bureau", Wire(), make_codec())
    other.greet(**GREETING)
    with pytest.raises(PeerRefusedError, match="internal_error"):
        other.submit(Explode(), ahead=True).result(20)
    assert other.closed


def test_cutting_ends_what_waits() -> None:
    wire = Wire(hold=9)
    peer = adding_peer(wire)
    future = peer.submit(add(1), 0.5, ahead=True)
    peer.abort()
    with pytest.raises((SessionClosedError, PeerTimeoutError)):
        future.result(20)


def test_over_a_real_connection(tmp_path) -> None:
    wires = Wires(tmp_path)
    service = Sums()
    service.gate = threading.Event()
    with wires.serve(lambda: make_answerer(service)) as server:
        link = dial(f"127.0.0.1:{server.port}", wires.bank)
        peer = Peer("bureau", LinkTransport(link), make_codec())
        peer.greet(**GREETING)
        peer.ask(Begin())
        futures = [peer.submit(add(number), ahead=True) for number in range(6)]
        service.gate.set()
        replies = [future.result(20) for future in futures]
        assert all(isinstance(reply, Total) for reply in replies)
        assert [int(reply.total[0]) for reply in replies] == list(range(6))
        peer.close()
