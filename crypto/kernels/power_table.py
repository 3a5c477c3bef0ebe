"""Powers of one base from a table, for every engine.

``base**e = prod(base**(digit[k] * 256**k))`` over the bytes of e: one table entry per byte and no
squaring (Brickell, Gordon, McCurley, Wilson, EUROCRYPT 1992). The entries are pairs, so a power is
the product of one segment of the table.
"""

import numpy as np
from gmpy2 import mpz

from crypto import wide
from crypto.kernels.engine import SquareModulus
from crypto.residues import words_to_pairs
from crypto.wide import Words

# Measured with gmpy2 at 2048 bits for both primes together: with 8 bits 242 us a number and 27 MB
# of tables; 9 bits 232 us (1.8 times the memory), 10 bits 228 us (3.2 times). A digit of 8 bits is
# a byte.
DIGIT_BITS = 8
BLOCK = 4096
"""Powers at once: bounds the memory for row numbers."""


class PowerTable:
    """Table of powers of one secret base.

    Parameters
    ----------
    modulus : SquareModulus
    base : int
        A unit modulo ``root**2``.
    exponent_bits : int
    """

    def __init__(self, modulus: SquareModulus, base: int, exponent_bits: int) -> None:
        self._modulus = modulus
        self._bytes = -(-exponent_bits // DIGIT_BITS)
        square = mpz(modulus.root) ** 2
        power, entries = mpz(base), []
        for _ in range(self._bytes):
            entry = mpz(1)
            for _ in range(1 << DIGIT_BITS):
                entries.append(entry)
                entry = entry * power % square
            power = entry
        self._pairs = words_to_pairs(wide.from_integers(entries, 2 * modulus.words), modulus.root)

    def powers(self, exponents: Words, *, n_jobs: int) -> Words:
        """Raise the base to many exponents.

        Parameters
        ----------
        exponents : array of shape (count, any), uint64
            Each below ``2**exponent_bits``.

        Returns
        -------
        pairs, shape (count, 2 * words)
        """
        digits = np.ascontiguousarray(exponents, dtype="<u8").view(np.uint8)[:, : self._bytes]
        first_rows = np.arange(digits.shape[1], dtype=np.int64) << DIGIT_BITS
        powers = np.empty((len(digits), 2 * self._modulus.words), dtype=np.uint64)
        for first in range(0, len(digits), BLOCK):
            rows = digits[first : first + BLOCK] + first_rows
            starts = np.arange(len(rows) + 1, dtype=np.int64) * rows.shape[1]
            powers[first : first + BLOCK] = self._modulus.segment_pairs(
                self._pairs, rows.ravel(), starts, n_jobs=n_jobs
            )
        return powers
