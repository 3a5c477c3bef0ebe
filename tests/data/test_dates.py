"""Columns of dates as numbers that can be compared."""

import datetime

import numpy as np
import pandas as pd
import pytest

from secureboost.dates import NO_DATE, TIME_LIMIT, read_times
from secureboost.errors import ConfigError, DataError

DAY = 19539  # 2023-07-01


@pytest.mark.parametrize(
    "dates",
    [
        ["2023-07-01", "1969-12-31"],
        ["2023-07-01T23:59:59", "1969-12-31T00:00:01"],
        ["2023-07-02T01:30:00+02:00", "1970-01-01T00:30:00+01:00"],
        np.array(["2023-07-01", "1969-12-31"], "datetime64[s]"),
        [datetime.date(2023, 7, 1), datetime.date(1969, 12, 31)],
        pd.Series(pd.to_datetime(["2023-07-01", "1969-12-31"]), index=[7, 3]),
    ],
    ids=["text", "times", "zones", "numpy", "dates", "pandas"],
)
def test_days(dates):
    times = read_times(dates, "days", "applied")
    assert times.tolist() == [DAY, -1]
    assert times.dtype == np.int64


def test_seconds_cut_off_what_is_less():
    dates = ["1970-01-01T00:01:00.999", "1969-12-31T23:59:59.5", "2023-07-01"]
    assert read_times(dates, "seconds", "applied").tolist() == [60, -1, DAY * 86400]


@pytest.mark.parametrize("dtype", ["int64", "int16", "uint64", "Int64"])
def test_numbers_stay_as_they_are(dtype):
    assert read_times(pd.Series([3, 1, 2], dtype=dtype), "numbers", "t").tolist() == [3, 1, 2]


def test_missing_dates_where_they_may_be():
    dates = pd.Series(["2023-07-01", None, "2023-07-02"], index=[5, 6, 7])
    times = read_times(dates, "days", "closed", may_be_missing=True)
    assert times.tolist() == [DAY, NO_DATE, DAY + 1]
    numbers = pd.Series([None, 4], dtype="Int64")
    assert read_times(numbers, "numbers", "t", may_be_missing=True).tolist() == [NO_DATE, 4]
    nothing = pd.Series([None, None], dtype=float)
    assert read_times(nothing, "days", "t", may_be_missing=True).tolist() == [NO_DATE] * 2
    assert NO_DATE < -TIME_LIMIT


@pytest.mark.parametrize(
    ("column", "unit", "message"),
    [
        (["2023-07-01", None], "days", "applied: the date is missing in 1 row (data row 2)."),
        (["2023-07-01", "secret", "x"], "days", "2 rows (data rows 2 and 3) hold no date that"),
        ([1, 2], "days", "applied: numbers are no dates."),
        (["2023-07-01"], "numbers", "times are counted in numbers, and the column holds"),
        ([1.0, 2.0], "numbers", "and the column holds float64. Give whole numbers"),
        ([1, 2**61 + 1], "numbers", "1 row (data row 2) hold a time beyond plus or minus 2**61"),
        ([-(2**61) - 1], "numbers", "1 row (data row 1) hold a time beyond plus or minus 2**61"),
        (np.array([0, 2**64 - 1], np.uint64), "numbers", "1 row (data row 2) hold a time beyond"),
    ],
)
def test_columns_that_cannot_be_used(column, unit, message):
    with pytest.raises(DataError) as caught:
        read_times(column, unit, "applied")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_missing_and_unreadable_dates_are_named_by_their_place():
    with pytest.raises(DataError, match=r"1 row \(data row 3\) hold no date"):
        read_times(["2023-07-01", None, "x"], "days", "closed", may_be_missing=True)


def test_an_unknown_unit():
    with pytest.raises(ConfigError, match="unit: is 'weeks'; use one of: days, seconds, numbers"):
        read_times([1], "weeks", "t")
