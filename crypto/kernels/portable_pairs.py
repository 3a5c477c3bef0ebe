"""Compiled arithmetic modulo the square of a root, in pairs of numbers as long as the root.

A number modulo ``root**2`` is held as ``(A, B)``, which stands for ``A - B * root``. Montgomery's
reduction of ``A * A'`` modulo the root finds q with ``A * A' + q * root = C * R``, hence

    (A, B) * (A', B') / R  =  (C, (A * B' + A' * B + q) / R modulo root)

so the quotient that other uses throw away is just the carry into the second half, and everything
modulo ``root**2`` is done by products modulo the root: 5 short products with their reductions
instead of 8, a square 4, a factor without second half 4. ``R`` is 2 to the bits of an array.

Numbers stay below R, not below the root. Where one outgrows R the root is subtracted (`trim`); in
the first half that takes one off the second, because ``A - B * root`` must stay. C is below
``A * A' / R + root``, so from inputs below the root nothing comes to exceed a few roots, and the
loops that subtract run a few times at most.

Pairs are arrays of shape (2, width + 1), numbers of shape (width + 1,), all uint64. The top limb
is zero between operations.
"""

from typing import NamedTuple

import numpy as np

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
def new_number(width: int) -> Words:
    """Make a zero."""
    return np.zeros(width + 1, np.uint64)


# Loops instead of slice assignments, whose error messages alone would take seconds to compile.
@kernel
def clear(number: Words) -> None:
    """Write zeros."""
    for i in range(number.shape[0]):
        number[i] = 0


@kernel
def copy(target: Words, source: Words) -> None:
    """Copy a number that is not longer than the target."""
    for i in range(source.shape[0]):
        target[i] = source[i]


@kernel
def subtract(number: Words, other: Words, size: int) -> np.uint64:
    """Subtract in place the lower `size` limbs; return what was borrowed."""
    borrow = np.uint64(0)
    for i in range(size):
        limb, subtrahend = number[i], other[i]
        difference = limb - subtrahend
        number[i] = difference - borrow
        borrow = np.uint64((limb < subtrahend) | (difference < borrow))
    return borrow


@kernel
def add(number: Words, other: Words, size: int) -> np.uint64:
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
def trim(number: Words, root: Words) -> int:
    """Subtract the root until the top limb is zero; return how often."""
    width = root.shape[0]
    times = 0
    while number[width] != 0:
        number[width] -= subtract(number, root, width)
        times += 1
    return times


@kernel
def reduce(number: Words, root: Words) -> int:
    """Subtract the root until the number is below; return how often."""
    times = 0
    while not _below(number, root):
        subtract(number, root, root.shape[0])
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
        add(half, root, root.shape[0])


@kernel
def _replace(a: Words, b: Words, new_a: Words, new_b: Words, root: Words) -> None:
    """Overwrite a pair and make both halves fit their width again."""
    copy(a, new_a)
    copy(b, new_b)
    times = trim(a, root)
    trim(b, root)
    if times:
        _settle(b, times, root)


@kernel
def multiply(
    a: Words,
    b: Words,
    c: Words,
    d: Words | None,
    low: Words,
    high: Words,
    spare: Words,
    root: Words,
    inverse: np.uint64,
) -> None:
    """Multiply the pair (a, b) by ``(c, d) / R``; a `d` of None, known to the compiler, is zero."""
    clear(low)
    add_product(low, high, c, a, root, inverse)
    high[root.shape[0]] = 0
    if d is None:
        add_product(high, spare, c, b, root, inverse)
    else:
        add_two_products(high, spare, a, d, c, b, root, inverse)
    _replace(a, b, low, high, root)


@kernel
def square(
    a: Words, b: Words, low: Words, high: Words, spare: Words, root: Words, inverse: np.uint64
) -> None:
    """Multiply the pair (a, b) by itself over R."""
    width = root.shape[0]
    clear(low)
    add_product(low, high, a, a, root, inverse)
    high[width] = 0
    carry = np.uint64(0)
    for i in range(width):  # 2 * a, of which only the value modulo the root counts
        limb = a[i]
        a[i] = (limb << np.uint64(1)) | carry
        carry = limb >> np.uint64(63)
    a[width] = carry
    trim(a, root)
    add_product(high, spare, a, b, root, inverse)
    _replace(a, b, low, high, root)


@kernel
def _take(number: Words, residue: Words, first: int) -> None:
    """Copy limbs of a residue from `first` on, zeros beyond its end."""
    for i in range(number.shape[0]):
        number[i] = residue[first + i] if first + i < residue.shape[0] else np.uint64(0)


@kernel
def load(
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
    root, inverse, factor = field.root, field.inverse, np.zeros(width, np.uint64)
    _take(factor, residue, 0)
    copy(a, field.enter[0, 0])
    copy(b, field.enter[0, 1])
    multiply(a, b, factor, None, low, high, spare, root, inverse)
    _take(factor, residue, width)
    copy(more_a, field.enter[1, 0])
    copy(more_b, field.enter[1, 1])
    multiply(more_a, more_b, factor, None, low, high, spare, root, inverse)
    more_a[width] = add(more_a, a, width)
    more_b[width] = add(more_b, b, width)
    _replace(a, b, more_a, more_b, root)


@kernel
def store(residue: Words, a: Words, b: Words, low: Words, high: Words, field: Field) -> None:
    """Write ``a + (root - b) * root``, a residue; the pair is used up."""
    width = field.root.shape[0]
    _settle(b, reduce(a, field.root), field.root)
    reduce(b, field.root)
    copy(high, field.root)
    high[width] = 0
    subtract(high, b, width)
    if not _below(high, field.root):  # b was zero
        clear(high)
    # A modulus of zero and an inverse of 1 make the quotient the lower half of the plain product.
    add_product(a, low, field.root, high, field.zero, np.uint64(1))
    for i in range(2 * field.words):
        residue[i] = low[i] if i < width else a[i - width]
