"""Dialling: a link to a party that listens, over mutual TLS with pinned certificates.

The pinned certificate is the only root of trust. It is self-signed and no authority, so a
handshake succeeds with exactly that certificate, whatever the host is called.
"""

import threading
import time

from parties.certificates import TLS, read_identity, read_pins
from parties.codec import Limits
from parties.errors import (
    CertificateError,
    PeerRefusedError,
    PeerUnreachableError,
    printable,
)
from parties.grpc_options import ACCEPTED, METHOD, grpc, options, split_address
from parties.link import Link
from parties.messages import SessionCode
from parties.preflight import check_route

CONNECT_SECONDS = 10.0


def dial(
    address: str,
    tls: TLS,
    *,
    timeout: float = CONNECT_SECONDS,
    limits: Limits | None = None,
) -> Link:
    """Connect to a party that listens.

    Parameters
    ----------
    address : str
        ``host:port``.
    tls : TLS
        ``peer_certificate`` must hold exactly one certificate.
    timeout : float
        Seconds until the link must stand. While nobody listens, new attempts are made.
    limits : Limits or None

    Returns
    -------
    Link
        For `LinkTransport` (to ask) or `serve_link` (to answer).

    Raises
    ------
    CertificateError
        Our files or the pinned one are not in order.
    PeerUnreachableError
        Nobody listens, TLS fails, another certificate is presented, ours is not accepted.
    PeerRefusedError
        With code ``busy``: the party has a session already.
    """
    identity, pins = read_identity(tls), read_pins(tls.peer_certificate)
    if len(pins) != 1:
        raise CertificateError(
            "", f"{tls.peer_certificate} holds {len(pins)} certificates; to dial, pin exactly one"
        )
    pin = pins[0]
    host, port = split_address(address, PeerUnreachableError)
    deadline = time.monotonic() + timeout
    check_route(host, port, tls, identity, pin, timeout)
    channel = grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(pin.pem, identity.private_key, identity.certificate.pem),
        options(ssl_target_name_override=pin.host, default_authority=pin.host),
    )
    decided, refused = threading.Event(), threading.Event()

    def explain(error: Exception) -> str:
        known = isinstance(error, grpc.RpcError)
        return printable(call.details()) if known else type(error).__name__

    def cut() -> None:
        call.cancel()
        channel.close()

    link = Link(pin.party, pin.fingerprint, (limits or Limits()).frame_bytes, cut)
    call = channel.stream_stream(METHOD, None, None)(link.outgoing())

    def read() -> None:
        if ACCEPTED not in map(tuple, call.initial_metadata() or ()):
            call.code()  # comes with the refusal
            refused.set()
        decided.set()
        link.read(call, explain)

    threading.Thread(target=read, name=f"link-{pin.party}", daemon=True).start()
    if not decided.wait(max(0.1, deadline - time.monotonic())):
        link.close(abort=True)
        raise PeerUnreachableError(
            pin.party, f"{address} did not open a session within {timeout:g} seconds"
        )
    if refused.is_set():
        code, details = call.code(), printable(call.details())
        link.close(abort=True)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise PeerRefusedError(pin.party, SessionCode.BUSY.value, details)
        raise PeerUnreachableError(pin.party, f"{address} opens no session: {details}")
    return link
