"""The last of doctor's checks: does the arithmetic work on this machine, and how fast?"""

import secrets
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crypto import wide
from crypto.fixed_point import DEFAULT_FRACTION_BITS
from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.scheme import Plaintexts

KEY_BITS = 2048
TREE_ROWS, TREE_COLUMNS, TREE_BINS, TREE_DEPTH = 30_000, 10, 32, 5
"""The tree whose cost is worked out: columns are those of the feature party."""

_SMALL_KEY_BITS = 512
_ENCRYPTED = 200
_SUMMANDS = 20_000
_SUMS = 20


@dataclass(frozen=True)
class Timings:
    """What one core does at 2048 bits.

    Attributes
    ----------
    encrypt_us, decrypt_ms : float
        Per number, by the label party.
    add_us, rerandomise_ms : float
        Per number, by the feature party.
    """

    encrypt_us: float
    add_us: float
    rerandomise_ms: float
    decrypt_ms: float

    def tree_seconds(self) -> tuple[float, float]:
        """Work out the seconds of one core for one tree, of the label and the feature party.

        Of two siblings only the one with fewer rows is asked for, so below the root a level sums
        at most half of the rows.
        """
        sums = TREE_ROWS * TREE_COLUMNS * (1 + (TREE_DEPTH - 1) / 2)
        asked_nodes = 2 ** (TREE_DEPTH - 1)
        largest = 1 << DEFAULT_FRACTION_BITS  # of a gradient; a hessian is at most a quarter
        packing = GradientPacking(TREE_ROWS, largest, largest // 4)
        cells = asked_nodes * TREE_COLUMNS * (TREE_BINS + 1)
        packed = cells / packing.cells_per_ciphertext(KEY_BITS - 2)
        label = TREE_ROWS * self.encrypt_us / 1e6 + packed * self.decrypt_ms / 1e3
        feature = sums * self.add_us / 1e6 + packed * self.rerandomise_ms / 1e3
        return label, feature


def sums_agree() -> bool:
    """Encrypt random numbers under a small key, add them under encryption, decrypt, compare."""
    key = PaillierScheme().insecure_test_key(_SMALL_KEY_BITS)
    numbers = [secrets.randbelow(1 << 41) - (1 << 40) for _ in range(64)]
    starts = np.array([0, 16, 16, 64], dtype=np.int64)
    expected = [sum(numbers[a:b]) for a, b in pairwise(starts)]
    public = key.public_key
    sums = public.sum_by_segment(
        key.encrypt(_plaintexts(numbers)), np.arange(64, dtype=np.int64), starts
    )
    decrypted = wide.to_integers(key.decrypt(public.rerandomise(sums)), signed=True)
    return decrypted == expected


def measure(key: PaillierPrivateKey | None = None) -> Timings:
    """Time the four operations; about a second.

    Parameters
    ----------
    key : PaillierPrivateKey, optional
        For tests; default a fresh one of 2048 bits.
    """
    key = key or PaillierScheme().generate(KEY_BITS)
    key.prepare()
    public = key.public_key
    plaintexts = _plaintexts([secrets.randbelow(1 << 40) for _ in range(_ENCRYPTED)])
    rows = np.arange(_SUMMANDS, dtype=np.int64) % _ENCRYPTED
    starts = np.linspace(0, _SUMMANDS, _SUMS + 1).astype(np.int64)
    times = [time.perf_counter()]
    ciphertexts = key.encrypt(plaintexts)
    times.append(time.perf_counter())
    sums = public.sum_by_segment(ciphertexts, rows, starts)
    times.append(time.perf_counter())
    fresh = public.rerandomise(sums)
    times.append(time.perf_counter())
    key.decrypt(fresh)
    times.append(time.perf_counter())
    encrypt, add, rerandomise, decrypt = np.diff(times).tolist()
    return Timings(
        encrypt_us=encrypt / _ENCRYPTED * 1e6,
        add_us=add / _SUMMANDS * 1e6,
        rerandomise_ms=rerandomise / _SUMS * 1e3,
        decrypt_ms=decrypt / _SUMS * 1e3,
    )


def _plaintexts(numbers: list[int]) -> Plaintexts:
    return wide.from_integers(numbers, 1, signed=True)
