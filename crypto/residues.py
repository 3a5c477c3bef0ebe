"""Numbers modulo the square of a root, in pair form.

Every unit ``c`` modulo ``root**2`` can be written, publicly and one to one, as
``c = a * (1 + t * root)`` with ``a = c mod root`` and ``t = (c div root) / a mod root``. Products
become cheaper: multiply the short ``a``, and add the ``t``.
"""

from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz


def invert_all(values: Sequence[mpz], modulus: mpz) -> list[mpz]:
    """Invert many numbers with one inversion and three products each (Montgomery's trick).

    Raises
    ------
    ZeroDivisionError
        If one is not a unit.
    """
    if not values:
        return []
    prefixes = [mpz(1)]
    for value in values:
        prefixes.append(prefixes[-1] * value % modulus)
    tail = gmpy2.invert(prefixes[-1], modulus)
    inverses = [mpz(0)] * len(values)
    for i in range(len(values) - 1, -1, -1):
        inverses[i] = prefixes[i] * tail % modulus
        tail = tail * values[i] % modulus
    return inverses


def to_pairs(residues: Sequence[mpz], root: mpz) -> tuple[list[mpz], list[mpz]]:
    """Write units modulo ``root**2`` as ``a`` and ``t``.

    Raises
    ------
    ZeroDivisionError
        If one is not a unit.
    """
    split = [gmpy2.f_divmod(residue, root) for residue in residues]
    low = [remainder for _, remainder in split]
    inverses = invert_all(low, root)
    return low, [
        quotient * inverse % root for (quotient, _), inverse in zip(split, inverses, strict=True)
    ]


def from_pairs(low: Sequence[mpz], high: Sequence[mpz], root: mpz) -> list[mpz]:
    """Compute ``a * (1 + t * root)`` modulo ``root**2``; the inverse of `to_pairs`."""
    # a < root and (a t mod root) * root <= (root - 1) * root, so the sum needs no reduction.
    return [a + a * t % root * root for a, t in zip(low, high, strict=True)]
