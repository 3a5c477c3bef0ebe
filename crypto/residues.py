"""Numbers modulo the square of a root, in pair form.

Every unit ``c`` modulo ``root**2`` can be written, publicly and one to one, as
``c = a * (1 + t * root)`` with ``a = c mod root`` and ``t = (c div root) / a mod root``. Products
become cheaper: multiply the short ``a``, and add the ``t``.
"""

from collections.abc import Sequence

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto import wide
from crypto.wide import Words


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


def words_to_pairs(residues: Words, root: int) -> Words:
    """Write residues modulo ``root**2`` in pair form, side by side in one row.

    Parameters
    ----------
    residues : array of shape (count, 2 * words), uint64
        Units; `words` is what the root needs.
    root : int

    Returns
    -------
    array of shape (count, 2 * words), uint64
        ``[a | t]``.

    Raises
    ------
    ZeroDivisionError
        If one is not a unit.
    """
    words = residues.shape[1] // 2
    low, high = to_pairs(wide.to_mpz(residues), mpz(root))
    return np.hstack([wide.from_integers(low, words), wide.from_integers(high, words)])


def pairs_to_words(pairs: Words, root: int) -> Words:
    """Write pairs as residues; the inverse of `words_to_pairs`."""
    words = pairs.shape[1] // 2
    low, high = wide.to_mpz(pairs[:, :words]), wide.to_mpz(pairs[:, words:])
    return wide.from_integers(from_pairs(low, high, mpz(root)), 2 * words)
