"""What both ends of a gRPC connection agree on: method, sizes, keep-alive, addresses.

There is no generated code: one bidirectional stream of raw bytes per session. Import grpc from
here, so that its own lines on stderr are off; our errors say more.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from parties.chunks import CHUNK_BYTES
from parties.errors import ListenError, PartyError

__all__ = ["ACCEPTED", "METHOD", "SERVICE", "SESSION", "grpc", "options", "split_address"]

SERVICE = "secureboost.Parties"
SESSION = "Session"
METHOD = f"/{SERVICE}/{SESSION}"
ACCEPTED = ("secureboost-session", "open")
"""Metadata with which the listening side opens a session; a refusal comes without."""

PING_SECONDS = 10
PING_TIMEOUT_SECONDS = 20

_MESSAGE_BYTES = CHUNK_BYTES + 4096  # a chunk, its flag, and room for gRPC's own framing


def options(**more: int | str) -> list[tuple[str, int | str]]:
    """Channel options of both ends; keys of `more` are gRPC's without the ``grpc.``.

    A silent machine is noticed within 30 seconds: a ping every 10, and 20 to answer it. The server
    must be told that such pings are welcome, or it hangs up on a peer that waits for long.
    """
    chosen: dict[str, int | str] = {
        "max_send_message_length": _MESSAGE_BYTES,
        "max_receive_message_length": _MESSAGE_BYTES,
        "keepalive_time_ms": PING_SECONDS * 1000,
        "keepalive_timeout_ms": PING_TIMEOUT_SECONDS * 1000,
        "http2.ping_timeout_ms": PING_TIMEOUT_SECONDS * 1000,  # 60 seconds unless told
        "keepalive_permit_without_calls": 1,
        "http2.max_pings_without_data": 0,
        "http2.min_ping_interval_without_data_ms": PING_SECONDS * 500,
        "http2.max_ping_strikes": 0,
        "enable_http_proxy": 0,
        "enable_retries": 0,
        **more,
    }
    return [(f"grpc.{key}", value) for key, value in chosen.items()]


def split_address(address: str, error: type[PartyError] = ListenError) -> tuple[str, int]:
    """Split ``host:port`` (``[::1]:7443`` for IPv6).

    Raises
    ------
    PartyError
        Of the given class, if host or port is missing or the port is out of range.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise error("", f"address={address!r} must be host:port, for example 127.0.0.1:7443")
    return host.removeprefix("[").removesuffix("]"), int(port)
