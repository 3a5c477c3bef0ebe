"""What a compute engine must offer.

Paillier's hot arithmetic is all modulo the square of a number: n**2 with the public key, p**2 and
q**2 with the private one. An engine prepares its constants for one such modulus once
(`SquareModulus`, `FixedBase`) and then takes whole arrays of little-endian uint64 words:

=========  ========================  ==============================================================
name       shape                     meaning
=========  ========================  ==============================================================
residues   (count, 2 * words)        numbers modulo root**2
pairs      (count, 2 * words)        ``[a | t]`` with ``0 < a < root`` and ``0 <= t < root``, which
                                     stands for ``a * (1 + t * root)`` modulo root**2
exponents  (count, any)              unsigned
=========  ========================  ==============================================================

where ``words`` is what the root needs. Number theory that is not hot (inverses, CRT, conversions
between residues and pairs, checks) stays outside, in `crypto.residues` and `crypto.paillier`. An
engine validates nothing: callers have.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crypto.wide import Words


class Engine(ABC):
    """A way to compute modulo a square.

    Attributes
    ----------
    name : str
        What ``SECUREBOOST_ENGINE`` calls it.
    """

    name: ClassVar[str]

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

    @abstractmethod
    def fixed_base(self, base: int, exponent_bits: int) -> "FixedBase":
        """Build tables for powers of one secret base."""


class FixedBase(ABC):
    """Tables of powers of one base modulo ``root**2``; safe to use from several threads."""

    @abstractmethod
    def powers(self, exponents: Words, *, n_jobs: int) -> Words:
        """Raise the base to many exponents.

        Parameters
        ----------
        exponents : array of shape (count, any), uint64
            Each below ``2**exponent_bits``.

        Returns
        -------
        residues, shape (count, 2 * words)
        """
