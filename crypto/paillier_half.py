"""Arithmetic modulo the square of one of the two primes, for their owner."""

import gmpy2
from gmpy2 import mpz

from crypto.kernels import engine
from crypto.kernels.power_table import PowerTable
from crypto.wide import Words


class Half:
    """One prime's part of decryption and encryption.

    Parameters
    ----------
    prime, other : int
        The prime, and the other one.
    """

    def __init__(self, prime: int, other: int) -> None:
        self.prime = prime
        self._modulus = engine().modulus(prime)
        # 1 / L((1 + n)**(prime - 1)), since (1 + n)**(prime - 1) = 1 - n modulo the square
        self._scale = int(gmpy2.invert(-other, prime))

    def logarithms(self, numbers: Words, sign: int) -> Words:
        """Decrypt modulo the prime, on this thread.

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
        powers = self._modulus.power_pairs(numbers, self.prime - 1, n_jobs=1)
        logarithms = powers[:, self._modulus.words :]
        return self._modulus.scale(logarithms, sign * self._scale % self.prime, n_jobs=1)

    def residue_table(self, primitive_root: int) -> PowerTable:
        """Tabulate a generator of the n-th residues, a group of order ``prime - 1``."""
        generator = gmpy2.powmod(primitive_root, self.prime, mpz(self.prime) ** 2)
        return self.table(int(generator), self.prime.bit_length())

    def table(self, base: int, exponent_bits: int) -> PowerTable:
        """Tabulate the powers of a unit modulo the square."""
        return PowerTable(self._modulus, base % self.prime**2, exponent_bits)
