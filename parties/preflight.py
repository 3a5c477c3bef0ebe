"""Why a connection would fail, found out before gRPC tries.

gRPC reports every TLS problem as "unavailable". One handshake with the standard library tells them
apart, and shows the certificate that the other side presents. Nothing is trusted here: gRPC
verifies the pinned certificate again on the connection that is used.
"""

import socket
import ssl
import time

from parties.certificates import TLS, Certificate, Identity, fingerprint_of
from parties.errors import PeerUnreachableError

_RETRY_SECONDS = 0.2


def check_route(
    host: str, port: int, tls: TLS, identity: Identity, pin: Certificate, timeout: float
) -> None:
    """Connect, compare certificates, and hang up.

    Parameters
    ----------
    host, port : str, int
    tls : TLS
    identity : Identity
        Ours, read from `tls`.
    pin : Certificate
        The one certificate that we accept.
    timeout : float
        Seconds. While nobody listens, new attempts are made for as long: the other side may just
        be starting.

    Raises
    ------
    PeerUnreachableError
        Naming the address, what was found there and what to do.
    """
    deadline = time.monotonic() + timeout
    where = f"{host}:{port}"
    with _connect(host, port, pin.party, deadline, timeout) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the fingerprint is compared below
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(tls.certificate, tls.private_key, lambda: tls.passphrase or b"")
        context.set_alpn_protocols(["h2"])
        plain.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            secured = context.wrap_socket(plain, server_hostname=pin.host)
        except TimeoutError:
            raise PeerUnreachableError(
                pin.party,
                f"{where} accepts connections but does not answer TLS within {timeout:g} seconds; "
                "is it the port of `secureboost`?",
            ) from None
        except OSError as error:
            raise PeerUnreachableError(
                pin.party, f"{where} does not speak TLS ({_reason(error)}); check the port"
            ) from None
        with secured:
            _compare(secured, where, pin)
            _await_first_byte(secured, where, identity, pin)


def _connect(host: str, port: int, party: str, deadline: float, timeout: float) -> socket.socket:
    while True:
        left = deadline - time.monotonic()
        try:
            return socket.create_connection((host, port), max(0.1, left))
        except ConnectionRefusedError:
            if left <= _RETRY_SECONDS:
                raise PeerUnreachableError(
                    party,
                    f"nobody listens on {host}:{port} (tried for {timeout:g} seconds); "
                    "is the party running, and is the port right?",
                ) from None
            time.sleep(_RETRY_SECONDS)
        except TimeoutError:
            raise PeerUnreachableError(
                party,
                f"no connection to {host}:{port} within {timeout:g} seconds; "
                "check the address and the firewalls between",
            ) from None
        except OSError as error:
            raise PeerUnreachableError(
                party, f"cannot connect to {host}:{port}: {_reason(error)}; check the address"
            ) from None


def _compare(secured: ssl.SSLSocket, where: str, pin: Certificate) -> None:
    presented = secured.getpeercert(binary_form=True)
    got = fingerprint_of(presented) if presented else "none"
    if got != pin.fingerprint:
        raise PeerUnreachableError(
            pin.party,
            f"{where} presents another certificate than the pinned one. Expected fingerprint "
            f"{pin.fingerprint}, got {got}. Do not go on before the party confirms its "
            "certificate by another way",
        )


def _await_first_byte(
    secured: ssl.SSLSocket, where: str, identity: Identity, pin: Certificate
) -> None:
    """Under TLS 1.3 the other side judges our certificate after our handshake has ended."""
    try:
        accepted = bool(secured.recv(1))
        reason = "it hung up"
    except TimeoutError:
        accepted, reason = False, "it does not speak gRPC"
    except OSError as error:
        accepted, reason = False, _reason(error)
    if not accepted:
        raise PeerUnreachableError(
            pin.party,
            f"{where} did not accept this side's certificate ({reason}). Our fingerprint is "
            f"{identity.certificate.fingerprint}; the other side must pin that certificate",
        )


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return error.strerror or type(error).__name__
