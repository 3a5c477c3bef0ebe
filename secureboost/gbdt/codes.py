"""Sets of category codes as 256 bits.

A code is a bin of a column of categories, 0 to 254. A set of codes is `CODE_WORDS` 64-bit words:
bit ``code % 64`` of word ``code // 64``.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

CODE_WORDS = 4


def code_set(codes: Iterable[int]) -> NDArray[np.uint64]:
    """The set of these codes, shape (CODE_WORDS,), uint64.

    Raises
    ------
    IndexError
        If a code is negative or does not fit.
    """
    bits = np.zeros(64 * CODE_WORDS, dtype=np.uint8)
    chosen = np.fromiter(codes, dtype=np.int64)
    if len(chosen) and chosen.min() < 0:
        raise IndexError(f"a category code is {chosen.min()}; the smallest is 0")
    bits[chosen] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


def codes_in(words: NDArray[np.uint64]) -> tuple[int, ...]:
    """The codes of a set, ascending."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")
    return tuple(np.flatnonzero(bits).tolist())


def left_bins(codes: Sequence[int], missing_bin: int, missing_left: bool) -> NDArray[np.bool_]:
    """Whether rows of each bin go left at a split by categories, shape (256,), bool."""
    left = np.zeros(64 * CODE_WORDS, dtype=np.bool_)
    left[list(codes)] = True
    left[missing_bin] = missing_left
    return left
