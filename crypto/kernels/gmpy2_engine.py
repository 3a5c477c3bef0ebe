"""The engine that runs everywhere: a loop over GMP integers.

gmpy2 releases the GIL inside its list powers, so these use threads; plain products hold it, so
`n_jobs` changes nothing for `segment_products`.
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
from crypto.kernels.engine import Engine, SquareModulus
from crypto.wide import Words


class Gmpy2Engine(Engine):
    """Loops over gmpy2 integers."""

    name: ClassVar[str] = "gmpy2"
    products_release_lock: ClassVar[bool] = False

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

    def _raise(self, numbers: list[mpz], exponent: mpz, n_jobs: int) -> list[mpz]:
        def work(part: list[mpz]) -> list[mpz]:
            raised: list[mpz] = gmpy2.powmod_base_list(part, exponent, self._square)
            return raised

        return in_threads(work, numbers, n_jobs)

    def _words_of(self, residues: list[mpz]) -> Words:
        return wide.from_integers(residues, 2 * self.words)


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
