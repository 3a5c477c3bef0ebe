"""Powers modulo m and ``m**2``, and Horner's rule, eight numbers at a time."""

import numpy as np
from numpy import int64, uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.ifma_constants import CUBE, ONE, SQUARE, UNIT, WORK
from crypto.kernels.ifma_emit import DIGIT_BITS, LANES
from crypto.kernels.ifma_lanes import (
    add,
    clear,
    copy,
    put_words,
    reduce_once,
    take_pair,
    take_words,
)
from crypto.kernels.ifma_products import multiply, multiply_pairs, multiply_short, square

POWER, BASE, TABLE = WORK, WORK + 2, WORK + 4
HORNER_SLOTS = WORK + 6


def window_bits(exponent_bits: int) -> int:
    """Bits of the exponent per table look-up: fewest products in all."""
    return 5 if exponent_bits > 256 else 4 if exponent_bits > 64 else 2


def exponent_digits(exponent: int, bits: int) -> NDArray[int64]:
    """Split an exponent into digits of `bits` bits, highest first."""
    count = max(1, -(-exponent.bit_length() // bits))
    shifts = range(bits * (count - 1), -1, -bits)
    return np.array([exponent >> shift & ((1 << bits) - 1) for shift in shifts], dtype=np.int64)


@kernel
def put_number(
    workspace: NDArray[uint64], limbs: int, slot: int, lane: int, words: NDArray[uint64]
) -> None:
    """Load a number below ``R**2`` into the A of slots `slot` and ``slot + 2``."""
    put_words(workspace, limbs, slot, lane, words, 0)
    put_words(workspace, limbs, slot + 2, lane, words, DIGIT_BITS * limbs)


@kernel
def enter(workspace: NDArray[uint64], limbs: int, slot: int) -> None:
    """Bring the numbers of `put_number` into Montgomery form, as the pair at `slot`."""
    clear(workspace, limbs, slot + 1)
    clear(workspace, limbs, slot + 3)
    multiply_pairs(workspace, limbs, slot, slot, SQUARE)
    multiply_pairs(workspace, limbs, slot + 2, slot + 2, CUBE)
    add(workspace, limbs, slot, slot, slot + 2)
    add(workspace, limbs, slot + 1, slot + 1, slot + 3)


@kernel
def raise_all(
    workspace: NDArray[uint64],
    limbs: int,
    numbers: NDArray[uint64],
    digits: NDArray[int64],
    window: int,
    values: NDArray[uint64],
) -> None:
    """Raise numbers to one power with fixed windows.

    Every digit costs one product, also a zero, so that the number of operations depends on the
    length of the exponent only.

    Parameters
    ----------
    workspace : array
        With ``TABLE + 2 * 2**window`` slots.
    numbers : array of shape (count, any), uint64
        In words, each below ``R**2``.
    digits : array of int64
        From `exponent_digits`.
    window : int
        Bits of a digit.
    values : array of shape (count, 2 * limbs), uint64
        Written: lazy pairs, in digits.
    """
    count = numbers.shape[0]
    for first in range(0, count, LANES):
        lanes = min(LANES, count - first)
        for lane in range(lanes):
            put_number(workspace, limbs, BASE, lane, numbers[first + lane])
        enter(workspace, limbs, BASE)
        copy(workspace, limbs, TABLE, ONE, 2)
        copy(workspace, limbs, TABLE + 2, BASE, 2)
        for i in range(2, 1 << window):
            multiply_pairs(workspace, limbs, TABLE + 2 * i, TABLE + 2 * i - 2, TABLE + 2)
        copy(workspace, limbs, POWER, TABLE + 2 * digits[0], 2)
        for i in range(1, digits.shape[0]):
            for _ in range(window):
                square(workspace, limbs, POWER)
            multiply_pairs(workspace, limbs, POWER, POWER, TABLE + 2 * digits[i])
        multiply_short(workspace, limbs, POWER, POWER, UNIT)
        for lane in range(lanes):
            take_pair(workspace, limbs, POWER, lane, values[first + lane])


@kernel
def raise_modulo_root(
    workspace: NDArray[uint64],
    limbs: int,
    numbers: NDArray[uint64],
    digits: NDArray[int64],
    window: int,
    powers: NDArray[uint64],
) -> None:
    """Raise numbers to one power modulo m, as `raise_all` does modulo ``m**2``.

    Parameters
    ----------
    workspace : array
        With ``TABLE + 2**window`` slots.
    numbers : array of shape (count, any), uint64
        In words, each below ``R**2``.
    digits : array of int64
        From `exponent_digits`.
    window : int
        Bits of a digit.
    powers : array of shape (count, words), uint64
        Written, below m.
    """
    count = numbers.shape[0]
    for first in range(0, count, LANES):
        lanes = min(LANES, count - first)
        for lane in range(lanes):
            put_number(workspace, limbs, BASE, lane, numbers[first + lane])
        multiply(workspace, limbs, BASE, BASE, SQUARE)
        multiply(workspace, limbs, BASE + 2, BASE + 2, CUBE)
        add(workspace, limbs, BASE, BASE, BASE + 2)  # whose slot the table takes over
        copy(workspace, limbs, TABLE, ONE, 1)
        copy(workspace, limbs, TABLE + 1, BASE, 1)
        for i in range(2, 1 << window):
            multiply(workspace, limbs, TABLE + i, TABLE + i - 1, TABLE + 1)
        copy(workspace, limbs, POWER, TABLE + digits[0], 1)
        for i in range(1, digits.shape[0]):
            for _ in range(window):
                multiply(workspace, limbs, POWER, POWER, POWER)
            multiply(workspace, limbs, POWER, POWER, TABLE + digits[i])
        multiply(workspace, limbs, POWER, POWER, UNIT)
        reduce_once(workspace, limbs, POWER)
        for lane in range(lanes):
            take_words(workspace, limbs, POWER, lane, powers[first + lane])


@kernel
def shift_and_multiply(
    workspace: NDArray[uint64],
    limbs: int,
    numbers: NDArray[uint64],
    are_pairs: bool,
    slots: int,
    shift_bits: int,
    first: int,
    end: int,
    values: NDArray[uint64],
) -> None:
    """Evaluate ``prod(c[i * slots + j] ** 2**(shift_bits * j))`` by Horner's rule.

    Parameters
    ----------
    workspace : array
        With `HORNER_SLOTS` slots.
    numbers : array of shape (n_outputs * slots, 2 * words), uint64
        Pairs or residues.
    are_pairs : bool
    first, end : int
        Outputs to do.
    values : array of shape (n_outputs, 2 * limbs), uint64
        Written: lazy pairs, in digits.
    """
    words = numbers.shape[1] // 2
    for group in range(first, end, LANES):
        lanes = min(LANES, end - group)
        for slot in range(slots - 1, -1, -1):
            for lane in range(lanes):
                number = numbers[(group + lane) * slots + slot]
                if are_pairs:
                    put_words(workspace, limbs, BASE, lane, number[:words], 0)
                    put_words(workspace, limbs, BASE + 2, lane, number[words:], 0)
                else:
                    put_number(workspace, limbs, BASE, lane, number)
            if are_pairs:
                # a (1 + t m) = a + (a t) m
                multiply(workspace, limbs, BASE + 1, BASE, SQUARE)
                multiply(workspace, limbs, BASE + 1, BASE + 1, BASE + 2)
                multiply_pairs(workspace, limbs, BASE, BASE, SQUARE)
            else:
                enter(workspace, limbs, BASE)
            if slot == slots - 1:
                copy(workspace, limbs, POWER, BASE, 2)
            else:
                for _ in range(shift_bits):
                    square(workspace, limbs, POWER)
                multiply_pairs(workspace, limbs, POWER, POWER, BASE)
        multiply_short(workspace, limbs, POWER, POWER, UNIT)
        for lane in range(lanes):
            take_pair(workspace, limbs, POWER, lane, values[group + lane])
