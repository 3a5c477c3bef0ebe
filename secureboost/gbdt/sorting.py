"""Compiled loops of `gbdt.joint`: in which cells rows lie, and rows in the order of their cells.

They work in as little memory as there can be: a plan is made of all rows of a node at once.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel

AnyInt = TypeVar("AnyInt", np.int32, np.int64)


@kernel
def cell_codes(
    binned: NDArray[np.uint8],
    rows: NDArray[np.int32],
    features: NDArray[np.int32],
    n_bins: NDArray[np.int32],
    max_bin: int,
) -> NDArray[np.uint8]:
    """Cell of each row in each feature, shape (n_features, n_rows); missing is the last.

    There are at most 255 bins and the missing one, so a byte holds it.
    """
    codes = np.empty((len(features), len(rows)), np.uint8)
    for f in range(len(features)):
        column = binned[features[f]]
        for i in range(len(rows)):
            value = column[rows[i]]
            codes[f, i] = n_bins[f] if value == max_bin else value
    return codes


@kernel
def count_distinct(codes: NDArray[np.int32], n_codes: int) -> int:
    """How many of ``0 .. n_codes - 1`` occur."""
    occurs = np.zeros(n_codes, np.bool_)
    for code in codes:
        occurs[code] = True
    return int(np.count_nonzero(occurs))


@kernel
def counting_sort(
    codes: NDArray[np.int32], values: NDArray[AnyInt], n_codes: int
) -> tuple[NDArray[AnyInt], NDArray[np.int64]]:
    """Values in the stable order of their codes, and how often each code occurs.

    Parameters
    ----------
    codes : array of shape (n,), int32
        Within ``0 .. n_codes - 1``.
    values : array of shape (n,), int32 or int64
    n_codes : int
    """
    sizes = np.zeros(n_codes, np.int64)
    for code in codes:
        sizes[code] += 1
    cursor = np.empty(n_codes, np.int64)
    total = 0
    for code in range(n_codes):
        cursor[code] = total
        total += sizes[code]
    in_order = np.empty_like(values)
    for i in range(len(codes)):
        code = codes[i]
        in_order[cursor[code]] = values[i]
        cursor[code] += 1
    return in_order, sizes
