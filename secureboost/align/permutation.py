"""Random orders from a secret seed: the same again after a crash, a secret to everybody else."""

import hashlib
import secrets

import numpy as np
from numpy.typing import NDArray

SEED_BYTES = 32


def new_seed() -> bytes:
    """Draw a seed from the operating system."""
    return secrets.token_bytes(SEED_BYTES)


def permutation(seed: bytes, purpose: str, n: int) -> NDArray[np.int32]:
    """Order ``0, ..., n - 1`` at random.

    Numbers of 64 bits from SHAKE-256 of seed and purpose are sorted. Two equal ones would keep
    their order; with 2**30 items that happens with probability 2**-5, to one pair, and tells
    nobody anything who does not know the seed.

    Parameters
    ----------
    seed : bytes
    purpose : str
        Orders of different purposes are independent.
    n : int

    Returns
    -------
    array of shape (n,), int32
    """
    stream = hashlib.shake_256(purpose.encode() + b"\0" + seed).digest(8 * n)
    return np.argsort(np.frombuffer(stream, "<u8"), kind="stable").astype(np.int32)
