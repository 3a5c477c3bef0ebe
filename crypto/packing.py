"""Gradient and hessian in one plaintext, several histogram cells in one ciphertext.

A cell is ``g * 2**hessian_bits + h`` with ``h >= 0`` in the low bits and a signed ``g`` on top, no
offset. Sums of cells unpack exactly while ``sum(h) < 2**hessian_bits``. `slots` cells lie in one
plaintext::

      bit   3k            2k            k      hessian_bits    0
      |------ cell 2 ------|---- cell 1 ----|-- g 0 --|-- h 0 --|      k = cell_bits

A negative cell borrows from the one above it. Adding ``2**(k-1)`` to every cell makes all of them
non-negative, so that nothing borrows and each cell is a plain bit field again; that constant is
added after decryption, never under encryption.

The widths are proven, not guessed. With ``G = n_rows * max_gradient`` and
``H = n_rows * max_hessian``, the lengths ``hessian_bits = len(H)`` and
``cell_bits = hessian_bits + len(G) + 1`` give ``H < 2**hessian_bits`` and, because
``G + 1 <= 2**len(G)``::

    -2**(k-1)  <=  -G * 2**hessian_bits  <=  cell  <  (G + 1) * 2**hessian_bits  <=  2**(k-1)

and ``slots`` such cells sum to less than ``2**(k * slots)`` in magnitude. Either sum stays below
``2**62``, so a pair of gradient and hessian has at most 125 bits.

With several outputs (the classes of a multi-output tree) a cell is their pairs side by side, laid
out just as cells are: reading ``slots`` cells of ``m`` pairs is reading ``slots * m`` pairs. Where
the outputs do not fit one plaintext they are dealt out to as few as possible, `parts`, as evenly as
possible; pairs left over in the last part are zero.
"""

import dataclasses
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import kernel
from crypto.errors import CapacityError, CellRangeError, PlaintextError
from crypto.fixed_point import SUM_BITS
from crypto.scheme import Plaintexts


@dataclass(frozen=True)
class GradientPacking:
    """Widths that no sum of up to `n_rows` rows can exceed.

    Parameters
    ----------
    n_rows : int
        Most rows in one sum.
    max_gradient : int
        Largest magnitude of one row's integer gradient.
    max_hessian : int
        Largest integer hessian of one row; hessians are never negative.
    n_outputs : int
        Pairs of gradient and hessian of a row.
    outputs_per_cell : int, optional
        How many of them share a ciphertext; all by default. See `fitting`.

    Raises
    ------
    CapacityError
        If sums could leave 62 bits.
    """

    n_rows: int
    max_gradient: int
    max_hessian: int
    n_outputs: int = 1
    outputs_per_cell: int = 0

    def __post_init__(self) -> None:
        if self.outputs_per_cell == 0:
            object.__setattr__(self, "outputs_per_cell", self.n_outputs)
        for name, least in (
            ("n_rows", 1),
            ("max_gradient", 0),
            ("max_hessian", 0),
            ("n_outputs", 1),
            ("outputs_per_cell", 1),
        ):
            value = operator.index(getattr(self, name))
            # numpy's integers would overflow in the proof itself and cannot travel in a message
            object.__setattr__(self, name, value)
            if value < least:
                raise CapacityError(f"{name}={value} must be at least {least}")
        for name in ("max_gradient", "max_hessian"):
            largest = self.n_rows * getattr(self, name)
            if largest >> SUM_BITS:
                raise CapacityError(
                    f"sums could overflow: n_rows={self.n_rows} times {name}="
                    f"{getattr(self, name)} needs {largest.bit_length()} bits, more than "
                    f"{SUM_BITS}; use fewer fraction bits or fewer rows"
                )

    def fitting(self, plaintext_bits: int) -> "GradientPacking":
        """The same with the outputs dealt out to as few ciphertexts as hold them.

        Raises
        ------
        CapacityError
            If not even one fits.
        """
        one = dataclasses.replace(self, n_outputs=1, outputs_per_cell=1)
        parts = -(-self.n_outputs // one.cells_per_ciphertext(plaintext_bits))
        return dataclasses.replace(self, outputs_per_cell=-(-self.n_outputs // parts))

    @property
    def hessian_bits(self) -> int:
        """Bits for the sum of hessians, the low part of a pair."""
        return (self.n_rows * self.max_hessian).bit_length()

    @property
    def pair_bits(self) -> int:
        """Bits for the sums of one output."""
        return self.hessian_bits + (self.n_rows * self.max_gradient).bit_length() + 1

    @property
    def cell_bits(self) -> int:
        """Distance between cells in one plaintext, the `slot_bits` of `PublicKey.pack`."""
        return self.outputs_per_cell * self.pair_bits

    @property
    def parts(self) -> int:
        """Ciphertexts of one row."""
        return -(-self.n_outputs // self.outputs_per_cell)

    def cells_per_ciphertext(self, plaintext_bits: int) -> int:
        """Cells that fit one plaintext, the `slots` of `PublicKey.pack`.

        Raises
        ------
        CapacityError
            If not even one does.
        """
        cells = plaintext_bits // self.cell_bits
        if cells < 1:
            raise CapacityError(
                f"a cell of {self.cell_bits} bits (n_rows={self.n_rows}, max_gradient="
                f"{self.max_gradient}, max_hessian={self.max_hessian}) does not fit a plaintext "
                f"of {plaintext_bits} bits; use a longer key or fewer fraction bits"
            )
        return cells

    def pack(self, gradients: NDArray[np.int64]) -> Plaintexts:
        """Put each row's gradients and hessians into one plaintext, or `parts` of them.

        Parameters
        ----------
        gradients : array of shape (n, 2 * n_outputs), int64
            Gradient and hessian, output after output.

        Returns
        -------
        Plaintexts, shape (n * parts, words)
            The parts of a row next to each other.

        Raises
        ------
        PlaintextError
            If a row exceeds the magnitudes that the widths were proven for.
        """
        gradient, hessian = gradients[:, 0::2], gradients[:, 1::2]
        self._refuse_rows(
            (gradient > self.max_gradient) | (gradient < -self.max_gradient),
            f"the gradient exceeds max_gradient={self.max_gradient} in magnitude",
        )
        self._refuse_rows(hessian < 0, "the hessian is negative; the objective must be convex")
        self._refuse_rows(
            hessian > self.max_hessian, f"the hessian exceeds max_hessian={self.max_hessian}"
        )
        if self.n_outputs == 1:
            return wide.join(gradients[:, 0], gradients[:, 1], self.hessian_bits)
        padded = np.zeros((len(gradients), 2 * self.parts * self.outputs_per_cell), dtype=np.int64)
        padded[:, : gradients.shape[1]] = gradients
        pairs = padded.reshape(len(gradients) * self.parts, self.outputs_per_cell, 2)
        # a word above the highest field, so that writing across the border needs no case
        words = np.zeros((len(pairs), wide.words_for(self.cell_bits + 1) + 1), dtype=np.uint64)
        pack_pairs(pairs, self.hessian_bits, self.pair_bits, words)
        words = words[:, :-1]
        bias = _bias(self.pair_bits, self.outputs_per_cell)
        return wide.add_constant(words, (1 << (wide.WORD_BITS * words.shape[1])) - bias)

    def unpack(self, plaintexts: Plaintexts, n_cells: int, slots: int) -> NDArray[np.int64]:
        """Read the sums out of decrypted plaintexts.

        Parameters
        ----------
        plaintexts : Plaintexts, shape (parts * ceil(n_cells / slots), words)
            All of the first part, then all of the second, and so on. Each at least as wide as
            ``slots * cell_bits`` bits and a sign.
        n_cells : int
        slots : int
            Cells per plaintext; the last plaintext of a part holds what is left.

        Returns
        -------
        array of shape (n_cells, 2 * n_outputs), int64
            Sums of gradient and hessian, output after output.

        Raises
        ------
        CellRangeError
            If a cell, or what lies above the last cell of a plaintext, is outside the proven
            range. `position` is the cell's.
        CapacityError
            If the arguments do not belong together.
        """
        needed = -(-n_cells // slots)
        if len(plaintexts) != self.parts * needed:
            raise CapacityError(
                f"{n_cells} cells in {slots} slots need {self.parts * needed} plaintexts, "
                f"not {len(plaintexts)}"
            )
        if slots * self.cell_bits >= plaintexts.shape[1] * wide.WORD_BITS:
            raise CapacityError(
                f"slots={slots} of {self.cell_bits} bits do not fit plaintexts of "
                f"{plaintexts.shape[1] * wide.WORD_BITS} bits"
            )
        if n_cells == 0:
            return np.empty((0, 2 * self.n_outputs), dtype=np.int64)
        sums = [
            self._unpack_part(plaintexts[part * needed : (part + 1) * needed], n_cells, slots)
            for part in range(self.parts)
        ]
        joined = sums[0] if self.parts == 1 else np.concatenate(sums, axis=1)
        used = 2 * self.n_outputs
        surplus = joined[:, used:].any(axis=1)
        if surplus.any():
            raise self._bad_cell(int(surplus.argmax()), n_cells)
        return joined[:, :used]

    def _unpack_part(self, plaintexts: Plaintexts, n_cells: int, slots: int) -> NDArray[np.int64]:
        """Sums of the outputs that share these plaintexts, shape (n_cells, 2 * per cell)."""
        per_cell = self.outputs_per_cell
        sums = np.empty((n_cells * per_cell, 2), dtype=np.int64)
        bad = unpack_pairs(
            self._biased(plaintexts, n_cells * per_cell, slots * per_cell),
            slots * per_cell,
            self.hessian_bits,
            self.pair_bits,
            self.n_rows * self.max_gradient,
            self.n_rows * self.max_hessian,
            sums,
        )
        if bad >= 0:
            raise self._bad_cell(int(bad) // per_cell, n_cells)
        return sums.reshape(n_cells, 2 * per_cell)

    def _bad_cell(self, cell: int, n_cells: int) -> CellRangeError:
        return CellRangeError(
            f"cell {cell} of {n_cells} decrypts to a sum that {self.n_rows} rows cannot have "
            f"(max_gradient={self.max_gradient}, max_hessian={self.max_hessian}); the sender "
            "packed other numbers or with other widths",
            cell,
        )

    def _biased(self, plaintexts: Plaintexts, n_pairs: int, slots: int) -> wide.Words:
        """Add ``2**(pair_bits - 1)`` to every pair, and a zero word above each plaintext."""
        count, words = plaintexts.shape
        biased = np.zeros((count, words + 1), dtype=np.uint64)
        for part, pairs in (
            (slice(0, count - 1), slots),
            (slice(count - 1, count), n_pairs - (count - 1) * slots),
        ):
            biased[part, :words] = wide.add_constant(plaintexts[part], _bias(self.pair_bits, pairs))
        return biased

    @staticmethod
    def _refuse_rows(bad: NDArray[np.bool_], what: str) -> None:
        rows = bad.any(axis=1)
        if rows.any():
            position = int(rows.argmax())
            raise PlaintextError(f"row {position}: {what}", position)


def _bias(pair_bits: int, pairs: int) -> int:
    """``2**(pair_bits - 1)`` in each of so many pairs."""
    return sum(1 << (pair_bits * pair + pair_bits - 1) for pair in range(pairs))


@kernel
def pack_pairs(
    pairs: NDArray[np.int64], hessian_bits: int, pair_bits: int, words: NDArray[np.uint64]
) -> None:
    """Write pairs as bit fields, each with ``2**(pair_bits - 1)`` added, into zeros.

    Parameters
    ----------
    pairs : array of shape (count, pairs, 2), int64
        Gradient and hessian.
    words : array of shape (count, words + 1), uint64
        The last word of each row stays zero.
    """
    offset = np.int64(1) << np.int64(pair_bits - hessian_bits - 1)
    for i in range(pairs.shape[0]):
        for pair in range(pairs.shape[1]):
            start = pair * pair_bits
            _put(words[i], start, np.uint64(pairs[i, pair, 1]))
            _put(words[i], start + hessian_bits, np.uint64(pairs[i, pair, 0] + offset))


@kernel
def unpack_pairs(
    biased: NDArray[np.uint64],
    slots: int,
    hessian_bits: int,
    pair_bits: int,
    max_gradient_sum: int,
    max_hessian_sum: int,
    sums: NDArray[np.int64],
) -> int:
    """Split plaintexts, with the bias added, into pairs; see `GradientPacking.unpack`.

    Parameters
    ----------
    biased : array of shape (count, words + 1), uint64
        The last word of each row is zero: a field that begins below it may read it.
    slots : int
        Pairs per plaintext.
    sums : array of shape (n_pairs, 2), int64
        Written.

    Returns
    -------
    int
        Position of the first bad pair, or -1.
    """
    n_pairs: int = sums.shape[0]
    gradient_bits = pair_bits - hessian_bits
    offset = np.int64(1) << np.int64(gradient_bits - 1)
    for i in range(biased.shape[0]):
        first = i * slots
        end = min(first + slots, n_pairs)
        for pair in range(first, end):
            start = (pair - first) * pair_bits
            hessian = np.int64(_field(biased[i], start, hessian_bits))
            gradient = np.int64(_field(biased[i], start + hessian_bits, gradient_bits)) - offset
            if hessian > max_hessian_sum or abs(gradient) > max_gradient_sum:
                return pair
            sums[pair, 0] = gradient
            sums[pair, 1] = hessian
        if not _zero_from(biased[i], (end - first) * pair_bits):
            return end - 1
    return -1


@kernel
def _put(words: NDArray[np.uint64], start: int, value: np.uint64) -> None:
    """Write a field of less than 64 bits from bit `start` on, where there are zeros."""
    word, shift = start >> 6, np.uint64(start & 63)
    words[word] |= value << shift
    # In two steps, because a shift by 64 is undefined.
    words[word + 1] |= (value >> (np.uint64(63) - shift)) >> np.uint64(1)


@kernel
def _field(words: NDArray[np.uint64], start: int, bits: int) -> np.uint64:
    """Read `bits` (0 to 63) bits from bit `start` on."""
    word, shift = start >> 6, np.uint64(start & 63)
    # In two steps, because a shift by 64 is undefined.
    high = (words[word + 1] << (np.uint64(63) - shift)) << np.uint64(1)
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    field: np.uint64 = ((words[word] >> shift) | high) & mask
    return field


@kernel
def _zero_from(words: NDArray[np.uint64], start: int) -> bool:
    """Tell whether all bits from `start` up are zero."""
    word = start >> 6
    if words[word] >> np.uint64(start & 63):
        return False
    return not words[word + 1 :].any()
