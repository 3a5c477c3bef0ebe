"""Compiled powers: one exponent for all numbers, and Horner's rule for packing."""

import numpy as np
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.portable_pairs import Field, copy, load, multiply, new_number, square, store
from crypto.wide import Words


@kernel
def _multiply_shifted(
    a: Words,
    b: Words,
    factors: Words,
    order: NDArray[np.int64],
    shift_bits: int,
    low: Words,
    high: Words,
    spare: Words,
    root: Words,
    inverse: np.uint64,
) -> None:
    """Multiply up ``factors[order[i]] ** 2**(shift_bits * i)``, i counted from the end of `order`.

    Number 0 stands for a factor of 1 and may not come first.
    """
    copy(a, factors[order[0], 0])
    copy(b, factors[order[0], 1])
    for number in order[1:]:
        for _ in range(shift_bits):
            square(a, b, low, high, spare, root, inverse)
        if number:
            c, d = factors[number, 0], factors[number, 1]
            multiply(a, b, c, d, low, high, spare, root, inverse)


@kernel
def raise_all(
    field: Field,
    residues: Words,
    digits: NDArray[np.int64],
    window: int,
    first: int,
    last: int,
    powers: Words,
) -> None:
    """Raise residues to one power by fixed windows.

    Parameters
    ----------
    field : Field
    residues : array of shape (count, 2 * words), uint64
    digits : array of shape (n_digits,), int64
        Of the exponent in base ``2**window``, the highest first and not zero.
    window : int
    first, last : int
        Rows to do.
    powers : array of shape (count, 2 * words), uint64
        Out.
    """
    root, inverse = field.root, field.inverse
    width = root.shape[0]
    table = np.empty((1 << window, 2, width + 1), np.uint64)
    a, b, c, d = new_number(width), new_number(width), new_number(width), new_number(width)
    low, high, spare = new_number(width), new_number(width), new_number(width)
    for row in range(first, last):
        load(a, b, residues[row], c, d, low, high, spare, field)
        copy(table[1, 0], a)
        copy(table[1, 1], b)
        for i in range(2, table.shape[0]):
            multiply(a, b, table[1, 0], table[1, 1], low, high, spare, root, inverse)
            copy(table[i, 0], a)
            copy(table[i, 1], b)
        _multiply_shifted(a, b, table, digits, window, low, high, spare, root, inverse)
        multiply(a, b, field.one, None, low, high, spare, root, inverse)
        store(powers[row], a, b, low, high, field)


@kernel
def shift_and_multiply(
    field: Field,
    residues: Words,
    slots: int,
    shift_bits: int,
    first: int,
    last: int,
    packed: Words,
) -> None:
    """Evaluate ``prod(r[g * slots + j] ** 2**(shift_bits * j))`` by Horner's rule.

    Parameters
    ----------
    field : Field
    residues : array of shape (count, 2 * words), uint64
    slots, shift_bits : int
    first, last : int
        Groups ``g`` to do.
    packed : array of shape (ceil(count / slots), 2 * words), uint64
        Out.
    """
    root, inverse = field.root, field.inverse
    width = root.shape[0]
    factors = np.empty((slots + 1, 2, width + 1), np.uint64)
    a, b, c, d = new_number(width), new_number(width), new_number(width), new_number(width)
    low, high, spare = new_number(width), new_number(width), new_number(width)
    for group in range(first, last):
        begin = group * slots
        count = min(slots, residues.shape[0] - begin)
        for i in range(count):
            load(a, b, residues[begin + i], c, d, low, high, spare, field)
            copy(factors[i + 1, 0], a)
            copy(factors[i + 1, 1], b)
        order = np.arange(count, 0, -1)
        _multiply_shifted(a, b, factors, order, shift_bits, low, high, spare, root, inverse)
        multiply(a, b, field.one, None, low, high, spare, root, inverse)
        store(packed[group], a, b, low, high, field)
