"""The plain protocol that `align.py` compares with: libsodium's ristretto255 in a Python loop.

Each side hashes its ids to the group and multiplies them by its scalar, sends them, multiplies what
it gets, and sends that back; both sides then compare. No order is hidden, nothing is checked or
kept. Two processes, a pipe between them.
"""

import hashlib
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

_BYTES = 32


@dataclass(frozen=True)
class Plain:
    """What was measured.

    Attributes
    ----------
    rows : int
        Ids of each side.
    wall : float
    cpu : float
        Of both sides together.
    common : int
    """

    rows: int
    wall: float
    cpu: float
    common: int


def measure_plain(mine: Sequence[str], theirs: Sequence[str]) -> Plain:
    """Find how many ids are common."""
    context = multiprocessing.get_context("spawn")
    ends = context.Pipe()
    told, hears = context.Pipe()
    other = context.Process(target=_side, args=(ends[1], list(theirs), told))
    other.start()
    hears.recv_bytes()  # it has started and has its ids
    began, cpu = time.perf_counter(), time.process_time()
    common = find_common(ends[0], mine)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    cpu += float(hears.recv_bytes())
    other.join()
    return Plain(len(mine), wall, cpu, common)


def find_common(line: Connection, ids: Sequence[str]) -> int:
    """One side of the protocol; how many ids are common."""
    from rbcl import (
        crypto_core_ristretto255_from_hash,
        crypto_core_ristretto255_scalar_random,
        crypto_scalarmult_ristretto255,
    )

    secret = crypto_core_ristretto255_scalar_random()
    hashed = (hashlib.sha512(text.encode()).digest() for text in ids)
    own = [
        crypto_scalarmult_ristretto255(secret, crypto_core_ristretto255_from_hash(digest))
        for digest in hashed
    ]
    theirs = _swap(line, own)
    doubled = [crypto_scalarmult_ristretto255(secret, element) for element in theirs]
    return len(set(_swap(line, doubled)) & set(doubled))


def _swap(line: Connection, elements: list[bytes]) -> list[bytes]:
    """Send elements and get as many of the other side's."""
    from threading import Thread

    sender = Thread(target=line.send_bytes, args=(b"".join(elements),))
    sender.start()
    data = line.recv_bytes()
    sender.join()
    return [data[first : first + _BYTES] for first in range(0, len(data), _BYTES)]


def _side(line: Connection, ids: list[str], told: Connection) -> None:
    told.send_bytes(b"ready")
    cpu = time.process_time()
    find_common(line, ids)
    told.send_bytes(str(time.process_time() - cpu).encode())
