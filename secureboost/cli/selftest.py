"""The last of doctor's checks: does the arithmetic work on this machine, and how fast?"""

import secrets
from itertools import pairwise

import numpy as np

from crypto import wide
from crypto.paillier import PaillierScheme
from crypto.scheme import Plaintexts
from secureboost.planning import ONE_MACHINE, Rates, Shape, calibrate, equal_bins, predict

SCHEME = PaillierScheme.name
"""The cipher that is tested and timed: the default of `train`."""
KEY_BITS = 2048
TREE = Shape(
    rows=30_000, own_columns=10, partner_bins=equal_bins([10], 32), bins=32, depth=5, trees=100
)
"""The training of which a tree's cost is worked out."""

_SMALL_KEY_BITS = 512
_SECONDS = 1.0


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


def measure() -> Rates:
    """Time the operations; some seconds with all that is timed once."""
    return calibrate(KEY_BITS, _SECONDS)


def tree_seconds(rates: Rates) -> tuple[float, float]:
    """Work out the processor seconds of a tree, of the label and the feature party."""
    plan = predict(TREE, rates, ONE_MACHINE)
    (partner,) = plan.partners
    return plan.label.cpu_seconds / TREE.trees, partner.cpu_seconds / TREE.trees


def _plaintexts(numbers: list[int]) -> Plaintexts:
    return wide.from_integers(numbers, 1, signed=True)
