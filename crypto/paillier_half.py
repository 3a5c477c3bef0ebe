"""Arithmetic modulo the square of one of the two primes, for their owner."""

from functools import cached_property

import gmpy2
from gmpy2 import mpz

from crypto.kernels import engine
from crypto.kernels.power_table import PowerTable
from crypto.primes import KnownPrime
from crypto.wide import Words


class Half:
    """One prime's part of decryption and encryption.

    Parameters
    ----------
    prime : KnownPrime
    other : int
        The other prime.
    """

    def __init__(self, prime: KnownPrime, other: int) -> None:
        self.prime = prime.value
        self._root = prime.primitive_root
        self._modulus = engine().modulus(prime.value)
        # 1 / L((1 + n)**(prime - 1)), since (1 + n)**(prime - 1) = 1 - n modulo the square
        self._scale = int(gmpy2.invert(-other, prime.value))

    def logarithms(self, numbers: Words, sign: int, n_jobs: int) -> Words:
        """Decrypt modulo the prime.

        Parameters
        ----------
        numbers : array of shape (count, any), uint64
            Units modulo n.
        sign : int
            -1 gives the negated plaintexts.

        Returns
        -------
        array of shape (count, words), uint64
        """
        # number**(prime - 1) = 1 + L * prime, which as a pair is [1 | L].
        powers = self._modulus.power_pairs(numbers, self.prime - 1, n_jobs=n_jobs)
        logarithms = powers[:, self._modulus.words :]
        return self._modulus.scale(logarithms, sign * self._scale % self.prime, n_jobs=n_jobs)

    @cached_property
    def residue_table(self) -> PowerTable | None:
        """Powers of a generator of the n-th residues, a group of order ``prime - 1``.

        None if no primitive root is known.
        """
        if self._root is None:
            return None
        generator = gmpy2.powmod(self._root, self.prime, mpz(self.prime) ** 2)
        return self.table(int(generator), self.prime.bit_length())

    def table(self, base: int, exponent_bits: int) -> PowerTable:
        """Tabulate the powers of a unit modulo the square."""
        return PowerTable(self._modulus, base % self.prime**2, exponent_bits)
