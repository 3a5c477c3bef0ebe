"""Compiled arithmetic modulo the square of a root, in pairs of numbers as long as the root.

A number modulo ``root**2`` is held as ``(A, B)``, which stands for ``A - B * root``. Montgomery's
reduction of ``A * A'`` modulo the root finds q with ``A * A' + q * root = C * R``, hence

    (A, B) * (A', B') / R  =  (C, (A * B' + A' * B + q) / R modulo root)

so the quotient that other uses throw away is just the carry into the second half, and everything
modulo ``root**2`` is done by products modulo the root: 5 short products with their reductions
instead of 8, a square 4, a factor without second half 4. ``R`` is 2 to the bits of an array.

Numbers stay below R, not below the root. Where one outgrows R the root is subtracted (`_trim`); in
the first half that takes one off the second, because ``A - B * root`` must stay. C is below
``A * A' / R + root``, so from inputs below the root nothing comes to exceed a few roots, and the
loops that subtract run a few times at most.

Pairs are arrays of shape (2, width + 1), numbers of shape (width + 1,), all uint64. The top limb
is zero between operations.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.portable_limbs import add_product, add_two_products
from crypto.wide import Words


class Field(NamedTuple):
    """Constants of one root; `width` is a multiple of `portable_limbs.BLOCK`, at least twice.

    Attributes
    ----------
    root : array of shape (width,), uint64
    inverse : uint64
        ``-1 / root`` modulo ``2**64``.
    words : int
        Words of a number below the root in the arrays of callers; at most `width`.
    zero, one : arrays of shape (width,), uint64
    radix : array of shape (width,), uint64
        ``R**2`` modulo the root.
    enter : array of shape (2, 2, width + 1), uint64
        ``R**2`` and ``R**3`` modulo ``root**2``, as pairs.
    radix_powers : array of shape (4, 256, 2, width + 1), uint64
        ``R**(1 + d * 256**b)`` modulo ``root**2`` for b and d, as pairs.
    """

    root: Words
    inverse: np.uint64
    words: int
    zero: Words
    one: Words
    radix: Words
    enter: Words
    radix_powers: Words


# The operations below work on separate arrays: numba counts references to each array that is taken
# from a tuple or a matrix, atomically, which would cost a fifth of a short product. `low`, `high`
# and `spare` are scratch that the caller lends.


@kernel
def _number(width: int) -> Words:
    return np.zeros(width + 1, np.uint64)


# Loops instead of slice assignments, whose error messages alone would take seconds to compile.
@kernel
def _clear(number: Words) -> None:
    for i in range(number.shape[0]):
        number[i] = 0


@kernel
def _copy(target: Words, source: Words) -> None:
    for i in range(source.shape[0]):
        target[i] = source[i]


@kernel
def _subtract(number: Words, other: Words, size: int) -> np.uint64:
    """Subtract in place the lower `size` limbs; return what was borrowed."""
    borrow = np.uint64(0)
    for i in range(size):
        limb, subtrahend = number[i], other[i]
        difference = limb - subtrahend
        number[i] = difference - borrow
        borrow = np.uint64((limb < subtrahend) | (difference < borrow))
    return borrow


@kernel
def _add(number: Words, other: Words, size: int) -> np.uint64:
    """Add in place to the lower `size` limbs; return what is carried out."""
    carry = np.uint64(0)
    for i in range(size):
        partial = number[i] + other[i]
        total = partial + carry
        carry = np.uint64((partial < other[i]) | (total < carry))
        number[i] = total
    return carry


@kernel
def _below(number: Words, other: Words) -> bool:
    """Compare; `other` has the width, `number` one limb more, which is zero."""
    for i in range(other.shape[0] - 1, -1, -1):
        if number[i] != other[i]:
            return bool(number[i] < other[i])
    return False


@kernel
def _trim(number: Words, root: Words) -> int:
    """Subtract the root until the top limb is zero; return how often."""
    width = root.shape[0]
    times = 0
    while number[width] != 0:
        number[width] -= _subtract(number, root, width)
        times += 1
    return times


@kernel
def _reduce(number: Words, root: Words) -> int:
    """Subtract the root until the number is below; return how often."""
    times = 0
    while not _below(number, root):
        _subtract(number, root, root.shape[0])
        times += 1
    return times


@kernel
def _settle(half: Words, times: int, root: Words) -> None:
    """Take off the second half the number of roots that the first half has lost."""
    borrow = np.uint64(times)
    for i in range(root.shape[0]):
        if borrow == 0:
            return
        limb = half[i]
        half[i] = limb - borrow
        borrow = np.uint64(limb < borrow)
    if borrow != 0:
        _add(half, root, root.shape[0])


@kernel
def _replace(a: Words, b: Words, new_a: Words, new_b: Words, root: Words) -> None:
    """Overwrite a pair and make both halves fit their width again."""
    _copy(a, new_a)
    _copy(b, new_b)
    times = _trim(a, root)
    _trim(b, root)
    if times:
        _settle(b, times, root)


@kernel
def _multiply_short(
    a: Words,
    b: Words,
    factor: Words,
    low: Words,
    high: Words,
    spare: Words,
    root: Words,
    inverse: np.uint64,
) -> None:
    """Multiply the pair (a, b) by ``factor / R``."""
    width = root.shape[0]
    _clear(low)
    add_product(low, high, factor, a, root, inverse)
    high[width] = 0
    add_product(high, spare, factor, b, root, inverse)
    _replace(a, b, low, high, root)


@kernel
def _multiply(
    a: Words,
    b: Words,
    c: Words,
    d: Words,
    low: Words,
    high: Words,
    spare: Words,
    root: Words,
    inverse: np.uint64,
) -> None:
    """Multiply the pair (a, b) by ``(c, d) / R``."""
    width = root.shape[0]
    _clear(low)
    add_product(low, high, a, c, root, inverse)
    high[width] = 0
    add_two_products(high, spare, a, d, c, b, root, inverse)
    _replace(a, b, low, high, root)


@kernel
def _square(
    a: Words, b: Words, low: Words, high: Words, spare: Words, root: Words, inverse: np.uint64
) -> None:
    """Multiply the pair (a, b) by itself over R."""
    width = root.shape[0]
    _clear(low)
    add_product(low, high, a, a, root, inverse)
    high[width] = 0
    carry = np.uint64(0)
    for i in range(width):  # 2 * a, of which only the value modulo the root counts
        limb = a[i]
        a[i] = (limb << np.uint64(1)) | carry
        carry = limb >> np.uint64(63)
    a[width] = carry
    _trim(a, root)
    add_product(high, spare, a, b, root, inverse)
    _replace(a, b, low, high, root)


@kernel
def _load(
    a: Words,
    b: Words,
    residue: Words,
    more_a: Words,
    more_b: Words,
    low: Words,
    high: Words,
    spare: Words,
    field: Field,
) -> None:
    """Read a residue and multiply it by R, as all operands of long computations are.

    ``x + y * R`` becomes ``x * R**2 / R + y * R**3 / R``.
    """
    width = field.root.shape[0]
    root, inverse, factor = field.root, field.inverse, _number(width)
    for i in range(width):
        factor[i] = residue[i] if i < 2 * field.words else np.uint64(0)
    _copy(a, field.enter[0, 0])
    _copy(b, field.enter[0, 1])
    _multiply_short(a, b, factor, low, high, spare, root, inverse)
    for i in range(width):
        factor[i] = residue[width + i] if width + i < 2 * field.words else np.uint64(0)
    _copy(more_a, field.enter[1, 0])
    _copy(more_b, field.enter[1, 1])
    _multiply_short(more_a, more_b, factor, low, high, spare, root, inverse)
    more_a[width] = _add(more_a, a, width)
    more_b[width] = _add(more_b, b, width)
    _replace(a, b, more_a, more_b, root)


@kernel
def _store(residue: Words, a: Words, b: Words, low: Words, high: Words, field: Field) -> None:
    """Write ``a + (root - b) * root``, a residue; the pair is used up."""
    width = field.root.shape[0]
    _settle(b, _reduce(a, field.root), field.root)
    _reduce(b, field.root)
    _copy(high, field.root)
    high[width] = 0
    _subtract(high, b, width)
    if not _below(high, field.root):  # b was zero
        _clear(high)
    # A modulus of zero and an inverse of 1 make the quotient the lower half of the plain product.
    add_product(a, low, field.root, high, field.zero, np.uint64(1))
    for i in range(2 * field.words):
        residue[i] = low[i] if i < width else a[i - width]


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
    low, high, spare = _number(width), _number(width), _number(width)
    factor = np.zeros(width, np.uint64)
    for part in range(first, last):
        a, b, total = products[part, 0], products[part, 1], sums[part]
        _clear(a)
        _clear(b)
        _clear(total)
        begin, end = starts[part], starts[part + 1]
        for k in range(begin, end):
            pair = pairs[rows[k]]
            if k == begin:
                _copy(a, pair[:words])
            else:
                _copy(factor, pair[:words])
                _multiply_short(a, b, factor, low, high, spare, root, inverse)
            carry = _add(total, pair[words:], words)
            for i in range(words, width + 1):
                total[i] += carry
                carry = np.uint64(total[i] < carry)
            _trim(total, root)


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
        _number(width),
        _number(width),
        _number(width),
        _number(width),
        _number(width),
    )
    low, high, spare = _number(width), _number(width), _number(width)
    for segment in range(first, last):
        begin, end = starts[segment], starts[segment + 1]
        if begin == end:
            _clear(residues[segment])
            residues[segment, 0] = 1
            continue
        _copy(a, products[begin, 0])
        _copy(b, products[begin, 1])
        _copy(total, sums[begin])
        for part in range(begin + 1, end):
            _multiply(a, b, products[part, 0], products[part, 1], low, high, spare, root, inverse)
            total[width] += _add(total, sums[part], width)
            _trim(total, root)
        missing = lengths[segment] - 1  # the table's entries carry one R themselves
        _copy(c, field.radix_powers[0, missing & 255, 0])
        _copy(d, field.radix_powers[0, missing & 255, 1])
        for byte in range(1, field.radix_powers.shape[0]):
            digit = (missing >> (8 * byte)) & 255
            if digit:
                entry = field.radix_powers[byte, digit]
                _multiply(c, d, entry[0], entry[1], low, high, spare, root, inverse)
        # (c, d) * (1 + total * root) is (c, d - c * total)
        _clear(high)
        add_product(high, spare, c, field.radix, root, inverse)
        _trim(high, root)
        _clear(low)
        add_product(low, spare, high, total, root, inverse)
        _trim(low, root)
        _reduce(low, root)
        if _subtract(d, low, width):
            _add(d, root, width)
        _multiply(a, b, c, d, low, high, spare, root, inverse)
        _store(residues[segment], a, b, low, high, field)


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
    a, b = _number(width), _number(width)
    more_a, more_b = _number(width), _number(width)
    low, high, spare = _number(width), _number(width), _number(width)
    for row in range(first, last):
        _load(a, b, residues[row], more_a, more_b, low, high, spare, field)
        _copy(table[1, 0], a)
        _copy(table[1, 1], b)
        for i in range(2, table.shape[0]):
            _multiply(a, b, table[1, 0], table[1, 1], low, high, spare, root, inverse)
            _copy(table[i, 0], a)
            _copy(table[i, 1], b)
        _copy(a, table[digits[0], 0])
        _copy(b, table[digits[0], 1])
        for digit in digits[1:]:
            for _ in range(window):
                _square(a, b, low, high, spare, root, inverse)
            if digit:
                _multiply(a, b, table[digit, 0], table[digit, 1], low, high, spare, root, inverse)
        _multiply_short(a, b, field.one, low, high, spare, root, inverse)
        _store(powers[row], a, b, low, high, field)


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
    a, b, c, d = _number(width), _number(width), _number(width), _number(width)
    more_a, more_b = _number(width), _number(width)
    low, high, spare = _number(width), _number(width), _number(width)
    for group in range(first, last):
        begin = group * slots
        end = min(begin + slots, residues.shape[0])
        _load(a, b, residues[end - 1], more_a, more_b, low, high, spare, field)
        for row in range(end - 2, begin - 1, -1):
            for _ in range(shift_bits):
                _square(a, b, low, high, spare, root, inverse)
            _load(c, d, residues[row], more_a, more_b, low, high, spare, field)
            _multiply(a, b, c, d, low, high, spare, root, inverse)
        _multiply_short(a, b, field.one, low, high, spare, root, inverse)
        _store(packed[group], a, b, low, high, field)
