"""Rows of a table that have the same key: refused, one of them taken, or all of them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secureboost.align.cells import rows_text
from secureboost.errors import DataError

Duplicates: TypeAlias = Literal["error", "first", "last", "all"]
"""What happens to rows of one key; all of them may stay where events are joined."""


@dataclass(frozen=True, repr=False)
class Settled:
    """What became of rows that have the same key.

    Attributes
    ----------
    number : array of shape (n_rows,), int32
        For each row the number of its key; -1: the row is left out.
    n_repeated : int
        Rows with a key that a row before them has.
    notes : tuple of str
        For people.
    """

    number: NDArray[np.int32]
    n_repeated: int
    notes: tuple[str, ...]


def settle_duplicates(
    number: NDArray[np.int32],
    writing: NDArray[np.int64],
    n_keys: int,
    choice: Duplicates,
    name: str,
    setting: str = "duplicates",
) -> Settled:
    """Choose among rows of one key.

    Parameters
    ----------
    number : array of shape (n_rows,), int32
        For each row the number of its key, in the order in which rows first have them; -1: none.
    writing : array of shape (n_rows,), int64
        Different for rows that are written differently.
    n_keys : int
    choice : Duplicates
    name : str
        The table, for messages.
    setting : str
        What makes the choice, for messages.

    Raises
    ------
    DataError
        If there are such rows and the choice is ``"error"``.
    """
    rows = np.flatnonzero(number >= 0)
    keys = number[rows]
    n_repeated = len(rows) - n_keys
    if not n_repeated:
        return Settled(number, 0, ())
    first, last = np.empty(n_keys, np.intp), np.empty(n_keys, np.intp)
    first[keys[::-1]] = rows[::-1]  # where a key comes again, what is assigned last stays
    last[keys] = rows
    where = rows_text(rows[(first != last)[keys]])
    differs = np.zeros(n_keys, np.bool_)
    differs[keys[writing[rows] != writing[first[keys]]]] = True
    if differs.any():
        where += (
            f", of which {rows_text(rows[differs[keys]])} differ in writing and are equal after "
            "normalisation"
        )
    problem = f"ids occur more than once in {where}"
    if choice == "error":
        raise DataError(
            f"{name}: {problem}. Keep one row per id, or choose one by {setting}='first' or 'last'."
        )
    if choice == "all":
        return Settled(number, n_repeated, (problem,))
    chosen = np.full(len(number), -1, np.int32)
    chosen[first if choice == "first" else last] = np.arange(n_keys, dtype=np.int32)
    return Settled(chosen, n_repeated, (f"{problem}; only the {choice} of each is taken",))
