"""Padding rows: rows of feature parties' that did not match, hidden among those that did.

A feature party must not tell them from the others, so they go where other rows go. Each padding row
has a companion, a row of the label party's drawn once from the alignment's secret: it is trained
on, evaluated or scored with it and never without it, in whatever session. Rows are named in the
agreed order (`row_order`), in which padding lies anywhere. Its own columns have values drawn
from the other rows, column by column: with none, all padding rows would go to one side at every
split of the label party's. Their weight is 0, so their gradients are encryptions of zero.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.aligned_rows import Agreements, AlignedRows
from secureboost.alignment import ABSENT
from secureboost.errors import DataError


@dataclass(frozen=True, repr=False)
class Places:
    """Rows to train on with padding behind them, then rows to evaluate with padding behind them.

    Attributes
    ----------
    agreed : array of shape (n_all,), int32
        Each one's place in the agreed order.
    source : array of shape (n_all,), int64
        Which row of ours it is; `ABSENT` for padding.
    n_training : int
        The first so many are trained on.
    secret : bytes
        Of the alignment.
    """

    agreed: NDArray[np.int32]
    source: NDArray[np.int64]
    n_training: int
    secret: bytes

    @property
    def padding(self) -> NDArray[np.bool_]:
        """Which are padding, shape (n_all,)."""
        return np.asarray(self.source == ABSENT)

    @property
    def of_rows(self) -> NDArray[np.int64]:
        """Where each row of ours stands, shape (n_rows,)."""
        ours = np.flatnonzero(~self.padding)
        places = np.empty(len(ours), dtype=np.int64)
        places[self.source[ours]] = ours
        return places

    def training(self, values: NDArray[np.float64], padding: float) -> NDArray[np.float64]:
        """Values of training rows in their places, with one for padding.

        Parameters
        ----------
        values : array of shape (n_rows_trained_on,), float64
        padding : float

        Returns
        -------
        array of shape (n_training,), float64
        """
        source = self.source[: self.n_training]
        return np.where(source == ABSENT, padding, values[source])

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of all rows of ours in their places, with zeros for padding.

        Parameters
        ----------
        raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
        """
        placed = raw[self.source]
        placed[self.padding] = 0.0
        return placed

    def columns(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Own columns in their places; of padding each value is drawn from its column.

        Parameters
        ----------
        X : array of shape (n_rows, n_features), float32

        Returns
        -------
        array of shape (n_all, n_features), float32, Fortran order
        """
        placed = np.asfortranarray(X[self.source])
        padding = np.flatnonzero(self.padding)
        for feature in range(X.shape[1]):
            drawn = draw(self.secret, f"column {feature}", len(padding), len(X))
            placed[padding, feature] = X[drawn, feature]
        return placed


def place_rows(agreements: Agreements, index: pd.Index | None, n_training: int) -> Places | None:
    """Place rows to train on and the padding that goes with them; None if there is no padding.

    Parameters
    ----------
    agreements : Agreements
    index : pandas.Index, optional
        Ids of our rows, which all of these parties have.
    n_training : int
        The first so many are trained on, the others only evaluated.

    Raises
    ------
    secureboost.errors.DataError
        If one party has padding and another was aligned apart from it.
    """
    padded = [rows for rows in agreements.values() if rows.padding.any()]
    if index is None or not padded:
        return None
    first = padded[0]
    for party, rows in agreements.items():
        if not np.array_equal(rows.alignment.rows, first.alignment.rows):
            raise DataError(
                f"{first.alignment.peer!r} lists padding rows, and {party!r} was aligned apart "
                "from it, so it has none that go with them. Align all parties together."
            )
    goes_with = companions(first, index)
    padding = first.padding & (goes_with != ABSENT)
    trained = np.flatnonzero(padding & (goes_with < n_training))
    evaluated = np.flatnonzero(padding & (goes_with >= n_training))
    places, own = first.places_of(index), np.arange(len(index))
    agreed: list[NDArray[Any]] = [
        places[:n_training],
        trained,
        places[n_training:],
        evaluated,
    ]
    none = np.full(len(padding), ABSENT)
    source = [own[:n_training], none[: len(trained)], own[n_training:], none[: len(evaluated)]]
    return Places(
        np.concatenate(agreed).astype(np.int32),
        np.concatenate(source),
        n_training + len(trained),
        first.alignment.secret,
    )


def companions(aligned: AlignedRows, index: pd.Index) -> NDArray[np.int64]:
    """Say for each place of an agreed order with which of these rows it is used.

    Parameters
    ----------
    aligned : AlignedRows
    index : pandas.Index
        Ids of rows of the aligned table.

    Returns
    -------
    array of shape (n_agreed,), int64
        Position in `index` of the row that stands there or, where padding stands, of its companion;
        `ABSENT` where that is none of these rows.
    """
    goes_with = np.full(len(aligned.alignment), ABSENT, dtype=np.int64)
    places = aligned.places_of(index)
    held = np.flatnonzero(places != ABSENT)
    goes_with[places[held]] = held
    padding = aligned.padding
    matched = np.flatnonzero(~padding)
    leads = draw(aligned.alignment.secret, "companions", int(padding.sum()), len(matched))
    goes_with[padding] = goes_with[matched[leads]]
    return goes_with


def draw(secret: bytes, purpose: str, count: int, n: int) -> NDArray[np.int64]:
    """Draw numbers below `n` that only who knows the secret can foretell, the same each time.

    They are SHAKE-256 of secret and purpose, 64 bits a number, modulo `n`: the bias is below
    ``n / 2**64``.

    Parameters
    ----------
    secret : bytes
    purpose : str
        Other purposes give other numbers.
    count, n : int

    Returns
    -------
    array of shape (count,), int64
    """
    if count == 0:
        return np.empty(0, dtype=np.int64)
    stream = hashlib.shake_256(b"secureboost padding\0" + purpose.encode() + b"\0" + secret)
    numbers = np.frombuffer(stream.digest(8 * count), dtype="<u8")
    return (numbers % np.uint64(n)).astype(np.int64)
