"""Fresh encryptions of zero, by the owner of the key: ``r**n mod n**2`` in pair form.

Three ways, one interface. The first two have *exactly* the law of the textbook; the third rests on
one more assumption, which its name and docstring state.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from threading import Lock

import gmpy2
import numpy as np
from gmpy2 import mpz

from crypto import sampling, wide
from crypto.kernels.crt import Crt
from crypto.kernels.power_table import PowerTable
from crypto.paillier_half import Half
from crypto.paillier_public import PaillierPublicKey
from crypto.wide import Words


class Zeros(ABC):
    """A law of encryptions of zero."""

    @abstractmethod
    def prepare(self) -> None:
        """Build tables now rather than at the first `draw`."""

    @abstractmethod
    def draw(self, count: int, n_jobs: int) -> Words:
        """Draw independent encryptions of zero.

        Returns
        -------
        array of shape (count, 2 * words), uint64
            Pairs.
        """


class TableZeros(Zeros):
    """Exactly the textbook's law, from tables.

    The n-th residues modulo ``n**2`` are the product of those modulo ``p**2`` and ``q**2``, cyclic of
    order ``p - 1`` and ``q - 1``. With generators of both, two exponents uniform below the orders
    give a uniform n-th residue.
    """

    def __init__(self, halves: tuple[Half, Half], crt: Crt) -> None:
        self._halves = halves
        self._crt = crt
        self._lock = Lock()

    def prepare(self) -> None:
        """Build the tables."""
        self._tables()

    def draw(self, count: int, n_jobs: int) -> Words:
        """Draw by two exponents."""
        residues = [
            table.power_pairs(sampling.below(half.prime - 1, count), n_jobs=n_jobs)
            for table, half in zip(self._tables(), self._halves, strict=True)
        ]
        return self._crt.join_pairs(*residues, n_jobs=n_jobs)

    def _tables(self) -> list[PowerTable]:
        with self._lock:
            return [half.residue_table for half in self._halves]


class DecryptionZeros(Zeros):
    """Exactly the textbook's law, without tables, for keys whose primes came from elsewhere.

    ``a = r**n mod n`` is a bijection of r, so a is uniform among the units, and ``t = -Dec(a)``.
    """

    def __init__(self, public_key: PaillierPublicKey, halves: tuple[Half, Half], crt: Crt) -> None:
        self._public_key = public_key
        self._halves = halves
        self._crt = crt

    def prepare(self) -> None:
        """Do nothing."""

    def draw(self, count: int, n_jobs: int) -> Words:
        """Draw units and decrypt them."""
        units = self._public_key.random_units(count, n_jobs=n_jobs)
        logarithms = [half.logarithms(units, -1, n_jobs) for half in self._halves]
        return np.hstack([units, self._crt.join(*logarithms, n_jobs=n_jobs)])


class ShortExponentZeros(Zeros):
    """Powers of one secret base with short exponents (Damgard, Jurik, Nielsen 2010, section 4.2).

    ``h = -x**2 mod n`` for a uniform unit x, and a zero is ``(h**n)**alpha`` with alpha uniform below
    ``2**short_exponent_bits(key_bits)``.

    **Assumption beyond Paillier's:** nobody without p and q can tell such powers from powers with
    exponents uniform below the order of h, and those from uniform n-th residues of Jacobi symbol
    one. The first half is a discrete-logarithm assumption with short exponents in a group of unknown
    order; the second holds for h as drawn here up to the small factors that ``p - 1`` and ``q - 1``
    share. Against somebody who knows p and q it hides nothing: never use it to re-randomise.
    """

    def __init__(self, public_key: PaillierPublicKey, halves: tuple[Half, Half], crt: Crt) -> None:
        self._public_key = public_key
        self._halves = halves
        self._crt = crt
        self._bits = short_exponent_bits(public_key.key_bits)
        self._lock = Lock()

    def prepare(self) -> None:
        """Draw the base and build the tables."""
        with self._lock:
            self._tables  # noqa: B018

    def draw(self, count: int, n_jobs: int) -> Words:
        """Draw by one short exponent."""
        self.prepare()
        exponents = sampling.below(1 << self._bits, count)
        residues = [table.power_pairs(exponents, n_jobs=n_jobs) for table in self._tables]
        return self._crt.join_pairs(*residues, n_jobs=n_jobs)

    @cached_property
    def _tables(self) -> list[PowerTable]:
        n = mpz(self._public_key.n)
        (x,) = wide.to_mpz(self._public_key.random_units(1))
        base = int(gmpy2.powmod(-x * x % n, n, n * n))
        return [half.table(base, self._bits) for half in self._halves]


def short_exponent_bits(key_bits: int) -> int:
    """Return the length of short exponents: 320 bits at 2048, 384 at 3072, 448 at 4096.

    Generic discrete-logarithm algorithms take ``2**(bits / 2)`` steps, so this leaves a margin of
    some 50 bits over the strength of the modulus.
    """
    return 320 + 64 * max(0, -(-(key_bits - 2048) // 1024))
