"""Asking and answering in one process: the table, refusals, failures, order, bounds."""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.talk import (
    GREETING,
    IDS,
    Add,
    Begin,
    Explode,
    Sums,
    Total,
    local_peer,
    make_answerer,
    make_codec,
)

from parties import errors
from parties.answerer import Answerer
from parties.codec import Limits
from parties.errors import (
    InvalidMessageError,
    PartyNameError,
    PeerRefusedError,
    PeerUnreachableError,
    ProtocolError,
    SessionClosedError,
    UnexpectedReplyError,
    VersionMismatchError,
)
from parties.local import LocalTransport, RecordingTransport
from parties.messages import (
    PROTOCOL_VERSION,
    Ack,
    Failure,
    Goodbye,
    Hello,
    Message,
    Welcome,
)
from parties.peer import Peer, Transport, make_hello
from parties.rows import match_rows
from parties.session import Session

TABLE = np.arange(6, dtype=np.int64).reshape(2, 3)
HELLO = make_hello("sums", "bank", "1")


def put(answerer: Answerer, *messages: Message) -> Message:
    """Send messages to an answerer; the reply to the last one."""
    for message in messages:
        reply = answerer.codec.decode(answerer.answer(answerer.codec.encode(message)), "bureau")
    return reply


class Scripted(Transport):
    """Answers with given messages, or raises."""

    def __init__(self, *script: Message | Exception) -> None:
        self.script = list(script)
        self.closed: list[bool] = []

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return make_codec().encode(answer)

    def close(self, *, abort: bool) -> None:
        self.closed.append(abort)


# --- the answering side ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "request_", "state"),
    [
        ([], Begin(), "new"),
        ([], Goodbye(), "new"),
        ([HELLO], HELLO, "open"),
        ([HELLO], Add(values=TABLE), "open"),
        ([HELLO, Begin()], Begin(), "adding"),
        ([HELLO, Begin()], match_rows(IDS), "adding"),
        ([HELLO, match_rows(IDS)], match_rows(IDS), "matched"),
        ([HELLO, Goodbye()], Begin(), "closed"),
        ([HELLO, Goodbye()], HELLO, "closed"),
    ],
)
def test_what_is_not_in_the_table_ends_the_session(
    before: list[Message], request_: Message, state: str
) -> None:
    service = Sums()
    answerer = make_answerer(service)
    reply = put(answerer, *before, request_)
    kind = type(request_).__name__
    assert reply == Failure(
        code="out_of_turn",
        detail=f"sent {kind}, which state {state!r} does not allow",
        ends_session=True,
    )
    assert answerer.closed
    assert service.closed == (1 if before else 0)
    answerer.close()
    assert service.closed <= 1


def test_the_table_is_followed() -> None:
    answerer = make_answerer()
    states = [answerer.state]
    for message in (HELLO, match_rows(IDS), Begin(), Add(values=TABLE), Goodbye()):
        put(answerer, message)
        states.append(answerer.state)
    assert states == ["new", "open", "matched", "adding", "adding", "closed"]


def test_a_reply_is_no_question() -> None:
    reply = put(make_answerer(), HELLO, Ack())
    assert isinstance(reply, Failure)
    assert reply.detail == "sent Ack as a request"


def test_a_refusal_leaves_state_and_session(caplog: pytest.LogCaptureFixture) -> None:
    service = Sums()
    answerer = make_answerer(service)
    too_many = Add(values=np.zeros(((1 << 22) + 1, 1), np.int64))
    reply = put(answerer, HELLO, Begin(), too_many)
    assert reply == Failure(code="too_many", detail="at most 4194304 rows")
    assert answerer.state == "adding"
    assert isinstance(put(answerer, Add(values=TABLE)), Total)
    assert "bank: refused with too_many: at most 4194304 rows" in caplog.text


def test_an_unexpected_exception_stays_on_this_machine(caplog: pytest.LogCaptureFixture) -> None:
    service = Sums()
    answerer = make_answerer(service)
    assert put(answerer, HELLO, Explode()) == Failure(code="internal_error", ends_session=True)
    assert service.closed == 1
    assert "RuntimeError" in caplog.text


def test_a_service_that_breaks_its_own_messages_is_an_internal_error() -> None:
    class Wrong(Sums):
        def answer(self, request: Any) -> Any:
            return Total(total=np.zeros(3)) if isinstance(request, Add) else Ack()  # type: ignore[arg-type]

    assert put(make_answerer(Wrong()), HELLO, Begin(), Add(values=TABLE)) == Failure(
        code="internal_error", ends_session=True
    )


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"garbage of any kind", "malformed_frame"),
        (make_codec().encode(Begin()).replace(b"Begin", b"Bagin"), "unknown_message"),
        (make_codec().encode(Add(values=TABLE)).replace(b"int64", b"uint8"), "malformed_frame"),
        (make_codec().encode(Add(values=TABLE))[:-8], "malformed_frame"),
        (bytes(5000), "frame_too_large"),
    ],
)
def test_bad_frames_end_the_session(frame: bytes, code: str) -> None:
    service = Sums()
    answerer = make_answerer(service, limits=Limits(frame_bytes=4096))
    put(answerer, HELLO)
    reply = answerer.codec.decode(answerer.answer(frame), "bureau")
    assert isinstance(reply, Failure)
    assert (reply.code, reply.ends_session, service.closed) == (code, True, 1)


def test_other_versions_are_told_so_whatever_else_they_say() -> None:
    codec = make_codec()
    frame = codec.encode(
        Hello(protocol_version=999, software_version="9.9", trainer="x", party="bank")
    )
    reply = codec.decode(make_answerer().answer(frame), "bureau")
    assert isinstance(reply, Failure)
    assert reply.code == "version_mismatch"
    assert reply.detail.startswith("asks for protocol 999 (software '9.9'); this party speaks 2")


def test_close_waits_for_the_answer_under_way() -> None:
    service = Sums()
    service.gate = threading.Event()
    answerer = make_answerer(service)
    put(answerer, HELLO, Begin())
    service.asked.clear()
    working = threading.Thread(target=put, args=(answerer, Add(values=TABLE)))
    working.start()
    assert service.asked.wait(5)
    answerer.close()
    assert service.closed == 0
    service.gate.set()
    working.join(5)
    assert service.closed == 1


def test_closing_before_hello_needs_no_service() -> None:
    answerer = make_answerer()
    answerer.close()
    assert answerer.closed


# --- rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["a", "b"], "the label party brings 2 rows, this party 3"),
        (["a", "c", "b"], "not the same ids in the same order"),
        (["a", "b", "d"], "not the same ids in the same order"),
        (["a", "bc", ""], "not the same ids in the same order"),
    ],
)
def test_rows_that_differ(ids: list[str], text: str) -> None:
    peer = local_peer()
    with pytest.raises(PeerRefusedError, match=rf"bureau: refused \(rows_differ\).*{text}"):
        peer.ask(match_rows(ids))
    assert peer.ask(match_rows(IDS)) == Ack()  # the session is still usable
    peer.close()


def test_digests_of_two_sessions_differ() -> None:
    assert match_rows(IDS).digest != match_rows(IDS).digest


# --- the asking side ------------------------------------------------------------------------


def test_replies_are_typed_and_counted() -> None:
    peer = local_peer()
    peer.ask(Begin())
    assert peer.ask(Add(values=TABLE)).total.tolist() == [3, 5, 7]
    traffic = peer.traffic
    assert list(traffic) == ["Hello", "Begin", "Add"]
    add = traffic["Add"]
    assert add.messages == 1
    assert add.bytes_sent == len(make_codec().encode(Add(values=TABLE)))
    assert 0 < add.bytes_received < 200
    assert add.seconds > 0
    assert (add + add).messages == 2
    peer.close()


def test_a_request_may_be_overwritten_after_submit() -> None:
    service = Sums()
    service.gate = threading.Event()
    peer = local_peer(service)
    peer.ask(Begin())
    values = TABLE.copy()
    future = peer.submit(Add(values=values))
    values[:] = 0
    service.gate.set()
    assert future.result(5).total.tolist() == [3, 5, 7]
    peer.close()


def test_order_is_kept_and_the_number_in_flight_is_bounded() -> None:
    service = Sums()
    service.gate = threading.Event()
    peer = local_peer(service, in_flight=3)
    peer.ask(Begin())
    futures = [peer.submit(Add(values=TABLE * i)) for i in range(3)]
    entered = threading.Event()

    def fourth() -> None:
        entered.set()
        futures.append(peer.submit(Add(values=TABLE * 3)))

    late = threading.Thread(target=fourth)
    late.start()
    assert entered.wait(5)
    late.join(0.05)
    assert late.is_alive()
    service.gate.set()
    late.join(5)
    assert [int(future.result(5).total[0]) for future in futures] == [0, 3, 6, 9]
    peer.close()


def test_a_blocked_submit_is_released_when_the_peer_is_cut() -> None:
    service = Sums()
    service.gate = threading.Event()
    peer = local_peer(service, in_flight=1)
    peer.ask(Begin())
    service.asked.clear()
    first = peer.submit(Add(values=TABLE))
    assert service.asked.wait(5)
    outcome: list[Exception] = []

    def second() -> None:
        try:
            peer.submit(Add(values=TABLE))
        except SessionClosedError as error:
            outcome.append(error)

    blocked = threading.Thread(target=second)
    blocked.start()
    peer.abort()
    service.gate.set()
    blocked.join(5)
    assert "this side has cut the session" in str(outcome[0])
    assert first.result(5).total.tolist() == [3, 5, 7]


def test_our_own_mistake_leaves_the_peer_open() -> None:
    peer = local_peer()
    peer.ask(Begin())
    with pytest.raises(InvalidMessageError):
        peer.ask(Add(values=TABLE, times=0))
    assert peer.ask(Add(values=TABLE)).total.tolist() == [3, 5, 7]
    peer.close()


def test_out_of_turn_closes_and_later_requests_fail_with_the_first_cause() -> None:
    peer = local_peer()
    for request in (Add(values=TABLE), Begin()):
        with pytest.raises(PeerRefusedError, match=r"out_of_turn\): sent Add, which state 'open'"):
            peer.ask(request)
    assert peer.closed


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Ack(), UnexpectedReplyError, "bureau: answered Add with Ack; Total was expected"),
        (PeerUnreachableError("bureau", "gone"), PeerUnreachableError, "bureau: gone"),
        (TimeoutError(), errors.PeerTimeoutError, "no answer to Add within 7 seconds"),
        (KeyError("x"), errors.PartyError, "bureau: the transport failed with KeyError"),
        (
            Failure(code="internal_error", ends_session=True),
            PeerRefusedError,
            r"bureau: refused \(internal_error\)$",
        ),
    ],
)
def test_failures_close_the_peer(
    answer: Message | Exception, error: type[Exception], text: str
) -> None:
    transport = Scripted(answer)
    peer = Peer("bureau", transport, make_codec(), timeout=7)
    for _ in range(3):
        with pytest.raises(error, match=text):
            peer.ask(Add(values=TABLE))
    assert transport.closed == [True]


def test_queued_requests_fail_too() -> None:
    peer = Peer("bureau", Scripted(PeerUnreachableError("bureau", "gone")), make_codec())
    first = peer.submit(Begin())
    with pytest.raises(PeerUnreachableError, match="gone"):
        first.result(5)
    with pytest.raises(PeerUnreachableError, match="gone"):
        peer.submit(Begin())


def welcome(**more: Any) -> Welcome:
    given: dict[str, Any] = {
        "protocol_version": PROTOCOL_VERSION,
        "software_version": "1",
        "party": "bureau",
    }
    return Welcome(**{**given, **more})


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (welcome(protocol_version=1), VersionMismatchError, "speaks protocol 1 .* this side sp"),
        (welcome(party="telco"), UnexpectedReplyError, "bureau: calls itself 'telco'"),
        (
            Failure(code="version_mismatch", detail="asks for 1", ends_session=True),
            VersionMismatchError,
            "bureau: asks for 1",
        ),
        (Failure(code="busy"), PeerRefusedError, r"refused \(busy\)"),
    ],
)
def test_greeting(answer: Message, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Peer("bureau", Scripted(answer), make_codec()).greet(**GREETING)


class Products(Sums):
    """Another trainer of the same endpoint."""


def both_trainers() -> tuple[Answerer, Sums, Products]:
    sums, products = Sums(), Products()
    trainers = {"sums": lambda hello: sums, "products": lambda hello: products}
    return Answerer("bureau", make_codec(), trainers, software_version="1"), sums, products


@pytest.mark.parametrize("trainer", ["sums", "products"])
def test_one_endpoint_serves_several_trainers(trainer: str) -> None:
    answerer, sums, products = both_trainers()
    asked, left = (sums, products) if trainer == "sums" else (products, sums)
    peer = Peer("bureau", LocalTransport(answerer), make_codec())
    peer.greet(**{**GREETING, "trainer": trainer})
    peer.ask(Begin())
    peer.close()
    assert asked.asked.is_set()
    assert asked.closed == 1
    assert not left.asked.is_set()
    assert left.closed == 0


def test_a_trainer_that_is_not_among_several() -> None:
    answerer, sums, products = both_trainers()
    peer = Peer("bureau", LocalTransport(answerer), make_codec())
    with pytest.raises(PeerRefusedError, match=r"this party serves 'sums', 'products'"):
        peer.greet(**{**GREETING, "trainer": "nets"})
    assert answerer.closed
    assert sums.closed == products.closed == 0


def test_another_trainer_is_refused_and_the_session_over() -> None:
    peer = Peer("bureau", LocalTransport(make_answerer()), make_codec())
    with pytest.raises(PeerRefusedError, match=r"trainer_mismatch\): trainer 'nets' was asked for"):
        peer.greet(**{**GREETING, "trainer": "nets"})
    assert peer.closed


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "ü", "x\n"])
def test_party_names(name: str) -> None:
    with pytest.raises(PartyNameError, match="cannot name a party"):
        Peer(name, Scripted(), make_codec())
    with pytest.raises(PartyNameError, match="cannot name a party"):
        make_answerer(name=name)


# --- several peers --------------------------------------------------------------------------


def test_peers_are_asked_side_by_side() -> None:
    together = threading.Barrier(3, timeout=5)

    class Meeting(Sums):
        def answer(self, request: Any) -> Any:
            if isinstance(request, Add):
                together.wait()  # breaks unless all three are answering at the same time
            return super().answer(request)

    services = {name: Meeting() for name in ("a", "b", "c")}
    with Session([local_peer(service, name) for name, service in services.items()]) as session:
        assert session.ask_all([Begin()] * 3) == [Ack()] * 3
        totals = session.ask_all([Add(values=TABLE * i) for i in range(3)])
        assert [int(total.total[0]) for total in totals] == [0, 3, 6]
        assert list(session.traffic) == ["a", "b", "c"]
        assert session.traffic["b"]["Add"].messages == 1
    assert [service.closed for service in services.values()] == [1, 1, 1]
    with pytest.raises(SessionClosedError, match="a: this side has closed the session"):
        session.ask_all([Begin()] * 3)


def test_one_failure_releases_everybody_at_once() -> None:
    slow, bad = Sums(), Sums()
    slow.gate = threading.Event()
    session = Session([local_peer(slow, "slow"), local_peer(bad, "bad")])
    session.ask_all([Begin(), Begin()])
    with pytest.raises(PeerRefusedError, match=r"bad: refused \(out_of_turn\)"), session:
        session.ask_all([Add(values=TABLE), Begin()])  # type: ignore[list-item]
    assert all(peer.closed for peer in session.peers)
    slow.gate.set()
    assert slow.was_closed.wait(5)
    assert bad.closed == 1


def test_session_greets_all_and_wants_distinct_names() -> None:
    def ungreeted(name: str) -> Peer:
        return Peer(name, LocalTransport(make_answerer(name=name)), make_codec())

    with Session([ungreeted("a"), ungreeted("b")]) as session:
        assert [peer.greet(**GREETING).party for peer in session.peers] == ["a", "b"]
    with pytest.raises(PartyNameError, match="a: two parties have this name"):
        Session([ungreeted("a"), ungreeted("a")])
    with Session([]) as nobody:
        assert nobody.ask_all([]) == []


def test_a_session_with_one_party_of_another_version() -> None:
    other = Scripted(Failure(code="version_mismatch", detail="asks for 1", ends_session=True))
    fine = Scripted(welcome(party="a"))
    session = Session([Peer("a", fine, make_codec()), Peer("b", other, make_codec())])
    with pytest.raises(VersionMismatchError, match="b: asks for 1"), session:
        [peer.greet(**GREETING) for peer in session.peers]
    assert all(peer.closed for peer in session.peers)


def test_recording_keeps_both_directions() -> None:
    transport = RecordingTransport(LocalTransport(make_answerer()))
    peer = Peer("bureau", transport, make_codec())
    peer.greet(**GREETING)
    peer.ask(Begin(key=b"123"))
    peer.close()
    codec = make_codec()
    said = [
        (codec.decode(exchange.request, "bank"), codec.decode(exchange.reply, "bureau"))
        for exchange in transport.exchanges
    ]
    assert said == [(HELLO, welcome()), (Begin(key=b"123"), Ack()), (Goodbye(), Ack())]


def test_local_transport_holds_the_limits_of_the_answering_side() -> None:
    service = Sums()
    answerer = make_answerer(service, limits=Limits(frame_bytes=4096))
    peer = Peer("bureau", LocalTransport(answerer), make_codec())
    peer.greet(**GREETING)
    peer.ask(Begin())
    with pytest.raises(
        PeerRefusedError, match=r"frame_too_large\): sent a frame of more than 4096"
    ):
        peer.ask(Add(values=np.zeros((1000, 1), np.int64)))
    assert (peer.closed, service.closed) == (True, 1)


def test_local_party_that_has_ended_is_unreachable() -> None:
    answerer = make_answerer()
    peer = Peer("bureau", LocalTransport(answerer), make_codec())
    peer.greet(**GREETING)
    answerer.close()
    with pytest.raises(PeerUnreachableError, match="bureau: has ended the session"):
        peer.ask(Begin())


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProtocolError("bureau", "problem"),
        lambda: errors.PeerTimeoutError("bureau", "Add", 3.0),
        lambda: PeerRefusedError("bureau", "busy", "later"),
    ],
)
def test_errors_can_be_copied_and_pickled(make: Callable[[], errors.PartyError]) -> None:
    error = make()
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 (our own)
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.party == "bureau"


def test_a_refusal_cannot_write_to_our_terminal() -> None:
    assert PeerRefusedError("bureau", "busy", "a\x1b[2Jb\nc").detail == "a?[2Jb?c"
