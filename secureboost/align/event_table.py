"""Rows with keys and times: what each side brings to a join by time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.align.as_of import LaterDates
from secureboost.align.join_options import Terms
from secureboost.align.keys import Keys
from secureboost.alignment import Alignment
from secureboost.data import table_name
from secureboost.dates import TimeUnit, read_times
from secureboost.errors import DataError, did_you_mean


@dataclass(frozen=True, repr=False)
class EventTable:
    """A table of which customers may have many rows.

    Attributes
    ----------
    keys : Keys
        Of all rows (``duplicates="all"``).
    times : array of shape (n_rows,), int64
        For a window join in rough order: rows are taken in the order of the table.
    unit : {"days", "seconds", "numbers"}
        What the times are counted in.
    dates : mapping of str to array of shape (n_rows,), int64
        A feature party's columns that hold dates, `secureboost.dates.NO_DATE` where there is none:
        in an as-of join none of a matched row's may lie after the label row's time.
    later_dates : {"error", "drop"}
        What becomes of matches that break this.
    terms : AsOfTerms or WindowTerms, optional
        The only terms on which a feature party joins; None: any.
    max_held : int
        Events of a window join that a feature party holds in memory, 20 bytes each.

    Raises
    ------
    DataError
        If lengths differ.
    """

    keys: Keys
    times: NDArray[np.int64]
    unit: TimeUnit
    dates: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    later_dates: LaterDates = "error"
    terms: Terms | None = None
    max_held: int = 10_000_000

    def __post_init__(self) -> None:
        for what, values in {"times": self.times, **self.dates}.items():
            if len(values) != len(self.keys.number):
                raise DataError(f"{len(values):,} {what} for {len(self.keys.number):,} rows.")

    @property
    def digest(self) -> bytes:
        """Names the table: `secureboost.alignment.keys_digest` of all rows."""
        return self.keys.digest()

    def customers(self, keyed: Alignment) -> NDArray[np.int32]:
        """Number the customers of all rows by the rows of an alignment of keys.

        Parameters
        ----------
        keyed : Alignment
            Made with `different_keys`.

        Returns
        -------
        array of shape (n_rows,), int32
            -1 for rows of customers that are not listed.

        Raises
        ------
        AlignmentError
            If the alignment is of another table.
        """
        different = different_keys(self.keys)
        keyed.check_table(different.digest())
        # one more than there are keys: the last is for rows and customers without a key, number -1
        of_key = np.full(len(different.encoded) + 1, -1, np.int32)
        of_key[keyed.rows] = np.arange(len(keyed.rows), dtype=np.int32)
        of_key[-1] = -1
        return of_key[self.keys.number]


def different_keys(keys: Keys) -> Keys:
    """The different keys of a table as if each were one row: what is aligned before a join."""
    return replace(keys, number=np.arange(len(keys.encoded), dtype=np.int32))


def read_event_table(
    table: pd.DataFrame,
    keys: Keys,
    *,
    time: str,
    unit: TimeUnit,
    dates: Sequence[str] = (),
    later_dates: LaterDates = "error",
    terms: Terms | None = None,
    party: str = "",
) -> EventTable:
    """Read the columns of times and dates of a table.

    Parameters
    ----------
    table : DataFrame
    keys : Keys
        Of its rows, with ``duplicates="all"``.
    time : str
        The column with the time of each row.
    unit : {"days", "seconds", "numbers"}
        What times are counted in.
    dates : sequence of str
        Other columns that hold dates, see `EventTable.dates`; cells may be empty.
    later_dates : {"error", "drop"}
    terms : AsOfTerms or WindowTerms, optional
    party : str
        File or party to name in messages.

    Raises
    ------
    DataError
        If a column is missing or does not hold times.
    """
    times = {}
    for column in (time, *dates):
        if column not in table.columns:
            raise DataError(
                f"{table_name(party)}: there is no column {column!r}."
                f"{did_you_mean(column, map(str, table.columns))}"
            )
        name = f"{table_name(party)}: column {column!r}"
        times[column] = read_times(table[column], unit, name, may_be_missing=column != time)
    return EventTable(
        keys,
        times[time],
        unit,
        dates={column: times[column] for column in dates},
        later_dates=later_dates,
        terms=terms,
    )
