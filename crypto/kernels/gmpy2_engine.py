"""The engine that runs everywhere: a loop over GMP integers.

gmpy2 releases the GIL inside its list powers, so these use threads; plain products hold it, so
`n_jobs` changes nothing for `segment_products` and for tables.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import ClassVar

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from crypto import wide
from crypto.kernels.engine import Engine, FixedBase, SquareModulus
from crypto.residues import to_pairs
from crypto.wide import Words

# Digits of fixed-base exponents. Measured at 2048 bits for both primes together: with 8 bits 242 us
# a number and 27 MB of tables; 9 bits 232 us (1.8 times the memory), 10 bits 228 us (3.2 times).
# A digit of 8 bits is a byte.
WINDOW_BITS = 8


class Gmpy2Engine(Engine):
    """Loops over gmpy2 integers."""

    name: ClassVar[str] = "gmpy2"

    @classmethod
    def available(cls) -> bool:
        """Tell whether this machine can run the engine: gmpy2 is a hard dependency."""
        return True

    def modulus(self, root: int) -> SquareModulus:
        """Prepare for arithmetic modulo ``root**2``."""
        return Gmpy2SquareModulus(root)


class Gmpy2SquareModulus(SquareModulus):
    """Arithmetic modulo ``root**2`` with gmpy2."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.words = wide.words_for(root.bit_length())
        self._root = mpz(root)
        self._square = self._root * self._root

    def segment_products(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up, one product per segment, on one thread."""
        if rows.shape[0] < pairs.shape[0]:  # do not convert what is not needed
            used, rows = np.unique(rows, return_inverse=True)
            pairs = pairs[used]
        low, high = wide.to_mpz(pairs[:, : self.words]), wide.to_mpz(pairs[:, self.words :])
        square, root = self._square, self._root
        bounds, row_list = starts.tolist(), rows.tolist()
        products = []
        for start, end in pairwise(bounds):
            segment = row_list[start:end]
            product = mpz(1)
            for row in segment:
                product = product * low[row] % square
            total = sum(map(high.__getitem__, segment)) % root
            products.append(product * (1 + total * root) % square)
        return self._words_of(products)

    def powers(self, residues: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise each residue to the same power, in threads."""
        return self._words_of(self._raise(wide.to_mpz(residues), mpz(exponent), n_jobs))

    def horner(self, residues: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Shift and multiply, highest slot first, all groups side by side."""
        numbers = wide.to_mpz(residues)
        products = numbers[slots - 1 :: slots]
        # The last group may be short: its product begins at a lower slot.
        n_groups = -(-len(numbers) // slots)
        products += [mpz(1)] * (n_groups - len(products))
        shift = mpz(1) << shift_bits
        for slot in range(slots - 2, -1, -1):
            products = self._raise(products, shift, n_jobs)
            for group, number in enumerate(numbers[slot::slots]):
                products[group] = products[group] * number % self._square
        return self._words_of(products)

    def fixed_base(self, base: int, exponent_bits: int) -> FixedBase:
        """Build tables for powers of one secret base."""
        return Gmpy2FixedBase(self, mpz(base), exponent_bits)

    def _raise(self, numbers: list[mpz], exponent: mpz, n_jobs: int) -> list[mpz]:
        def work(part: list[mpz]) -> list[mpz]:
            raised: list[mpz] = gmpy2.powmod_base_list(part, exponent, self._square)
            return raised

        return in_threads(work, numbers, n_jobs)

    def _words_of(self, residues: list[mpz]) -> Words:
        return wide.from_integers(residues, 2 * self.words)


class Gmpy2FixedBase(FixedBase):
    """One table of 256 powers per byte of the exponent, its entries in pair form.

    ``base**e = prod(base**(digit[k] * 256**k))``: one short product per byte and no squaring. The
    ``t`` of the entries only add up.
    """

    def __init__(self, modulus: Gmpy2SquareModulus, base: mpz, exponent_bits: int) -> None:
        self._modulus = modulus
        self._bytes = -(-exponent_bits // WINDOW_BITS)
        root, square = mpz(modulus.root), mpz(modulus.root) ** 2
        self._low: list[list[mpz]] = []
        self._high: list[list[mpz]] = []
        for _ in range(self._bytes):
            entries = [mpz(1)]
            for _ in range((1 << WINDOW_BITS) - 1):
                entries.append(entries[-1] * base % square)
            low, high = to_pairs(entries, root)
            self._low.append(low)
            self._high.append(high)
            base = entries[-1] * base % square

    def powers(self, exponents: Words, *, n_jobs: int) -> Words:
        """Raise the base to many exponents, on one thread."""
        root = mpz(self._modulus.root)
        square = root * root
        data = np.ascontiguousarray(exponents, dtype="<u8").view(np.uint8)[:, : self._bytes]
        powers = []
        for digits in data:
            key = digits.tobytes()
            product, total = mpz(1), mpz(0)
            for low, digit in zip(self._low, key, strict=True):
                product = product * low[digit] % square
            for high, digit in zip(self._high, key, strict=True):
                total += high[digit]
            powers.append(product * (1 + total % root * root) % square)
        return wide.from_integers(powers, 2 * self._modulus.words)


def in_threads(
    work: Callable[[list[mpz]], list[mpz]], numbers: list[mpz], n_jobs: int
) -> list[mpz]:
    """Split a list over threads; the work must release the GIL to gain by it."""
    n_jobs = max(1, min(n_jobs, len(numbers)))
    if n_jobs == 1:
        return work(numbers)
    size = -(-len(numbers) // n_jobs)
    parts = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    with ThreadPoolExecutor(len(parts)) as pool:
        return [result for part in pool.map(work, parts) for result in part]
