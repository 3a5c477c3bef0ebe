"""Compiled products of pairs by segment: the homomorphic histogram, and powers from tables."""

import numpy as np
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.portable_limbs import add_product
from crypto.kernels.portable_pairs import (
    Field,
    add,
    clear,
    copy,
    multiply,
    new_number,
    reduce,
    store,
    subtract,
    trim,
)
from crypto.wide import Words


@kernel
def fold(
    field: Field,
    pairs: Words,
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    first: int,
    last: int,
    products: Words,
    sums: Words,
) -> None:
    """Multiply the ``a`` and add the ``t`` of each part of the rows.

    Parameters
    ----------
    field : Field
    pairs : array of shape (n_rows, 2 * words), uint64
        ``[a | t]``, see `crypto.kernels.engine`.
    rows, starts : arrays of int64
        Part ``s`` is ``rows[starts[s]:starts[s + 1]]``, never empty.
    first, last : int
        Parts to do.
    products : array of shape (n_parts, 2, width + 1), uint64
        Out: ``prod(a) / R**(length - 1)``.
    sums : array of shape (n_parts, width + 1), uint64
        Out: ``sum(t)`` modulo the root.
    """
    root, inverse = field.root, field.inverse
    width, words = root.shape[0], field.words
    low, high, spare = new_number(width), new_number(width), new_number(width)
    factor = np.zeros(width, np.uint64)
    for part in range(first, last):
        a, b, total = products[part, 0], products[part, 1], sums[part]
        clear(a)
        clear(b)
        clear(total)
        begin, end = starts[part], starts[part + 1]
        for k in range(begin, end):
            pair = pairs[rows[k]]
            if k == begin:
                copy(a, pair[:words])
            else:
                copy(factor, pair[:words])
                multiply(a, b, factor, None, low, high, spare, root, inverse)
            carry = add(total, pair[words:], words)
            for i in range(words, width + 1):
                total[i] += carry
                carry = np.uint64(total[i] < carry)
            trim(total, root)


@kernel
def finish(
    field: Field,
    products: Words,
    sums: Words,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    first: int,
    last: int,
    residues: Words,
) -> None:
    """Merge the parts of each segment and multiply by ``1 + sum(t) * root``.

    Every product, of factors or of parts, has divided by R, and a segment of k rows takes k - 1 of
    them in any order. So one factor ``R**k`` makes it right: the last product divides once more.

    Parameters
    ----------
    field : Field
    products, sums : arrays
        From `fold`.
    starts : array of shape (n_segments + 1,), int64
        Segment ``s`` has the parts from ``starts[s]`` to ``starts[s + 1]``.
    lengths : array of shape (n_segments,), int64
        Rows in each segment.
    first, last : int
        Segments to do.
    residues : array of shape (n_segments, 2 * words), uint64
        Out.
    """
    root, inverse = field.root, field.inverse
    width = root.shape[0]
    a, b, c, d, total = (
        new_number(width),
        new_number(width),
        new_number(width),
        new_number(width),
        new_number(width),
    )
    low, high, spare = new_number(width), new_number(width), new_number(width)
    for segment in range(first, last):
        begin, end = starts[segment], starts[segment + 1]
        if begin == end:
            clear(residues[segment])
            residues[segment, 0] = 1
            continue
        copy(a, products[begin, 0])
        copy(b, products[begin, 1])
        copy(total, sums[begin])
        for part in range(begin + 1, end):
            multiply(a, b, products[part, 0], products[part, 1], low, high, spare, root, inverse)
            total[width] += add(total, sums[part], width)
            trim(total, root)
        missing = lengths[segment] - 1  # the table's entries carry one R themselves
        copy(c, field.radix_powers[0, missing & 255, 0])
        copy(d, field.radix_powers[0, missing & 255, 1])
        for byte in range(1, field.radix_powers.shape[0]):
            digit = (missing >> (8 * byte)) & 255
            if digit:
                entry = field.radix_powers[byte, digit]
                multiply(c, d, entry[0], entry[1], low, high, spare, root, inverse)
        # (c, d) * (1 + total * root) is (c, d - c * total)
        clear(high)
        add_product(high, spare, c, field.radix, root, inverse)
        trim(high, root)
        clear(low)
        add_product(low, spare, high, total, root, inverse)
        trim(low, root)
        reduce(low, root)
        if subtract(d, low, width):
            add(d, root, width)
        multiply(a, b, c, d, low, high, spare, root, inverse)
        store(residues[segment], a, b, low, high, field)
