"""Held-out rows by their days."""

import datetime

import numpy as np
import pandas as pd
import pytest

from secureboost.dates import out_of_time
from secureboost.errors import ConfigError, DataError

DAYS = ["2023-01-31", "2023-07-01", "2022-12-01", "2023-06-30", "2023-07-02", "2023-07-01"]


@pytest.mark.parametrize(
    "dates",
    [
        DAYS,
        np.array(DAYS, dtype="datetime64[s]"),
        pd.Series(pd.to_datetime(DAYS), index=range(10, 16)),
        [datetime.date.fromisoformat(day) for day in DAYS],
        [f"{day}T23:59:59" for day in DAYS],
        pd.Series(pd.to_datetime(DAYS)).dt.tz_localize("UTC"),
    ],
    ids=["text", "numpy", "pandas", "dates", "times", "zone"],
)
@pytest.mark.parametrize("test_from", ["2023-07-01", datetime.date(2023, 7, 1)])
def test_rows_from_a_day_on(dates, test_from):
    train, test = out_of_time(dates, test_from=test_from)
    assert train.tolist() == [0, 2, 3]
    assert test.tolist() == [1, 4, 5]


@pytest.mark.parametrize(("share", "held_out"), [(0.1, [4]), (0.2, [1, 4, 5]), (0.6, [1, 3, 4, 5])])
def test_the_newest_share_in_whole_days(share, held_out):
    assert out_of_time(DAYS, test_size=share)[1].tolist() == held_out


def test_a_zone_is_turned_into_utc():
    dates = ["2023-07-01T01:00:00+02:00", "2023-07-01T03:00:00+02:00"]
    assert out_of_time(dates, test_from="2023-07-01")[1].tolist() == [1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give exactly one of test_from (a day) and test_size (a share)"),
        ({"test_from": "2023-07-01", "test_size": 0.2}, "give exactly one of test_from"),
        ({"test_size": 1.0}, "test_size: is 1.0; it must lie above 0 and below 1"),
        ({"test_from": "July"}, "test_from: 'July' is not a day; write it as 2023-07-01"),
        ({"test_from": 20230701}, "test_from: 20230701 is not a day"),
    ],
)
def test_settings_that_cannot_be(given, message):
    with pytest.raises(ConfigError) as caught:
        out_of_time(DAYS, **given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("dates", "given", "message"),
    [
        (
            [*DAYS, None],
            {"test_size": 0.2},
            "lender.csv: the date is missing in 1 row (data row 7). Fill it in",
        ),
        (
            [*DAYS, "secret", "1.7.2023"],
            {"test_size": 0.2},
            "2 rows (data rows 7 and 8) hold no date that can be read. Write dates as 2023-07-01.",
        ),
        ([20230701, 20230702], {"test_size": 0.2}, "lender.csv: numbers are no dates."),
        (
            DAYS,
            {"test_from": "2024-01-01"},
            "every row is before test_from=2024-01-01, so no test rows are left. Choose a day",
        ),
        (
            DAYS,
            {"test_from": "2022-12-01"},
            "every row is on or after test_from=2022-12-01, so no training rows are left.",
        ),
        (["2023-07-01"] * 5, {"test_size": 0.2}, "test_size=0.2 takes in every day that there is"),
    ],
)
def test_dates_that_cannot_be_used(dates, given, message):
    with pytest.raises(DataError) as caught:
        out_of_time(dates, **given, name="lender.csv")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
