"""The partner's newest row on the day of the application, and what came after it."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.align.as_of import check_later_dates, newest_rows, sort_rows
from secureboost.dates import NO_DATE, TIME_LIMIT
from secureboost.errors import DataError


def events(pairs):
    customers = np.array([customer for customer, _ in pairs], np.int32)
    return customers, np.array([time for _, time in pairs], np.int64)


def twin(applications, rows, window, lag):
    """As the definition says, row by row."""
    found = []
    for customer, time in applications:
        fitting = [
            (row_time, position)
            for position, (row_customer, row_time) in enumerate(rows)
            if row_customer == customer >= 0 and lag <= time - row_time <= window
        ]
        found.append(max(fitting)[1] if fitting else -1)
    return found


some = st.lists(st.tuples(st.integers(-1, 3), st.integers(-6, 6)), max_size=25)


@pytest.mark.kernels
@given(some, some, st.integers(0, 12), st.integers(0, 3))
def test_newest_row_against_twin(applications, rows, window, lag):
    found = sort_rows(*events(rows), 4, "bureau").newest(
        *events(applications), window=window, lag=lag
    )
    assert found.dtype == np.int32
    assert found.tolist() == twin(applications, rows, window, lag)


def find(applications, rows, **options):
    found = sort_rows(*events(rows), 2, "bureau").newest(*events(applications), **options)
    return found.tolist()


def test_the_future_is_never_taken():
    rows = [(0, 10), (0, 31), (0, 32)]
    assert find([(0, 30), (0, 31), (0, 9)], rows, window=100) == [0, 1, -1]


def test_a_row_of_the_same_day_counts_as_known_but_with_a_lag():
    rows = [(0, 10), (0, 30)]
    assert find([(0, 30)], rows, window=100) == [1]
    assert find([(0, 30)], rows, window=100, lag=1) == [0]
    assert find([(0, 30)], rows, window=5, lag=1) == [-1]


def test_window_takes_in_its_border():
    assert find([(1, 30), (1, 31)], [(1, 20)], window=10) == [0, -1]


def test_of_equal_times_the_last_row_of_the_table():
    assert find([(1, 5)], [(1, 5), (0, 5), (1, 5), (1, 4)], window=0) == [2]


def test_rows_serve_several_applications_and_unknown_customers_none():
    assert find([(0, 5), (0, 6), (-1, 5)], [(0, 4), (-1, 5)], window=9) == [0, 0, -1]


@pytest.mark.parametrize("time", [TIME_LIMIT, -TIME_LIMIT])
def test_no_overflow_at_the_limits(time):
    assert find([(0, time)], [(0, -TIME_LIMIT)], window=TIME_LIMIT, lag=0) == [
        0 if time < 0 else -1
    ]


def test_empty_sides():
    assert find([], [(0, 1)], window=1) == []
    assert find([(0, 1)], [], window=1) == [-1]


@pytest.mark.parametrize(
    ("customers", "times", "message"),
    [
        (
            np.array([0, 2], np.int32),
            np.array([1, 1]),
            "in 1 row (data row 2); it must be",
        ),
        (np.array([-2], np.int32), np.array([1]), "bureau: the customer number is out of its"),
        (np.array([0], np.int32), np.array([1, 2]), "bureau: 1 customers for 2 times"),
        (np.array([0]), np.array([1]), "customers have 1 dimensions and type int64"),
        (np.array([0], np.int32), np.array([1.5]), "times have 1 dimensions and type float64"),
        (
            np.array([0], np.int32),
            np.array([2**61 + 1]),
            "time lies beyond plus or minus 2**61",
        ),
    ],
)
def test_rows_that_cannot_be_used(customers, times, message):
    with pytest.raises(DataError) as caught:
        sort_rows(customers, times, 2, "bureau")
    assert message in str(caught.value)


# --- dates after the application

FOUND = np.array([2, -1, 0, 1], np.int32)
TIMES = np.array([10, 10, 20, 30], np.int64)
LATE = {
    "opened": np.array([20, 31, 10, 99], np.int64),
    "closed": np.array([NO_DATE, 31, 11, 99], np.int64),
}


def test_dates_up_to_the_application_pass():
    dates = {"opened": np.array([20, 30, 10, 99]), "closed": np.full(4, NO_DATE)}
    assert check_later_dates(FOUND, TIMES, dates, "bureau").tolist() == FOUND.tolist()
    assert check_later_dates(FOUND, TIMES, {}, "bureau") is not FOUND


def test_dates_after_the_application_are_refused():
    with pytest.raises(DataError) as caught:
        check_later_dates(FOUND, TIMES, LATE, "bureau.csv")
    assert (
        "bureau.csv: 2 of 3 matches are with rows that hold a date after the application: column "
        "'opened' in 1 row (data row 2); column 'closed' in 2 rows (data rows 2 and 3). Such rows "
        "know the future."
    ) in str(caught.value)


def test_or_dropped_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        kept = check_later_dates(FOUND, TIMES, LATE, "bureau.csv", "drop")
    assert kept.tolist() == [-1, -1, 0, -1]
    assert FOUND.tolist() == [2, -1, 0, 1]
    assert "2 of 3 matches" in caplog.text
    assert "'closed' in 2 rows (data rows 2 and 3). These matches are dropped" in caplog.text


def test_the_kernel_leaves_its_inputs_alone():
    rows = sort_rows(*events([(0, 1), (1, 2)]), 2, "bureau")
    frozen = [array.copy() for array in (rows.starts, rows.times, rows.rows)]
    found = np.empty(1, np.int32)
    newest_rows(rows.starts, rows.times, rows.rows, *events([(1, 5)]), 9, 0, found)
    assert found.tolist() == [1]
    for before, after in zip(frozen, (rows.starts, rows.times, rows.rows), strict=True):
        assert np.array_equal(before, after)
