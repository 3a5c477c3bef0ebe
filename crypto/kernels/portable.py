"""The compiled engine for any CPU: 64-bit limbs, one product at a time, threads without the GIL."""

from functools import cache, cached_property
from typing import ClassVar, TypeVar

import numba
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import compiles, prepare
from crypto.kernels.engine import Engine, SquareModulus
from crypto.kernels.portable_limbs import BLOCK, negative_inverse
from crypto.kernels.portable_pairs import Field
from crypto.kernels.portable_powers import raise_all, shift_and_multiply
from crypto.kernels.portable_sums import finish, fold
from crypto.kernels.threads import over_ranges
from crypto.wide import Words

LENGTH_BYTES = 4
"""Enough for the number of rows in a segment."""
PARTS_PER_JOB = 16
"""A long segment is cut so that its parts can be spread evenly over threads."""
SHORTEST_PART = 64
"""Rows below which a segment is not cut: a merge costs as much as a row or two."""


Item = TypeVar("Item", np.uint64, np.int64)


class PortableEngine(Engine):
    """Kernels that numba compiles for the CPU at hand."""

    name: ClassVar[str] = "portable"

    @classmethod
    def available(cls) -> bool:
        """Tell whether numba compiles: the kernels contain instructions that Python lacks."""
        return compiles()

    def __init__(self) -> None:
        _load_kernels()

    def modulus(self, root: int) -> SquareModulus:
        """Prepare for arithmetic modulo ``root**2``."""
        return PortableSquareModulus(root)


class PortableSquareModulus(SquareModulus):
    """Arithmetic modulo ``root**2`` in pairs; see `portable_pairs`."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.words = wide.words_for(root.bit_length())

    def segment_products(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up, one product per segment; long segments are split between threads."""
        lengths = np.diff(starts)
        longest = len(rows)
        if n_jobs > 1:
            longest = max(-(-longest // (n_jobs * PARTS_PER_JOB)), SHORTEST_PART)
        part_starts, segment_parts = _split(starts, longest)
        n_parts, width = len(part_starts) - 1, self._width
        products = np.empty((n_parts, 2, width + 1), dtype=np.uint64)
        sums = np.empty((n_parts, width + 1), dtype=np.uint64)
        residues = np.empty((len(lengths), 2 * self.words), dtype=np.uint64)
        pairs, rows = _plain(pairs), _plain(rows)
        field = self._field

        # parts at which equal shares of the rows begin
        shares = np.searchsorted(part_starts, np.linspace(0, len(rows), n_jobs + 1))

        def multiply(first: int, last: int) -> None:
            fold(field, pairs, rows, part_starts, shares[first], shares[last], products, sums)

        def merge(first: int, last: int) -> None:
            finish(field, products, sums, segment_parts, lengths, first, last, residues)

        over_ranges(multiply, n_jobs, n_jobs)
        over_ranges(merge, len(lengths), n_jobs)
        return residues

    def powers(self, residues: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise each residue to the same power."""
        powers = np.zeros_like(residues)
        if not exponent:
            powers[:, 0] = 1
            return powers
        window = _window_bits(exponent.bit_length())
        digits = _digits(exponent, window)
        residues = _plain(residues)
        field = self._field

        def work(first: int, last: int) -> None:
            raise_all(field, residues, digits, window, first, last, powers)

        over_ranges(work, len(residues), n_jobs)
        return powers

    def horner(self, residues: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Shift by squarings and multiply, highest slot first."""
        n_groups = -(-len(residues) // slots)
        packed = np.empty((n_groups, 2 * self.words), dtype=np.uint64)
        residues = _plain(residues)
        field = self._field

        def work(first: int, last: int) -> None:
            shift_and_multiply(field, residues, slots, shift_bits, first, last, packed)

        over_ranges(work, n_groups, n_jobs)
        return packed

    @property
    def _width(self) -> int:
        """Limbs of a number in the kernels."""
        return BLOCK * max(2, -(-self.words // BLOCK))

    @cached_property
    def _field(self) -> Field:
        root, width = self.root, self._width
        radix, square = mpz(1) << (wide.WORD_BITS * width), mpz(root) ** 2

        def array(number: int | mpz) -> Words:
            limbs: Words = wide.from_integers([number], width)[0]
            return limbs

        powers, step = [], radix % square
        for _ in range(LENGTH_BYTES):
            power = radix % square
            for _ in range(256):
                powers.append(power)
                power = power * step % square
            step = pow(step, 256, square)
        return Field(
            root=array(root),
            inverse=negative_inverse(root),
            words=self.words,
            zero=array(0),
            one=array(1),
            radix=array(radix**2 % root),
            enter=_pairs([radix**2 % square, radix**3 % square], root, width),
            radix_powers=_pairs(powers, root, width).reshape(LENGTH_BYTES, 256, 2, width + 1),
        )


def _plain(array: NDArray[Item]) -> NDArray[Item]:
    """Copy what is strided, unaligned or read-only: numba would compile anew for each of them."""
    return np.require(array, requirements=["C", "A", "W"])


def _pairs(residues: list[mpz], root: int, width: int) -> Words:
    """Write residues as ``A - B * root``, shape (count, 2, width + 1)."""
    halves = [half for residue in residues for half in (residue % root, -(residue // root) % root)]
    return wide.from_integers(halves, width + 1).reshape(-1, 2, width + 1)


def _window_bits(exponent_bits: int) -> int:
    """Choose the window with the fewest products, those for its table included."""
    return min(range(1, 9), key=lambda bits: (1 << bits) + exponent_bits // bits)


def _digits(exponent: int, window: int) -> NDArray[np.int64]:
    """Write an exponent in base ``2**window``, the highest digit first."""
    digits = []
    while exponent:
        exponent, digit = divmod(exponent, 1 << window)
        digits.append(digit)
    return np.array(digits[::-1], dtype=np.int64)


def _split(starts: NDArray[np.int64], longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut segments into parts of at most `longest` rows.

    Returns
    -------
    part_starts : array of shape (n_parts + 1,), int64
        First row of each part, and the end; no part is empty.
    segment_parts : array of shape (n_segments + 1,), int64
        First part of each segment, and the end.
    """
    pieces = -(-np.diff(starts) // max(longest, 1))
    segment_parts = np.concatenate([[0], np.cumsum(pieces)])
    piece = np.arange(segment_parts[-1]) - np.repeat(segment_parts[:-1], pieces)
    part_starts = np.repeat(starts[:-1], pieces) + piece * longest
    return np.append(part_starts, starts[-1]), segment_parts


@cache
def _load_kernels() -> None:
    """Load the kernels from the cache, or compile them, for the types of every modulus."""
    example = PortableSquareModulus(3)._field
    field = numba.typeof(example)  # type: ignore[no-untyped-call]
    matrix, cube = (numba.types.Array(numba.uint64, n, "C") for n in (2, 3))
    integer = numba.int64
    numbers = numba.types.Array(integer, 1, "C")
    prepare(
        "portable",
        [
            (fold, (field, matrix, numbers, numbers, integer, integer, cube, matrix)),
            (finish, (field, cube, matrix, numbers, numbers, integer, integer, matrix)),
            (raise_all, (field, matrix, numbers, integer, integer, integer, matrix)),
            (shift_and_multiply, (field, matrix, integer, integer, integer, integer, matrix)),
        ],
    )
