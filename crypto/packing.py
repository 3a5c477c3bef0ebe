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
``2**62``, so a cell has at most 125 bits and travels in two words.
"""

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

    Raises
    ------
    CapacityError
        If sums could leave 62 bits.
    """

    n_rows: int
    max_gradient: int
    max_hessian: int

    def __post_init__(self) -> None:
        for name, least in (("n_rows", 1), ("max_gradient", 0), ("max_hessian", 0)):
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

    @property
    def hessian_bits(self) -> int:
        """Bits for the sum of hessians, the low part of a cell."""
        return (self.n_rows * self.max_hessian).bit_length()

    @property
    def cell_bits(self) -> int:
        """Distance between cells in one plaintext, the `slot_bits` of `PublicKey.pack`."""
        return self.hessian_bits + (self.n_rows * self.max_gradient).bit_length() + 1

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
        """Put each row's gradient and hessian into one plaintext.

        Parameters
        ----------
        gradients : array of shape (n, 2), int64
            Gradient and hessian.

        Returns
        -------
        Plaintexts, shape (n, 2)

        Raises
        ------
        PlaintextError
            If a row exceeds the magnitudes that the widths were proven for.
        """
        gradient, hessian = gradients[:, 0], gradients[:, 1]
        self._refuse_rows(
            (gradient > self.max_gradient) | (gradient < -self.max_gradient),
            f"the gradient exceeds max_gradient={self.max_gradient} in magnitude",
        )
        self._refuse_rows(hessian < 0, "the hessian is negative; the objective must be convex")
        self._refuse_rows(
            hessian > self.max_hessian, f"the hessian exceeds max_hessian={self.max_hessian}"
        )
        return wide.join(gradient, hessian, self.hessian_bits)

    def unpack(self, plaintexts: Plaintexts, n_cells: int, slots: int) -> NDArray[np.int64]:
        """Read the sums out of decrypted plaintexts.

        Parameters
        ----------
        plaintexts : Plaintexts, shape (ceil(n_cells / slots), words)
            Each at least as wide as ``slots * cell_bits`` bits and a sign.
        n_cells : int
        slots : int
            Cells per plaintext; the last plaintext holds what is left.

        Returns
        -------
        array of shape (n_cells, 2), int64
            Sums of gradient and hessian, lowest cell first.

        Raises
        ------
        CellRangeError
            If a cell, or what lies above the last cell of a plaintext, is outside the proven
            range. `position` is the cell's.
        CapacityError
            If the arguments do not belong together.
        """
        needed = -(-n_cells // slots)
        if len(plaintexts) != needed:
            raise CapacityError(
                f"{n_cells} cells in {slots} slots need {needed} plaintexts, not {len(plaintexts)}"
            )
        if slots * self.cell_bits >= plaintexts.shape[1] * wide.WORD_BITS:
            raise CapacityError(
                f"slots={slots} of {self.cell_bits} bits do not fit plaintexts of "
                f"{plaintexts.shape[1] * wide.WORD_BITS} bits"
            )
        sums = np.empty((n_cells, 2), dtype=np.int64)
        bad = unpack_cells(
            self._biased(plaintexts, n_cells, slots),
            slots,
            self.hessian_bits,
            self.cell_bits,
            self.n_rows * self.max_gradient,
            self.n_rows * self.max_hessian,
            sums,
        )
        if bad >= 0:
            raise CellRangeError(
                f"cell {bad} of {n_cells} decrypts to a sum that {self.n_rows} rows cannot have "
                f"(max_gradient={self.max_gradient}, max_hessian={self.max_hessian}); the sender "
                "packed other numbers or with other widths",
                int(bad),
            )
        return sums

    def _biased(self, plaintexts: Plaintexts, n_cells: int, slots: int) -> wide.Words:
        """Add ``2**(cell_bits - 1)`` to every cell, and a zero word above each plaintext."""
        count, words = plaintexts.shape
        half = 1 << (self.cell_bits - 1)
        biased = np.zeros((count, words + 1), dtype=np.uint64)
        for part, cells in (
            (slice(0, count - 1), slots),
            (slice(count - 1, count), n_cells - (count - 1) * slots),
        ):
            bias = sum(half << (self.cell_bits * j) for j in range(cells))
            biased[part, :words] = wide.add_constant(plaintexts[part], bias)
        return biased

    @staticmethod
    def _refuse_rows(bad: NDArray[np.bool_], what: str) -> None:
        if bad.any():
            position = int(bad.argmax())
            raise PlaintextError(f"row {position}: {what}", position)


@kernel
def unpack_cells(
    biased: NDArray[np.uint64],
    slots: int,
    hessian_bits: int,
    cell_bits: int,
    max_gradient_sum: int,
    max_hessian_sum: int,
    sums: NDArray[np.int64],
) -> int:
    """Split plaintexts, with the bias added, into cells; see `GradientPacking.unpack`.

    Parameters
    ----------
    biased : array of shape (count, words + 1), uint64
        The last word of each row is zero: a field that begins below it may read it.
    sums : array of shape (n_cells, 2), int64
        Written.

    Returns
    -------
    int
        Position of the first bad cell, or -1.
    """
    n_cells: int = sums.shape[0]
    gradient_bits = cell_bits - hessian_bits
    offset = np.int64(1) << np.int64(gradient_bits - 1)
    for i in range(biased.shape[0]):
        first = i * slots
        end = min(first + slots, n_cells)
        for cell in range(first, end):
            start = (cell - first) * cell_bits
            hessian = np.int64(_field(biased[i], start, hessian_bits))
            gradient = np.int64(_field(biased[i], start + hessian_bits, gradient_bits)) - offset
            if hessian > max_hessian_sum or abs(gradient) > max_gradient_sum:
                return cell
            sums[cell, 0] = gradient
            sums[cell, 1] = hessian
        if not _zero_from(biased[i], (end - first) * cell_bits):
            return end - 1
    return -1


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
