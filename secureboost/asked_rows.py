"""The rows that a partner is asked about in prediction, padding among them, chunk by chunk."""

import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.alignment import ABSENT
from secureboost.row_order import RowOrder


@dataclass(frozen=True, repr=False)
class AskedRows:
    """All that one partner is to be asked about.

    Attributes
    ----------
    rows : array of shape (n_rows,), int32
        Its positions of our rows, in the order in which they are asked about; `ABSENT` for a row
        that it does not have.
    padding : array of shape (n_padding,), int32
        Its positions of padding rows.
    goes_with : array of shape (n_padding,), int64
        For each the place in `rows` of the row with which it is asked about, ascending.
    """

    rows: NDArray[np.int32]
    padding: NDArray[np.int32]
    goes_with: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        rows: NDArray[np.int32],
        padding: NDArray[np.int32],
        goes_with: NDArray[np.int64],
        order: RowOrder,
    ) -> "AskedRows":
        """Put a partner's rows, and padding with them, into an order; see `partner.Partner`.

        Where that is the order of its positions, padding is asked about between the rows that it
        lies between; it would stand out beside others.
        """
        rows = rows[order.rows]
        held = np.flatnonzero(rows != ABSENT)
        if np.all(np.diff(rows[held]) > 0):
            before = np.searchsorted(rows[held], padding) - 1
            # with either neighbour, so that a question does not always begin with a row of ours
            drawn = np.frombuffer(secrets.token_bytes(len(before)), np.uint8) & 1
            places = held[np.clip(before + drawn, 0, len(held) - 1)]
        else:
            places = order.places[goes_with]
        behind = np.argsort(places, kind="stable")
        return cls(rows, padding[behind], places[behind])

    def about(self, first: int, behind: int) -> "Question":
        """Ask about a chunk of rows and the padding that goes with them."""
        held = self.rows[first:behind] != ABSENT
        begin, end = np.searchsorted(self.goes_with, [first, behind])
        named = np.concatenate([self.rows[first:behind][held], self.padding[begin:end]])
        order = np.argsort(named, kind="stable")
        return Question(named[order], held, np.argsort(order, kind="stable")[: held.sum()])


@dataclass(frozen=True, repr=False)
class Question:
    """What one partner is asked about a chunk of rows; nothing if it has none of them.

    Attributes
    ----------
    rows : array of shape (n_asked,), int32
        Its positions, ascending.
    held : array of shape (n_rows,), bool
        Which of our rows it has.
    answers : array of shape (n_held,), int64
        Where these stand in `rows`.
    """

    rows: NDArray[np.int32]
    held: NDArray[np.bool_]
    answers: NDArray[np.int64]

    def __bool__(self) -> bool:
        return len(self.rows) > 0
