"""Integers wider than a machine word, as rows of little-endian uint64 words.

A signed number is in two's complement over all words of its row. Whole arrays are converted at
once through their bytes; no word is touched by Python.
"""

from collections.abc import Iterable

import gmpy2
import numpy as np
from numpy.typing import NDArray

WORD_BITS = 64
WORD_BYTES = 8

Words = NDArray[np.uint64]


def words_for(bits: int) -> int:
    """Words that hold `bits` bits."""
    return -(-bits // WORD_BITS)


def from_integers(
    values: "Iterable[int | gmpy2.mpz]", words: int, *, signed: bool = False
) -> Words:
    """Write integers as rows of words.

    Parameters
    ----------
    values : iterable of int or gmpy2.mpz
    words : int
        Words per row.
    signed : bool
        Two's complement; otherwise the values must not be negative.

    Returns
    -------
    array of shape (count, words), uint64

    Raises
    ------
    OverflowError
        If a value does not fit.
    """
    size = words * WORD_BYTES
    data = b"".join([value.to_bytes(size, "little", signed=signed) for value in values])
    return (
        np.frombuffer(bytearray(data), dtype="<u8").astype(np.uint64, copy=False).reshape(-1, words)
    )


def to_integers(array: Words, *, signed: bool = False) -> list[int]:
    """Read rows of words as Python integers; the inverse of `from_integers`."""
    data, size = _row_bytes(array)
    return [
        int.from_bytes(data[i : i + size], "little", signed=signed)
        for i in range(0, len(data), size)
    ]


def to_mpz(array: Words) -> "list[gmpy2.mpz]":
    """Read rows of words as unsigned gmpy2 integers."""
    data, size = _row_bytes(array)
    read = gmpy2.mpz.from_bytes
    return [read(data[i : i + size], "little") for i in range(0, len(data), size)]


def from_big_endian(rows: NDArray[np.uint8]) -> Words:
    """Read rows of bytes, most significant first, as unsigned numbers.

    Parameters
    ----------
    rows : array of shape (count, size), uint8

    Returns
    -------
    array of shape (count, words), uint64
        `words` is what `size` bytes need.
    """
    count, size = rows.shape
    data = np.zeros((count, words_for(8 * size) * WORD_BYTES), dtype=np.uint8)
    data[:, :size] = rows[:, ::-1]
    return data.view("<u8").astype(np.uint64, copy=False)


def to_big_endian(array: Words, size: int) -> NDArray[np.uint8]:
    """Write unsigned numbers that fit as rows of `size` bytes; the inverse of `from_big_endian`."""
    data = np.ascontiguousarray(array, dtype="<u8").view(np.uint8)
    return np.ascontiguousarray(data[:, :size][:, ::-1])


def resize(array: Words, words: int) -> Words:
    """Copy signed rows to another width, which the caller knows to be wide enough."""
    count, present = array.shape
    result = np.empty((count, words), dtype=np.uint64)
    kept = min(present, words)
    result[:, :kept] = array[:, :kept]
    result[:, kept:] = _sign_words(array)[:, None]
    return result


def first_outside(array: Words, bits: int) -> int | None:
    """Find the first signed row with ``abs(value) >= 2**bits``.

    Parameters
    ----------
    array : array of shape (count, words), uint64
        Two's complement.
    bits : int
        At least 1.

    Returns
    -------
    int or None
        Its index; None if all are inside.
    """
    width = array.shape[1] * WORD_BITS
    if bits >= width:
        return None
    word, bit = divmod(bits, WORD_BITS)
    extension = _sign_words(array)
    negative = extension != 0
    # Inside [-2**bits, 2**bits) every bit from `bits` up is a copy of the sign.
    bad = (array[:, word] ^ extension) >> np.uint64(bit) != 0
    bad |= (array[:, word + 1 :] != extension[:, None]).any(axis=1)
    # The range is symmetric, so -2**bits itself is outside: there, all lower bits are zero.
    low = array[:, word] & np.uint64((1 << bit) - 1)
    bad |= negative & (low == 0) & ~array[:, :word].any(axis=1)
    return int(bad.argmax()) if bad.any() else None


def first_not_below(array: Words, limit: int) -> int | None:
    """Find the first unsigned row with ``value >= limit``.

    Returns
    -------
    int or None
        Its index; None if all are below.
    """
    below = are_below(array, limit)
    return None if below.all() else int(below.argmin())


def are_below(array: Words, limit: int) -> NDArray[np.bool_]:
    """Tell of each unsigned row whether ``value < limit``."""
    count, words = array.shape
    if limit >> (words * WORD_BITS):
        return np.ones(count, dtype=np.bool_)
    bound = from_integers([limit], words)[0]
    below = np.zeros(count, dtype=np.bool_)
    # From the highest word down, as long as some rows equal the limit so far: nearly always one.
    undecided = np.arange(count)
    for word in range(words - 1, -1, -1):
        column = array[undecided, word]
        below[undecided] = column < bound[word]
        undecided = undecided[column == bound[word]]
        if not len(undecided):
            break
    return below


def add_constant(array: Words, constant: int) -> Words:
    """Add a non-negative integer to every row, modulo 2 to the width.

    Parameters
    ----------
    array : array of shape (count, words), uint64
    constant : int

    Returns
    -------
    array of shape (count, words), uint64
    """
    result = np.empty_like(array)
    addend = from_integers([constant], array.shape[1])[0]
    carry = np.zeros(array.shape[0], dtype=np.uint64)
    for word in range(array.shape[1]):
        partial = array[:, word] + addend[word]
        total = partial + carry
        carry = ((partial < addend[word]) | (total < carry)).astype(np.uint64)
        result[:, word] = total
    return result


def join(high: NDArray[np.int64], low: NDArray[np.int64], low_bits: int) -> Words:
    """Compute ``high * 2**low_bits + low`` in two words.

    Parameters
    ----------
    high : array of shape (count,), int64
    low : array of shape (count,), int64
        Each in ``[0, 2**low_bits)``, so that nothing carries into `high`.
    low_bits : int
        From 0 to 62.

    Returns
    -------
    array of shape (count, 2), uint64
        Two's complement.
    """
    result = np.empty((high.shape[0], 2), dtype=np.uint64)
    np.bitwise_or(
        np.left_shift(high.view(np.uint64), np.uint64(low_bits)),
        low.view(np.uint64),
        out=result[:, 0],
    )
    # In two steps, because shifting an int64 by 64 is undefined (low_bits may be 0).
    result[:, 1] = ((high >> (63 - low_bits)) >> 1).view(np.uint64)
    return result


def _row_bytes(array: Words) -> tuple[bytes, int]:
    return np.ascontiguousarray(array, dtype="<u8").tobytes(), array.shape[1] * WORD_BYTES


def _sign_words(array: Words) -> NDArray[np.uint64]:
    """Return the word that extends each signed row: all ones or all zeros."""
    negative = array[:, -1] >> np.uint64(63) != 0
    return np.where(negative, np.uint64(0xFFFF_FFFF_FFFF_FFFF), np.uint64(0))
