"""What a compute engine must offer.

Paillier's hot arithmetic is all modulo the square of a number: n**2 with the public key, p**2 and
q**2 with the private one. An engine prepares its constants for one such modulus once
(`SquareModulus`) and then takes whole arrays of little-endian uint64 words:

=========  ========================  ==============================================================
name       shape                     meaning
=========  ========================  ==============================================================
residues   (count, 2 * words)        numbers modulo root**2
pairs      (count, 2 * words)        ``[a | t]`` with ``0 < a < root`` and ``0 <= t < root``, which
                                     stands for ``a * (1 + t * root)`` modulo root**2
exponents  (count, any)              unsigned
=========  ========================  ==============================================================

where ``words`` is what the root needs. An engine must offer products of pairs, powers and Horner's
rule with results as residues. The methods that give pairs have defaults on top of those, exact and
slower; an engine that works in pairs overrides them. An engine validates nothing: callers have.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from crypto import wide
from crypto.kernels.crt import Crt
from crypto.kernels.threads import over_ranges
from crypto.residues import pairs_to_words, words_to_pairs
from crypto.wide import Words


class Engine(ABC):
    """A way to compute modulo a square.

    Attributes
    ----------
    name : str
        What ``SECUREBOOST_ENGINE`` calls it.
    products_release_lock : bool
        Whether products of pairs run outside Python's lock, so that threads multiply faster
        together than one. Powers always do.
    """

    name: ClassVar[str]
    products_release_lock: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def available(cls) -> bool:
        """Tell whether this machine can run the engine."""

    @abstractmethod
    def modulus(self, root: int) -> "SquareModulus":
        """Prepare for arithmetic modulo ``root**2``.

        Parameters
        ----------
        root : int
            Odd.
        """

    def crt(self, p: int, q: int) -> Crt:
        """Prepare for the Chinese remainder theorem modulo two primes."""
        return Crt(p, q)


class SquareModulus(ABC):
    """Arithmetic modulo ``root**2``; safe to use from several threads.

    Attributes
    ----------
    root : int
    words : int
        Words of a number below `root`.
    """

    root: int
    words: int

    @abstractmethod
    def segment_products(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up, one product per segment.

        Parameters
        ----------
        pairs : array of shape (n_rows, 2 * words), uint64
        rows : array of shape (n,), int64
        starts : array of shape (n_segments + 1,), int64
            Segment ``s`` is ``rows[starts[s]:starts[s + 1]]``; an empty one gives 1.

        Returns
        -------
        residues, shape (n_segments, 2 * words)
        """

    @abstractmethod
    def powers(self, residues: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise each residue to the same power.

        Returns
        -------
        residues, shape (count, 2 * words)
        """

    @abstractmethod
    def horner(self, residues: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Evaluate ``prod(r[i * slots + j] ** 2**(shift_bits * j))`` for each group of `slots`.

        Returns
        -------
        residues, shape (ceil(count / slots), 2 * words)
            The last one is over what is left.
        """

    def segment_pairs(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up as `segment_products` does.

        Returns
        -------
        pairs, shape (n_segments, 2 * words)

        Raises
        ------
        ZeroDivisionError
            If a product is no unit.
        """
        return self._to_pairs(self.segment_products(pairs, rows, starts, n_jobs=n_jobs))

    def power_pairs(self, numbers: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise numbers to the same power.

        Parameters
        ----------
        numbers : array of shape (count, any), uint64
            Units.

        Returns
        -------
        pairs, shape (count, 2 * words)

        Raises
        ------
        ZeroDivisionError
            If a number is no unit.
        """
        square = mpz(self.root) ** 2
        reduced = [number % square for number in wide.to_mpz(numbers)]
        residues = wide.from_integers(reduced, 2 * self.words)
        return self._to_pairs(self.powers(residues, exponent, n_jobs=n_jobs))

    def horner_pairs(self, pairs: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Evaluate what `horner` does, from pairs to pairs.

        Returns
        -------
        pairs, shape (ceil(count / slots), 2 * words)

        Raises
        ------
        ZeroDivisionError
            If a product is no unit.
        """
        residues = pairs_to_words(pairs, self.root)
        return self._to_pairs(self.horner(residues, slots, shift_bits, n_jobs=n_jobs))

    def scale(self, numbers: Words, factor: int, *, n_jobs: int) -> Words:
        """Multiply numbers below the root by a constant, modulo the root.

        Parameters
        ----------
        numbers : array of shape (count, words), uint64

        Returns
        -------
        array of shape (count, words), uint64
        """
        root = mpz(self.root)
        products = [number * factor % root for number in wide.to_mpz(numbers)]
        return wide.from_integers(products, self.words)

    def root_powers(self, numbers: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise numbers to the same power, modulo the root.

        Parameters
        ----------
        numbers : array of shape (count, any), uint64
            They need not be below the root.

        Returns
        -------
        array of shape (count, words), uint64
        """
        powers = np.empty((len(numbers), self.words), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            # gmpy2 releases Python's lock in powers of lists.
            raised = gmpy2.powmod_base_list(
                wide.to_mpz(numbers[first:end]), mpz(exponent), mpz(self.root)
            )
            powers[first:end] = wide.from_integers(raised, self.words)

        over_ranges(work, len(numbers), n_jobs)
        return powers

    def all_units(self, numbers: Words, *, n_jobs: int) -> bool:
        """Tell whether no number below the root shares a factor with it.

        Parameters
        ----------
        numbers : array of shape (count, words), uint64
        """
        root, product = mpz(self.root), mpz(1)
        for number in wide.to_mpz(numbers):
            product = product * number % root
        return bool(gmpy2.gcd(product, root) == 1)

    def _to_pairs(self, residues: Words) -> Words:
        return words_to_pairs(residues, self.root)
