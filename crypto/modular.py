"""Sums of wide numbers modulo a wide number, whole arrays at once."""

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from crypto import wide
from crypto.compiling import kernel
from crypto.wide import Words


def add_signed(numbers: Words, addends: Words, modulus: int) -> Words:
    """Add signed numbers to residues.

    Parameters
    ----------
    numbers : array of shape (count, words), uint64
        Below the modulus, which has `words` words.
    addends : array of shape (count, any), uint64
        Two's complement; smaller than the modulus in magnitude.
    modulus : int

    Returns
    -------
    array of shape (count, words), uint64
        Below the modulus.
    """
    sums = np.empty_like(numbers, order="C")
    add_signed_rows(
        np.ascontiguousarray(numbers),
        np.ascontiguousarray(addends),
        wide.from_integers([modulus], numbers.shape[1] + 1)[0],
        sums,
    )
    return sums


def add_centred(numbers: Words, addends: Words, modulus: int) -> Words:
    """Add residues and centre the sums around zero.

    Parameters
    ----------
    numbers, addends : arrays of shape (count, words), uint64
        Below the modulus, which has `words` words.
    modulus : int
        Odd.

    Returns
    -------
    array of shape (count, words), uint64
        From ``-(modulus - 1) / 2`` to ``(modulus - 1) / 2``, in two's complement.

    Raises
    ------
    OverflowError
        If there is no bit left for the sign.
    """
    words = numbers.shape[1]
    wide.from_integers([modulus >> 1], words, signed=True)
    sums = np.empty_like(numbers, order="C")
    add_centred_rows(
        np.ascontiguousarray(numbers),
        np.ascontiguousarray(addends),
        wide.from_integers([modulus], words + 1)[0],
        wide.from_integers([modulus >> 1], words + 1)[0],
        sums,
    )
    return sums


@kernel
def add_signed_rows(
    numbers: NDArray[uint64],
    addends: NDArray[uint64],
    modulus: NDArray[uint64],
    sums: NDArray[uint64],
) -> None:
    """See `add_signed`; `modulus` has one more word than a number."""
    words = numbers.shape[1]
    total = np.empty(words + 1, dtype=np.uint64)
    for i in range(numbers.shape[0]):
        negative = addends[i, addends.shape[1] - 1] >> uint64(63) != uint64(0)
        sign = ~uint64(0) if negative else uint64(0)
        carry = uint64(0)
        for j in range(words + 1):
            x = numbers[i, j] if j < words else uint64(0)
            y = addends[i, j] if j < addends.shape[1] else sign
            partial = x + y
            total[j] = partial + carry
            carry = uint64(partial < x) | uint64(total[j] < partial)
        if total[words] >> uint64(63) != uint64(0):
            _add(total, modulus)
        elif not _is_below(total, modulus):
            _subtract(total, modulus)
        sums[i] = total[:words]


@kernel
def add_centred_rows(
    numbers: NDArray[uint64],
    addends: NDArray[uint64],
    modulus: NDArray[uint64],
    half: NDArray[uint64],
    sums: NDArray[uint64],
) -> None:
    """See `add_centred`; `modulus` and its half have one more word than a number."""
    words = numbers.shape[1]
    total = np.empty(words + 1, dtype=np.uint64)
    for i in range(numbers.shape[0]):
        carry = uint64(0)
        for j in range(words):
            partial = numbers[i, j] + addends[i, j]
            total[j] = partial + carry
            carry = uint64(partial < numbers[i, j]) | uint64(total[j] < partial)
        total[words] = carry
        if not _is_below(total, modulus):
            _subtract(total, modulus)
        if _is_below(half, total):
            _subtract(total, modulus)
        sums[i] = total[:words]


@kernel
def _is_below(x: NDArray[uint64], y: NDArray[uint64]) -> bool:
    for j in range(x.shape[0] - 1, -1, -1):
        if x[j] != y[j]:
            return bool(x[j] < y[j])
    return False


@kernel
def _add(x: NDArray[uint64], y: NDArray[uint64]) -> None:
    carry = uint64(0)
    for j in range(x.shape[0]):
        partial = x[j] + y[j]
        total = partial + carry
        carry = uint64(partial < y[j]) | uint64(total < partial)
        x[j] = total


@kernel
def _subtract(x: NDArray[uint64], y: NDArray[uint64]) -> None:
    borrow = uint64(0)
    for j in range(x.shape[0]):
        partial = x[j] - y[j]
        difference = partial - borrow
        borrow = uint64(x[j] < y[j]) | uint64(partial < borrow)
        x[j] = difference
