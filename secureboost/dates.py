"""Columns of dates: as days, as numbers that can be compared, and as a border between rows.

Messages count and name positions; they never repeat a date.
"""

import datetime
import math
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secureboost.data import positions_text
from secureboost.errors import ConfigError, DataError

TimeUnit: TypeAlias = Literal["days", "seconds", "numbers"]
"""How times are counted: days or seconds since 1970-01-01 UTC, or whole numbers as they are."""

TIME_LIMIT = 2**61
"""Times lie within plus and minus this, so that a window can be added without overflow. Nanoseconds
since 1970 do so until 2043."""

NO_DATE = -(2**63)
"""The time of a missing date where it may be missing: before every other."""


def out_of_time(
    dates: ArrayLike,
    *,
    test_from: str | datetime.date | None = None,
    test_size: float | None = None,
    name: str = "dates",
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into earlier ones to train on and later ones to test on.

    Parameters
    ----------
    dates : array-like of shape (n_rows,)
        A day for each row: ISO 8601 text (``2023-07-01``, with or without a time of day), dates,
        or pandas' datetimes. A time without a zone is UTC.
    test_from : str or date, optional
        Rows of this day and later ones are held out.
    test_size : float, optional
        Instead of `test_from`: the newest rows are held out, at least this share of all, and whole
        days.
    name : str
        What holds the dates, for messages.

    Returns
    -------
    train, test : arrays of int64
        Row positions, ascending.

    Raises
    ------
    ConfigError
        If not exactly one of `test_from` and `test_size` is given, or it is out of its limits.
    DataError
        If a date is missing or cannot be read, or no rows are left on one side.

    Examples
    --------
    >>> train, test = out_of_time(lender["applied"], test_from="2023-07-01")
    >>> model.fit(X.iloc[train], y[train], eval_set=[(X.iloc[test], y[test])])
    """
    days = read_days(dates, name)
    if (test_from is None) == (test_size is None):
        raise ConfigError("give exactly one of test_from (a day) and test_size (a share)")
    if test_size is not None:
        if not 0 < test_size < 1:
            raise ConfigError(f"is {test_size}; it must lie above 0 and below 1", "test_size")
        first = np.sort(days)[::-1][math.ceil(test_size * len(days)) - 1]
    else:
        try:
            first = read_days([test_from], "test_from")[0]
        except DataError:
            raise ConfigError(
                f"{test_from!r} is not a day; write it as 2023-07-01", "test_from"
            ) from None
    held_out = days >= first
    if held_out.all() or not held_out.any():
        kind, side = ("test", "before") if not held_out.any() else ("training", "on or after")
        day = np.datetime_as_string(first, "D")
        if test_size is None:
            problem = f"every row is {side} test_from={day}"
        else:
            problem = f"test_size={test_size:g} takes in every day that there is"
        raise DataError(
            f"{name}: {problem}, so no {kind} rows are left. Choose a day between the first and "
            "the last."
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def read_days(dates: Any, name: str) -> NDArray[np.datetime64]:
    """Read dates as days.

    Parameters
    ----------
    dates : array-like of shape (n_rows,)
        See `out_of_time`.
    name : str
        What holds the dates, for messages.

    Returns
    -------
    array of shape (n_rows,), datetime64[D]

    Raises
    ------
    DataError
        If a date is missing or cannot be read, or the column holds numbers.
    """
    column = pd.Series(dates).reset_index(drop=True)
    _check_complete(column, name)
    return _read_dates(column, name).astype("datetime64[D]")


def read_times(
    column: Any, unit: TimeUnit, name: str, *, may_be_missing: bool = False
) -> NDArray[np.int64]:
    """Read times as numbers that can be compared.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Dates as `out_of_time` takes them for ``"days"`` and ``"seconds"``, whole numbers for
        ``"numbers"``.
    unit : {"days", "seconds", "numbers"}
        Parts of a unit are cut off.
    name : str
        What holds the times, for messages.
    may_be_missing : bool
        Missing dates are allowed, and become `NO_DATE`.

    Returns
    -------
    array of shape (n_rows,), int64

    Raises
    ------
    ConfigError
        If there is no such unit.
    DataError
        If a time is missing, cannot be read, or does not lie within `TIME_LIMIT`.
    """
    if unit not in get_args(TimeUnit):
        raise ConfigError(f"is {unit!r}; use one of: {', '.join(get_args(TimeUnit))}", "unit")
    series = pd.Series(column).reset_index(drop=True)
    missing = series.isna().to_numpy(dtype=bool)
    if not may_be_missing:
        _check_complete(series, name)
    times = np.full(len(series), NO_DATE, np.int64)
    if missing.all():
        return times
    present = series[~missing]
    if unit == "numbers":
        times[~missing] = _read_numbers(present, name)
    else:
        resolution = "D" if unit == "days" else "s"
        dates = _read_dates(present, name)
        times[~missing] = dates.astype(f"datetime64[{resolution}]").astype(np.int64)
    return times


def _check_complete(column: "pd.Series[Any]", name: str) -> None:
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        raise DataError(
            f"{name}: the date is missing in {positions_text(missing)}. Fill it in or drop those "
            "rows."
        )


def _read_dates(column: "pd.Series[Any]", name: str) -> NDArray[np.datetime64]:
    """Dates in UTC; the index holds the positions to name."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(f"{name}: numbers are no dates. Write them as 2023-07-01.")
    dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    bad = dates.isna()
    if bad.any():
        raise DataError(
            f"{name}: {positions_text(_at(bad))} hold no date that can be read. Write dates as "
            "2023-07-01."
        )
    return np.asarray(dates.dt.tz_localize(None).to_numpy())


def _read_numbers(column: "pd.Series[Any]", name: str) -> NDArray[np.int64]:
    """Whole numbers; the index holds the positions to name."""
    if not pd.api.types.is_integer_dtype(column.dtype):
        raise DataError(
            f"{name}: times are counted in numbers, and the column holds {column.dtype}. Give "
            "whole numbers, or count the times in days or seconds."
        )
    beyond = (column > TIME_LIMIT) | (column < -TIME_LIMIT)
    if beyond.any():
        raise DataError(
            f"{name}: {positions_text(_at(beyond))} hold a time beyond plus or minus 2**61. Count "
            "in a larger unit."
        )
    return column.to_numpy(dtype=np.int64)


def _at(bad: "pd.Series[bool]") -> NDArray[np.bool_]:
    """A mask over positions of the table from one over some of its rows."""
    mask = np.zeros(int(bad.index.max()) + 1, np.bool_)
    mask[bad.index[bad.to_numpy(dtype=bool)]] = True
    return mask
