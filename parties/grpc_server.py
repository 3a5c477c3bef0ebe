"""Listening: links to parties that dial in, over mutual TLS with pinned certificates."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from parties.certificates import TLS, Certificate, fingerprint_of, read_identity, read_pins
from parties.codec import Limits
from parties.errors import ListenError, PartyError
from parties.grpc_options import ACCEPTED, SERVICE, SESSION, grpc, options, split_address
from parties.link import Link

_log = logging.getLogger(__name__)


class Server:
    """Listens on one address; made by `listen`. A context manager that stops on exit.

    Attributes
    ----------
    port : int
        The port that is listened on.
    """

    port: int

    def __init__(
        self,
        pins: tuple[Certificate, ...],
        on_link: Callable[[Link], object],
        sessions: int,
        frame_bytes: int,
    ) -> None:
        self._pins = {pin.fingerprint: pin for pin in pins}
        self._on_link = on_link
        self._sessions = sessions
        self._frame_bytes = frame_bytes
        self._links: set[Link] = set()
        self._lock = threading.Lock()
        # Each session keeps one worker; the others tell further callers that we are busy.
        workers = sessions + 4
        self._server = grpc.server(
            ThreadPoolExecutor(workers, thread_name_prefix="listen"),
            options=options(so_reuseport=0),
            maximum_concurrent_rpcs=workers,
        )
        handler = grpc.stream_stream_rpc_method_handler(self._session)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {SESSION: handler}),)
        )

    def start(self, address: str, credentials: Any) -> None:
        """Bind and accept; see `listen`."""
        try:
            self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            self.port = 0
        if self.port == 0:
            raise ListenError(
                "",
                f"cannot listen on {address}: the port is in use or the host is not an address "
                "of this machine; choose another, or port 0 for any free one",
            )
        self._server.start()

    def wait(self) -> None:
        """Block until `stop` is called or Ctrl-C is pressed."""
        self._server.wait_for_termination()

    def stop(self) -> None:
        """Cut all links and stop listening."""
        with self._lock:
            links = tuple(self._links)
        for link in links:
            link.close(abort=True)
        self._server.stop(None).wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _session(self, chunks: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Serve one stream; gRPC sends what this yields."""
        presented = context.auth_context().get("x509_pem_cert", [b""])[0]
        pin = self._pins.get(fingerprint_of(presented)) if presented else None
        if pin is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "the certificate is not pinned here")
            return  # abort raises; this is for the reader and the type checker
        link = Link(pin.party, pin.fingerprint, self._frame_bytes, context.cancel)
        with self._lock:
            busy = len(self._links) >= self._sessions
            if not busy:
                self._links.add(link)
        if busy:
            _log.warning("%s: turned away, a session is under way", pin.party)
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "another session is under way; try later"
            )
        threading.Thread(target=self._run, args=(link,), daemon=True).start()
        if not context.add_callback(link.lost):
            link.lost()
        context.send_initial_metadata((ACCEPTED,))
        reader = threading.Thread(target=link.read, args=(chunks, _explain), daemon=True)
        reader.start()
        yield from link.outgoing()

    def _run(self, link: Link) -> None:
        try:
            self._on_link(link)
        except PartyError as error:
            _log.warning("session ended: %s", error)
        except Exception:
            _log.exception("%s: the session failed", link.party)
            link.close(abort=True)
        link.wait()
        with self._lock:
            self._links.discard(link)


def listen(
    address: str,
    tls: TLS,
    on_link: Callable[[Link], object],
    *,
    sessions: int = 1,
    limits: Limits | None = None,
) -> Server:
    """Listen for parties that dial in.

    Parameters
    ----------
    address : str
        ``host:port``; port 0 takes a free one (``Server.port``). There is no default host.
    tls : TLS
        ``peer_certificate`` may hold several certificates: each of them may dial in.
    on_link : callable
        Called in a thread of its own with each new `Link`: `serve_link` to answer, or
        ``queue.put`` to hand it to whoever asks.
    sessions : int
        Links at a time. A session's place is free again when its link has ended and `on_link` has
        returned; others are refused as ``busy`` until then.
    limits : Limits or None

    Raises
    ------
    CertificateError
        Our files or a pinned one are not in order.
    ListenError
        The address cannot be used.
    """
    split_address(address)
    identity, pins = read_identity(tls), read_pins(tls.peer_certificate)
    credentials = grpc.ssl_server_credentials(
        [(identity.private_key, identity.certificate.pem)],
        root_certificates=b"".join(pin.pem for pin in pins),
        require_client_auth=True,
    )
    server = Server(pins, on_link, sessions, (limits or Limits()).frame_bytes)
    server.start(address, credentials)
    return server


def _explain(error: Exception) -> str:
    return "the stream was cut" if isinstance(error, grpc.RpcError) else type(error).__name__
