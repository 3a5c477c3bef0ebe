"""Two real endpoints over mutual TLS: both directions, wrong peers, dead peers."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from support.talk import GREETING, Add, Begin, Sums, Wires, make_answerer, make_codec

from parties.codec import Limits
from parties.errors import (
    CertificateError,
    FrameTooLargeError,
    ListenError,
    PartyError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from parties.grpc_server import listen
from parties.grpc_transport import dial
from parties.link import Link, LinkTransport, serve_link
from parties.messages import Ack
from parties.peer import Peer
from parties.session import Session

TABLE = np.arange(12, dtype=np.int64).reshape(4, 3)


@pytest.fixture(scope="module")
def wires(tmp_path_factory: pytest.TempPathFactory) -> Wires:
    return Wires(tmp_path_factory.mktemp("tls"))


def test_asker_dials(wires: Wires) -> None:
    service = Sums()
    with wires.serve(lambda: make_answerer(service)) as server:
        link = dial(f"127.0.0.1:{server.port}", wires.bank)
        assert link.party == "bureau"
        with Session([Peer("bureau", LinkTransport(link), make_codec())]) as session:
            (welcome,) = [peer.greet(**GREETING) for peer in session.peers]
            assert welcome.party == "bureau"
            assert session.ask_all([Begin()]) == [Ack()]
            (total,) = session.ask_all([Add(values=TABLE, times=2)])
            assert total.total.tolist() == [36, 44, 52]
            big = np.ones((1 << 19, 3), np.int64)  # 12 MiB: many chunks
            assert session.ask_all([Add(values=big)])[0].total.tolist() == [1 << 19] * 3
        assert service.was_closed.wait(5)
        assert service.closed == 1


def test_answerer_dials(wires: Wires) -> None:
    service = Sums()
    links: queue.Queue[Link] = queue.Queue()
    with listen("127.0.0.1:0", wires.bank, links.put) as server:
        answering = threading.Thread(
            target=lambda: serve_link(
                dial(f"127.0.0.1:{server.port}", wires.bureau), make_answerer(service)
            )
        )
        answering.start()
        link = links.get(timeout=10)
        assert link.party == "bureau"
        with Session([Peer("bureau", LinkTransport(link), make_codec())]) as session:
            for peer in session.peers:
                peer.greet(**GREETING)
            session.ask_all([Begin()])
            assert session.ask_all([Add(values=TABLE)])[0].total.tolist() == [18, 22, 26]
        answering.join(5)
        assert not answering.is_alive()
        assert service.closed == 1


def test_sessions_follow_each_other_and_a_second_asker_is_busy(wires: Wires) -> None:
    services: queue.Queue[Sums] = queue.Queue()

    def answerer():
        services.put(Sums())
        return make_answerer(services.queue[-1])

    with wires.serve(answerer) as server:
        with wires.peer(server) as peer:
            peer.greet(**GREETING)
            with pytest.raises(PeerRefusedError, match=r"bureau: refused \(busy\): another"):
                dial(f"127.0.0.1:{server.port}", wires.bank)
            peer.close()
        assert services.get().was_closed.wait(5)
        # The place is given back by another thread a moment after the session has closed.
        deadline = time.monotonic() + 5
        while True:
            try:
                again = dial(f"127.0.0.1:{server.port}", wires.bank)
                break
            except PeerRefusedError:
                assert time.monotonic() < deadline
        peer = Peer("bureau", LinkTransport(again), make_codec())
        assert peer.greet(**GREETING).party == "bureau"
        peer.close()


def test_cutting_releases_the_answering_party(wires: Wires) -> None:
    service = Sums()
    with wires.serve(lambda: make_answerer(service)) as server, wires.peer(server) as peer:
        peer.greet(**GREETING)
        peer.abort()
        assert service.was_closed.wait(5)


def test_deadline_names_request_and_seconds(wires: Wires) -> None:
    service = Sums()
    service.gate = threading.Event()
    with wires.serve(lambda: make_answerer(service)) as server, wires.peer(server) as peer:
        peer.greet(**GREETING)
        peer.ask(Begin())
        with pytest.raises(PeerTimeoutError, match=r"bureau: no answer to Add within 0\.3 seconds"):
            peer.ask(Add(values=TABLE), timeout=0.3)
        with pytest.raises(PeerTimeoutError, match="no answer to Add"):
            peer.ask(Add(values=TABLE))
        service.gate.set()


def test_server_that_stops_is_noticed(wires: Wires) -> None:
    service = Sums()
    service.gate = threading.Event()
    with wires.serve(lambda: make_answerer(service)) as server, wires.peer(server) as peer:
        peer.greet(**GREETING)
        peer.ask(Begin())
        service.asked.clear()
        future = peer.submit(Add(values=TABLE))
        assert service.asked.wait(5)
        server.stop()
        with pytest.raises(PeerUnreachableError, match="bureau: the connection was lost"):
            future.result(5)
        service.gate.set()


PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from support.talk import Sums, Wires, make_answerer
from parties.certificates import TLS
from parties.grpc_server import listen
from parties.grpc_transport import dial
from parties.link import serve_link

class Stuck(Sums):
    def answer(self, request):
        if type(request).__name__ == "Add":
            print("answering", flush=True)
            sys.stdin.read()
        return super().answer(request)

folder = Path(sys.argv[1])
tls = TLS(folder / "bureau.pem", folder / "bureau.key", folder / "bank.pem")
answer = lambda link: serve_link(link, make_answerer(Stuck()))
if sys.argv[4] == "listen":
    with listen("127.0.0.1:0", tls, answer) as server:
        print(server.port, flush=True)
        server.wait()
else:
    answer(dial("127.0.0.1:" + sys.argv[5], tls))
"""


def start_process(wires: Wires, *mode: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(wires.folder), str(root), str(root / "tests"), *mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_while_answering(process: subprocess.Popen[str], link: Link) -> None:
    with Session([Peer("bureau", LinkTransport(link), make_codec(), timeout=60)]) as session:
        for peer in session.peers:
            peer.greet(**GREETING)
        session.ask_all([Begin()])
        future = session.peers[0].submit(Add(values=TABLE))
        assert process.stdout is not None
        assert process.stdout.readline() == "answering\n"
        started = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(PeerUnreachableError, match=r"^bureau: the connection was lost"):
            future.result(10)
        assert time.monotonic() - started < 5
        with pytest.raises(PeerUnreachableError, match=r"^bureau: the connection was lost"):
            session.ask_all([Begin()])


@pytest.mark.parametrize("dials", ["asker", "answerer"])
def test_killed_process_is_noticed_at_once(wires: Wires, dials: str) -> None:
    links: queue.Queue[Link] = queue.Queue()
    if dials == "asker":
        process = start_process(wires, "listen")
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with process:
            kill_while_answering(process, dial(f"127.0.0.1:{port}", wires.bank))
    else:
        with (
            listen("127.0.0.1:0", wires.bank, links.put) as server,
            start_process(wires, "dial", str(server.port)) as process,
        ):
            kill_while_answering(process, links.get(timeout=30))


def test_ctrl_c_while_waiting(wires: Wires) -> None:
    service = Sums()
    service.gate = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        service.asked.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with wires.serve(lambda: make_answerer(service)) as server:
            link = dial(f"127.0.0.1:{server.port}", wires.bank)
            session = Session([Peer("bureau", LinkTransport(link), make_codec())])
            for peer in session.peers:
                peer.greet(**GREETING)
            session.ask_all([Begin()])
            service.asked.clear()
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt), session:
                session.ask_all([Add(values=TABLE)])
            assert session.peers[0].closed
            service.gate.set()
            assert service.was_closed.wait(5)
    finally:
        signal.signal(signal.SIGINT, before)


def test_too_large_question_is_cut(wires: Wires) -> None:
    service = Sums()
    small = Limits(frame_bytes=4096)
    answerers = lambda: make_answerer(service, limits=small)  # noqa: E731
    with wires.serve(answerers, limits=small) as server, wires.peer(server) as peer:
        peer.greet(**GREETING)
        peer.ask(Begin())
        with pytest.raises(PeerRefusedError, match=r"frame_too_large\).*4096 bytes"):
            peer.ask(Add(values=np.zeros((1 << 20, 4), np.int64)))
        assert peer.closed
        assert service.was_closed.wait(5)


def test_too_large_answer_is_cut(wires: Wires) -> None:
    with wires.serve(lambda: make_answerer()) as server:
        link = dial(f"127.0.0.1:{server.port}", wires.bank, limits=Limits(frame_bytes=4096))
        peer = Peer("bureau", LinkTransport(link), make_codec())
        peer.greet(**GREETING)
        peer.ask(Begin())
        with pytest.raises(FrameTooLargeError, match="bureau: sent a frame of more than 4096"):
            peer.ask(Add(values=np.zeros((1, 4096), np.int64)))
        assert peer.closed


def test_silent_and_misbehaving_askers_lose_their_place(wires: Wires) -> None:
    outcome: queue.Queue[PartyError] = queue.Queue()

    def serve(link: Link) -> None:
        try:
            serve_link(link, make_answerer(), idle_seconds=0.1)
        except PartyError as error:
            outcome.put(error)

    with listen("127.0.0.1:0", wires.bureau, serve, sessions=2) as server:
        silent = dial(f"127.0.0.1:{server.port}", wires.bank)
        assert "bank: neither asked for 0.1 seconds" in str(outcome.get(timeout=5))
        with pytest.raises(PeerUnreachableError, match="bureau: the other side has ended the sess"):
            silent.receive(5)
        leaver = dial(f"127.0.0.1:{server.port}", wires.bank)
        leaver.close()
        assert "bank: the other side has ended the session" in str(outcome.get(timeout=5))


# --- certificates on the wire ---------------------------------------------------------------


def test_wrong_server_certificate_shows_both_fingerprints(wires: Wires, tmp_path: Path) -> None:
    other = Wires(tmp_path)
    tls = wires.tls("bank", pin="bureau")
    stranger = other.tls("bureau", pin="bank")
    with (
        listen("127.0.0.1:0", stranger, lambda link: None) as server,
        pytest.raises(PeerUnreachableError) as caught,
    ):
        dial(f"127.0.0.1:{server.port}", tls, timeout=5)
    assert "another certificate than the pinned one. Expected fingerprint" in str(caught.value)
    assert len([w for w in str(caught.value).replace(",", " ").split() if len(w) >= 64]) == 2


def test_unpinned_client_is_told(wires: Wires) -> None:
    wires.make("stranger")
    with (
        wires.serve(make_answerer) as server,
        pytest.raises(PeerUnreachableError, match="did not accept this side's certificate"),
    ):
        dial(f"127.0.0.1:{server.port}", wires.tls("stranger", pin="bureau"), timeout=5)


def test_expired_certificates_are_named_up_front(wires: Wires) -> None:
    wires.make("late", "expired", valid_from=datetime.now(UTC) - timedelta(days=9))
    for tls in (wires.tls("expired", pin="bureau"), wires.tls("bank", pin="expired")):
        with pytest.raises(CertificateError, match=r"expired\.pem expired on 20\d\d-"):
            dial("127.0.0.1:1", tls, timeout=0)
        with pytest.raises(CertificateError, match=r"expired\.pem expired on 20\d\d-"):
            listen("127.0.0.1:0", tls, lambda link: None)


def test_nobody_listens(wires: Wires) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    with pytest.raises(PeerUnreachableError, match=f"bureau: nobody listens on 127.0.0.1:{port}"):
        dial(f"127.0.0.1:{port}", wires.bank, timeout=0.1)


def test_a_silent_plaintext_port(wires: Wires) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]
        with pytest.raises(PeerUnreachableError, match=r"does not answer TLS within 0\.3 sec"):
            dial(f"127.0.0.1:{port}", wires.bank, timeout=0.3)


def test_a_talking_plaintext_port(wires: Wires) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def talk() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(1)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)

        threading.Thread(target=talk).start()
        port = plain.getsockname()[1]
        with pytest.raises(PeerUnreachableError, match="does not speak TLS"):
            dial(f"127.0.0.1:{port}", wires.bank, timeout=5)


def test_plaintext_client_gets_nothing(wires: Wires) -> None:
    with (
        wires.serve(make_answerer) as server,
        socket.create_connection(("127.0.0.1", server.port)) as plain,
    ):
        plain.settimeout(5)
        plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        try:
            answer = plain.recv(1000)
        except ConnectionError:
            answer = b""
        assert len(answer) < 20  # a TLS alert at most


def test_port_in_use(wires: Wires) -> None:
    with (
        wires.serve(make_answerer) as server,
        pytest.raises(ListenError, match=r"cannot listen on .* port is in use"),
    ):
        listen(f"127.0.0.1:{server.port}", wires.bureau, lambda link: None)


@pytest.mark.parametrize("address", ["7443", ":7443", "host:", "host:99999", "host:x"])
def test_addresses(wires: Wires, address: str) -> None:
    with pytest.raises(ListenError, match="must be host:port"):
        listen(address, wires.bureau, lambda link: None)
    with pytest.raises(PeerUnreachableError, match="must be host:port"):
        dial(address, wires.bank)


def test_dialling_needs_exactly_one_pin(wires: Wires) -> None:
    both = (wires.folder / "bank.pem").read_bytes() + (wires.folder / "bureau.pem").read_bytes()
    (wires.folder / "both.pem").write_bytes(both)
    with pytest.raises(CertificateError, match=r"both\.pem holds 2 certificates"):
        dial("127.0.0.1:1", wires.tls("bank", pin="both"))
