"""The engine for CPUs with AVX-512 IFMA: eight numbers at a time.

Modulo ``m**2`` nothing is longer than m: numbers are pairs, see `crypto.kernels.ifma_emit`. This
file plans the work, splits it over threads, and calls the compiled kernels, which hold no lock of
Python's.
"""

from dataclasses import dataclass
from functools import cache
from math import gcd, prod
from threading import Lock
from typing import ClassVar

import llvmlite.binding
import numba
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import prepare
from crypto.kernels import ifma_crt, ifma_numbers, ifma_powers, ifma_settle, ifma_sums
from crypto.kernels.arrays import frozen
from crypto.kernels.crt import Crt
from crypto.kernels.engine import Engine, SquareModulus
from crypto.kernels.ifma_constants import IfmaConstants
from crypto.kernels.ifma_crt import IfmaCrt
from crypto.kernels.ifma_emit import LANES
from crypto.kernels.threads import over_ranges
from crypto.wide import Words

INSTRUCTIONS = ("avx512f", "avx512dq", "avx512ifma")
LEAST_PART = 64
"""Rows below which a segment is not cut: a merge costs as much as a row or two."""
LEAST_ROWS, LEAST_NUMBERS = 2000, 200
"""What is worth a thread: half a millisecond of products, or of the work on each result."""
PARTS = 16
"""No part exceeds this fraction of a thread's rows, so that no lane runs alone for long."""


class IfmaEngine(Engine):
    """AVX-512 IFMA."""

    name: ClassVar[str] = "ifma"

    @classmethod
    def available(cls) -> bool:
        """Tell whether numba compiles and this CPU has the instructions.

        Where it lacks them no kernel may even be compiled: LLVM would end the process.
        """
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return False
        features = llvmlite.binding.get_host_cpu_features()
        return all(features.get(name, False) for name in INSTRUCTIONS)

    def __init__(self) -> None:
        _load_kernels()

    def modulus(self, root: int) -> SquareModulus:
        """Prepare for arithmetic modulo ``root**2``."""
        return IfmaSquareModulus(root)

    def crt(self, p: int, q: int) -> Crt:
        """Prepare for the Chinese remainder theorem modulo two primes."""
        return IfmaCrt(p, q) if IfmaCrt.fits(p, q) else Crt(p, q)


class IfmaSquareModulus(SquareModulus):
    """Arithmetic modulo ``root**2``, eight numbers at a time."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.words = wide.words_for(root.bit_length())
        self._constants = IfmaConstants(root)
        self._powers_of_radix: Words = np.empty((0, 0, 0), dtype=np.uint64)
        self._lock = Lock()

    def segment_products(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up, one product per segment, as residues."""
        values, totals = self._multiply_segments(pairs, rows, starts, n_jobs)
        return ifma_settle.to_residues(self._constants, values, totals, self.words)

    def segment_pairs(
        self,
        pairs: Words,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        *,
        n_jobs: int,
    ) -> Words:
        """Multiply pairs up, one product per segment."""
        values, totals = self._multiply_segments(pairs, rows, starts, n_jobs)
        return ifma_settle.to_pairs(self._constants, values, totals, self.words, n_jobs)

    def _multiply_segments(
        self, pairs: Words, rows: NDArray[np.int64], starts: NDArray[np.int64], n_jobs: int
    ) -> tuple[Words, Words]:
        """Return the product of the a's as lazy pairs, and the sum of the t's in words."""
        constants = self._constants
        table, words = _padded(pairs, self.words)
        table, rows = frozen(table), frozen(rows)
        tasks = Tasks.cut(starts, n_jobs)
        lengths = np.diff(starts)
        products = np.empty((len(tasks.starts), 2 * constants.limbs), dtype=np.uint64)
        sums = np.empty((len(tasks.starts), 2, words), dtype=np.uint64)
        values = np.empty((len(lengths), 2 * constants.limbs), dtype=np.uint64)
        totals = np.empty((len(lengths), words + 1), dtype=np.uint64)
        corrections = self._corrections(int(lengths.max(initial=0)))

        def stream(job: int, _: int) -> None:
            # Longest first, dealt out in turn: all threads get about the same.
            mine = np.ascontiguousarray(tasks.order[job::n_threads])
            arguments = (table, words, rows, tasks.starts, tasks.lengths, mine)
            workspace = constants.workspace(ifma_sums.SLOTS)
            ifma_sums.multiply_rows(workspace, constants.limbs, *arguments, products)
            ifma_sums.add_rows(*arguments, sums)

        def merge(first: int, end: int) -> None:
            workspace = constants.workspace(ifma_sums.SLOTS)
            ifma_sums.merge_parts(
                workspace,
                constants.limbs,
                products,
                sums,
                tasks.parts,
                lengths,
                corrections,
                first,
                end,
                values,
                totals,
            )

        n_threads = max(1, min(n_jobs, len(tasks.starts) // LANES, len(rows) // LEAST_ROWS))
        over_ranges(stream, n_threads, n_threads)
        over_ranges(merge, len(lengths), n_jobs, multiple=LANES, least=LEAST_NUMBERS)
        return values, totals

    def powers(self, residues: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise each residue to the same power, as residues."""
        values = self._raise(residues, exponent, n_jobs)
        return ifma_settle.to_residues(self._constants, values, _zeros(values), self.words)

    def power_pairs(self, numbers: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise numbers to the same power."""
        values = self._raise(numbers, exponent, n_jobs)
        return ifma_settle.to_pairs(self._constants, values, _zeros(values), self.words, n_jobs)

    def horner(self, residues: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Shift and multiply, highest slot first, from residues to residues."""
        values = self._shift(residues, False, slots, shift_bits, n_jobs)
        return ifma_settle.to_residues(self._constants, values, _zeros(values), self.words)

    def horner_pairs(self, pairs: Words, slots: int, shift_bits: int, *, n_jobs: int) -> Words:
        """Shift and multiply, highest slot first."""
        values = self._shift(pairs, True, slots, shift_bits, n_jobs)
        return ifma_settle.to_pairs(self._constants, values, _zeros(values), self.words, n_jobs)

    def _shift(
        self, numbers: Words, are_pairs: bool, slots: int, shift_bits: int, n_jobs: int
    ) -> Words:
        constants = self._constants
        outputs = -(-len(numbers) // slots)
        filled = np.zeros((outputs * slots, 2 * self.words), dtype=np.uint64)
        filled[: len(numbers)] = numbers
        filled[len(numbers) :, 0] = 1  # the last output is over what is left: fill up with ones
        values = np.empty((outputs, 2 * constants.limbs), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            workspace = constants.workspace(ifma_powers.HORNER_SLOTS)
            ifma_powers.shift_and_multiply(
                workspace,
                constants.limbs,
                filled,
                are_pairs,
                slots,
                shift_bits,
                first,
                end,
                values,
            )

        over_ranges(work, outputs, n_jobs, multiple=LANES)
        return values

    def scale(self, numbers: Words, factor: int, *, n_jobs: int) -> Words:
        """Multiply numbers below the root by a constant, modulo the root."""
        constants = self._constants
        numbers = frozen(numbers)
        products = np.empty((len(numbers), self.words), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            workspace = constants.workspace(ifma_numbers.SLOTS)
            constants.set(workspace, ifma_numbers.OTHER, factor * constants.radix % self.root)
            ifma_numbers.scale_all(
                workspace, constants.limbs, numbers[first:end], products[first:end]
            )

        over_ranges(work, len(numbers), n_jobs, multiple=LANES)
        return products

    def root_powers(self, numbers: Words, exponent: int, *, n_jobs: int) -> Words:
        """Raise numbers to the same power, modulo the root."""
        constants = self._constants
        numbers = self._enterable(numbers)
        window = ifma_powers.window_bits(exponent.bit_length())
        digits = ifma_powers.exponent_digits(exponent, window)
        powers = np.empty((len(numbers), self.words), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            workspace = constants.workspace(ifma_powers.TABLE + (1 << window))
            ifma_powers.raise_modulo_root(
                workspace, constants.limbs, numbers[first:end], digits, window, powers[first:end]
            )

        over_ranges(work, len(numbers), n_jobs, multiple=LANES)
        return powers

    def all_units(self, numbers: Words, *, n_jobs: int) -> bool:
        """Tell whether no number below the root shares a factor with it."""
        constants = self._constants
        numbers = frozen(numbers)

        def work(first: int, end: int) -> int:
            workspace = constants.workspace(ifma_numbers.SLOTS)
            ifma_numbers.multiply_all(workspace, constants.limbs, numbers[first:end])
            return prod(constants.get_lanes(workspace, ifma_numbers.OTHER))

        # R is a power of two and the root is odd, so powers of R change nothing.
        products = over_ranges(work, len(numbers), n_jobs, multiple=LANES, least=LEAST_ROWS)
        return gcd(prod(products), self.root) == 1

    def _raise(self, numbers: Words, exponent: int, n_jobs: int) -> Words:
        constants = self._constants
        numbers = self._enterable(numbers)
        window = ifma_powers.window_bits(exponent.bit_length())
        digits = ifma_powers.exponent_digits(exponent, window)
        values = np.empty((len(numbers), 2 * constants.limbs), dtype=np.uint64)

        def work(first: int, end: int) -> None:
            workspace = constants.workspace(ifma_powers.TABLE + (2 << window))
            ifma_powers.raise_all(
                workspace, constants.limbs, numbers[first:end], digits, window, values[first:end]
            )

        over_ranges(work, len(numbers), n_jobs, multiple=LANES)
        return values

    def _enterable(self, numbers: Words) -> Words:
        """Return numbers modulo ``root**2`` that are below ``R**2``, as kernels take them."""
        if wide.first_not_below(numbers, self._constants.radix**2) is not None:
            square = mpz(self.root) ** 2  # far too long, as with primes of unequal length
            numbers = wide.from_integers([x % square for x in wide.to_mpz(numbers)], 2 * self.words)
        return frozen(numbers)

    def _corrections(self, length: int) -> Words:
        """Return tables of powers of R with exponents up to `length`.

        Returns
        -------
        array of shape (levels, 256, 2 * limbs), uint64
            Level l holds ``R**(i * 256**l)``, the levels above the lowest in Montgomery form.
        """
        constants = self._constants
        levels = max(1, -(-length.bit_length() // ifma_sums.LEVEL_BITS))
        with self._lock:
            if len(self._powers_of_radix) < levels:
                self._powers_of_radix = np.stack(
                    [constants.powers_of_radix(level) for level in range(levels)]
                )
            return self._powers_of_radix[:levels]


@dataclass(frozen=True)
class Tasks:
    """Segments cut into parts, one for a lane at a time.

    Attributes
    ----------
    starts, lengths : arrays of shape (n_parts,), int64
        Rows of each part.
    parts : array of shape (n_segments + 1,), int64
        Segment s has the parts ``parts[s]`` to ``parts[s + 1] - 1``, at least one.
    order : array of shape (n_parts,), int64
        Parts, longest first.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    parts: NDArray[np.int64]
    order: NDArray[np.int64]

    @classmethod
    def cut(cls, starts: NDArray[np.int64], n_jobs: int) -> "Tasks":
        """Cut segments so that `n_jobs` threads of eight lanes are busy to the end."""
        lengths = np.diff(starts)
        longest = max(LEAST_PART, -(-int(starts[-1]) // (PARTS * max(1, n_jobs))))
        counts = np.maximum(1, -(-lengths // longest))
        parts = np.concatenate([[0], np.cumsum(counts)])
        within = np.arange(parts[-1]) - np.repeat(parts[:-1], counts)
        begins = np.repeat(starts[:-1], counts) + within * longest
        ends = np.minimum(begins + longest, np.repeat(starts[1:], counts))
        return cls(begins, ends - begins, parts, np.argsort(begins - ends, kind="stable"))


def _zeros(values: Words) -> Words:
    """Return zeros to add to the t of values."""
    return np.zeros((len(values), 1), dtype=np.uint64)


def _padded(pairs: Words, words: int) -> tuple[Words, int]:
    """Return pairs whose halves are a multiple of eight words wide, copied only if need be."""
    width = -(-words // LANES) * LANES
    if width == words:
        return pairs, words
    padded = np.zeros((len(pairs), 2 * width), dtype=np.uint64)
    padded[:, :words] = pairs[:, :words]
    padded[:, width : width + words] = pairs[:, words:]
    return padded, width


@cache
def _load_kernels() -> None:
    """Load the kernels from the cache, or compile them."""
    integer = numba.int64
    integers = numba.types.Array(integer, 1, "C")
    vector, matrix, cube = (numba.types.Array(numba.uint64, n, "C") for n in (1, 2, 3))
    rows = numba.types.Array(integer, 1, "C", readonly=True)
    numbers = numba.types.Array(numba.uint64, 2, "C", readonly=True)
    space = (vector, integer)
    tasks = (numbers, integer, rows, *[integers] * 3)
    parts = (integers, integers, cube, integer, integer)
    prepare(
        "ifma",
        [
            (ifma_sums.multiply_rows, (*space, *tasks, matrix)),
            (ifma_sums.add_rows, (*tasks, cube)),
            (ifma_sums.merge_parts, (*space, matrix, cube, *parts, matrix, matrix)),
            (ifma_settle.multiply_up, (*space, matrix, matrix, cube)),
            (ifma_settle.multiply_down, (*space, numbers, matrix, cube)),
            (ifma_powers.raise_all, (*space, numbers, integers, integer, matrix)),
            (ifma_powers.raise_modulo_root, (*space, numbers, integers, integer, matrix)),
            (
                ifma_powers.shift_and_multiply,
                (*space, matrix, numba.boolean, *[integer] * 4, matrix),
            ),
            (ifma_numbers.scale_all, (*space, numbers, matrix)),
            (ifma_numbers.multiply_all, (*space, numbers)),
            (ifma_crt.scale_differences, (*space, numbers, numbers, matrix)),
            (ifma_crt.negate_high, (*space, numbers, numbers, matrix)),
            (ifma_crt.join_all, (*space, *space, numbers, numbers, matrix)),
        ],
    )
