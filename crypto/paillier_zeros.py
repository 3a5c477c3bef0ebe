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
from crypto.kernels import engine
from crypto.kernels.crt import Crt
from crypto.kernels.power_table import PowerTable
from crypto.paillier_half import Half
from crypto.paillier_public import PaillierPublicKey
from crypto.wide import Words


class Zeros(ABC):
    """A law of encryptions of zero.

    Attributes
    ----------
    gains_by_threads : bool
        Whether threads that draw side by side are faster together than one.
    """

    gains_by_threads = True

    @abstractmethod
    def prepare(self) -> None:
        """Build tables now rather than at the first `draw`."""

    @abstractmethod
    def draw(self, count: int) -> Words:
        """Draw independent encryptions of zero, on this thread; several may draw at once.

        Returns
        -------
        array of shape (count, 2 * words), uint64
            Pairs.
        """


class TableZeros(Zeros):
    """Exactly the textbook's law, from tables.

    The n-th residues modulo ``n**2`` are the product of those modulo ``p**2`` and ``q**2``, cyclic
    of order ``p - 1`` and ``q - 1``. With generators of both, two exponents uniform below the
    orders give a uniform n-th residue.
    """

    def __init__(
        self, halves: tuple[Half, Half], crt: Crt, primitive_roots: tuple[int, int]
    ) -> None:
        self._halves = halves
        self._crt = crt
        self._roots = primitive_roots
        self._lock = Lock()
        self.gains_by_threads = engine().products_release_lock

    def prepare(self) -> None:
        """Build the tables."""
        with self._lock:
            self._tables  # noqa: B018

    def draw(self, count: int) -> Words:
        """Draw by two exponents."""
        self.prepare()
        residues = [
            table.powers(sampling.below(half.prime - 1, count), n_jobs=1)
            for table, half in zip(self._tables, self._halves, strict=True)
        ]
        return self._crt.join_pairs(*residues, n_jobs=1)

    @cached_property
    def _tables(self) -> list[PowerTable]:
        return [
            half.residue_table(root) for half, root in zip(self._halves, self._roots, strict=True)
        ]


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

    def draw(self, count: int) -> Words:
        """Draw units and decrypt them."""
        units = self._public_key.random_units(count)
        logarithms = [half.logarithms(units, -1) for half in self._halves]
        return np.hstack([units, self._crt.join(*logarithms, n_jobs=1)])


class ShortExponentZeros(Zeros):
    """Powers of one secret base with short exponents, after Damgard, Jurik and Nielsen (2010).

    ``h = x**2 mod n`` for a uniform unit x, and a zero is ``(h**n)**alpha`` with alpha uniform
    below ``2**short_exponent_bits(key_bits)``. (The authors take ``-x**2`` with primes that are 3
    modulo 4. As ``1 + m * n`` is a square, squares do for all primes: times a uniform one it hides
    m under the textbook's assumption alone.)

    **Assumption beyond Paillier's:** nobody without p and q can tell such powers from uniform
    squares of n-th residues. That takes two things: short exponents look like exponents uniform
    below the order of h (a discrete-logarithm assumption in a group of unknown order), and the
    group that h generates looks like all squares (it is all but a small factor of them, which the
    cofactors of the primes decide; the authors' keys have no such factor). In groups of prime order
    the first is as hard as finding short exponents (T. Koshiba, K. Kurosawa, PKC 2004); that is no
    proof for this group. The base stays secret here, which leaves an attacker less than the
    authors' public one. Somebody who knows p and q can tell powers from squares: never use this to
    re-randomise.
    """

    def __init__(self, public_key: PaillierPublicKey, halves: tuple[Half, Half], crt: Crt) -> None:
        self._public_key = public_key
        self._halves = halves
        self._crt = crt
        self._bits = short_exponent_bits(public_key.key_bits)
        self._lock = Lock()
        self.gains_by_threads = engine().products_release_lock

    def prepare(self) -> None:
        """Draw the base and build the tables."""
        with self._lock:
            self._tables  # noqa: B018

    def draw(self, count: int) -> Words:
        """Draw by one short exponent."""
        self.prepare()
        exponents = sampling.below(1 << self._bits, count)
        residues = [table.powers(exponents, n_jobs=1) for table in self._tables]
        return self._crt.join_pairs(*residues, n_jobs=1)

    @cached_property
    def _tables(self) -> list[PowerTable]:
        n = mpz(self._public_key.n)
        (x,) = wide.to_mpz(self._public_key.random_units(1))
        base = int(gmpy2.powmod(x * x % n, n, n * n))
        return [half.table(base, self._bits) for half in self._halves]


def short_exponent_bits(key_bits: int) -> int:
    """Return the length of short exponents: 320 bits at 2048, 384 at 3072, 448 at 4096.

    Generic discrete-logarithm algorithms take ``2**(bits / 2)`` steps, so this leaves a margin of
    some 50 bits over the strength of the modulus. At most 33 of them could be lost to the cofactors
    of the two primes (P. van Oorschot, M. Wiener, EUROCRYPT 1996), and only to somebody who knew
    the cofactors.
    """
    return 320 + 64 * max(0, -(-(key_bits - 2048) // 1024))
