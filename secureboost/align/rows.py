"""From keys to rows of a table."""

import numpy as np
from numpy.typing import NDArray

from secureboost.align.keys import Keys
from secureboost.alignment import ABSENT


def has_one_row_each(keys: Keys) -> bool:
    """Tell whether no key stands for several rows."""
    return int(np.count_nonzero(keys.number >= 0)) == len(keys.encoded)


def rows_of(keys: Keys, listed: NDArray[np.int32]) -> NDArray[np.int32]:
    """Turn positions of keys into positions of rows, with one row for each key.

    Parameters
    ----------
    keys : Keys
    listed : array of shape (n,), int32
        Positions in ``keys.encoded``, or -1.

    Returns
    -------
    array of shape (n,), int32
        Positions in the table; `ABSENT` where `listed` is -1.
    """
    row_of_key = np.full(len(keys.encoded) + 1, ABSENT, dtype=np.int32)
    rows = np.flatnonzero(keys.number >= 0)
    row_of_key[keys.number[rows]] = rows
    return row_of_key[listed]  # -1 is the place behind all keys
