"""Rows of the label party's tables, and where a feature party has them in an agreed order."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.alignment import ABSENT, Alignment
from secureboost.data import positions_text
from secureboost.errors import DataError


@dataclass(frozen=True, repr=False, eq=False)
class AlignedRows:
    """A table that was aligned with one feature party.

    Attributes
    ----------
    index : pandas.Index
        Ids of the table's rows, in its order: the label party's own, for looking rows up.
    alignment : Alignment
        The label party's view; its positions are of this table.

    Raises
    ------
    secureboost.errors.DataError
        If the alignment is of a longer table, or has one of its rows twice.
    """

    index: pd.Index
    alignment: Alignment

    def __post_init__(self) -> None:
        rows = self.alignment.rows
        n_rows = len(self.index)
        if rows.max(initial=ABSENT) >= n_rows:
            raise DataError(
                f"The alignment with {self.alignment.peer!r} is of a table with more than the "
                f"{n_rows:,} rows of this one. Align again, or take that table."
            )
        twice = np.bincount(rows[rows != ABSENT], minlength=n_rows) > 1
        if twice.any():
            raise DataError(
                f"The alignment with {self.alignment.peer!r} has {positions_text(twice)} of the "
                "table several times. Make a table with a row for each agreed row "
                "(table.iloc[alignment.rows]), with ids of its own."
            )

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """For each row of the table its place in the agreed order, or `ABSENT`; (n_rows,)."""
        places = np.full(len(self.index), ABSENT, dtype=np.int32)
        matched = np.flatnonzero(self.alignment.rows != ABSENT)
        places[self.alignment.rows[matched]] = matched
        return places

    @property
    def padding(self) -> NDArray[np.bool_]:
        """Which places of the agreed order are padding, shape (n_agreed,)."""
        return np.asarray(self.alignment.rows == ABSENT)

    @property
    def complete(self) -> bool:
        """Whether the party lacks all rows that are not agreed on.

        It may have some of them where it was aligned together with others: then the rows are agreed
        on that all of them have.
        """
        n_common = int(self.alignment.details.get("common keys", 0))
        return int(np.count_nonzero(~self.padding)) >= n_common

    def covers(self, index: pd.Index) -> bool:
        """Tell whether all of these ids are the table's, matched or not."""
        return bool((self.index.get_indexer(index) >= 0).all())

    def places_of(self, index: pd.Index) -> NDArray[np.int32]:
        """Places of the rows with these ids, which must be the table's; (len(index),), int32."""
        return self.places[self.index.get_indexer(index)]


Agreements = Mapping[str, AlignedRows]
"""By party what its rows are counted in; parties that share a list of ids with us are not in it."""


def nothing_common(index: pd.Index, party: str) -> AlignedRows:
    """What there is to know of a party that has none of these rows."""
    alignment = Alignment(
        id=secrets.token_bytes(32),
        rows=np.zeros(0, dtype=np.int32),
        table_digest=bytes(32),
        party="",
        peer=party,
        details={},
    )
    return AlignedRows(index, alignment)


def in_common(index: pd.Index, agreements: Agreements) -> NDArray[np.bool_]:
    """Which of the rows with these ids all of these parties have; shape (len(index),)."""
    common = np.ones(len(index), dtype=np.bool_)
    for rows in agreements.values():
        common &= rows.places_of(index) != ABSENT
    return common
