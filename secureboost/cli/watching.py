"""What commands watch while parties work: bytes that cross, and compilers."""

import logging
from collections.abc import Sequence

from secureboost.party import Party


def bytes_of(parties: Sequence[Party]) -> tuple[int, int]:
    """Bytes sent and received so far in the latest sessions with these parties."""
    by_request = [party.peer.traffic.values() for party in parties if party.peer is not None]
    traffic = [t for values in by_request for t in values]
    return sum(t.bytes_sent for t in traffic), sum(t.bytes_received for t in traffic)


def all_bytes_of(parties: Sequence[Party]) -> tuple[int, int]:
    """Bytes sent and received so far in all sessions with these parties."""
    traffic = [party.traffic for party in parties]
    return sum(t.bytes_sent for t in traffic), sum(t.bytes_received for t in traffic)


def log_compilations() -> None:
    """Let a first compilation say so, and no other log; without the line it looks like a hang."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("crypto").addHandler(logging.lastResort or logging.StreamHandler())
