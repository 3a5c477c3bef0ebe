import numpy as np
import pandas as pd
import pytest

from secureboost.data import (
    check_ids,
    encode_labels,
    label_classes,
    match_rows,
    stratified_holdout,
)
from secureboost.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", None], "the id is missing in 1 row (data row 2)"),
        ([1.0, np.nan, np.nan], "the id is missing in 2 rows (data rows 2 and 3)"),
        (["a", "  "], "the id is blank in 1 row (data row 2)"),
        (["a", "b", "a"], "ids occur more than once in 2 rows (data rows 1 and 3)"),
        (pd.MultiIndex.from_tuples([(1, 2)]), "the index has 2 levels"),
    ],
)
def test_bad_ids(ids, message):
    with pytest.raises(DataError) as caught:
        check_ids(ids if isinstance(ids, pd.Index) else pd.Index(ids), "bureau")
    assert f"bureau: {message}" in str(caught.value)


def test_match_rows_finds_positions():
    positions = match_rows(pd.Index(["c", "a"]), pd.Index(["a", "b", "c"]), "bureau")
    assert positions.dtype == np.int64
    assert positions.tolist() == [2, 0]


def test_match_rows_counts_absent_rows_without_their_ids():
    with pytest.raises(DataError) as caught:
        match_rows(pd.Index(["a", "secret", "b"]), pd.Index(["a", "b"]), "bureau")
    message = str(caught.value)
    assert "bureau: its table lacks 1 of the 3 rows asked for: 1 row (data row 2)" in message
    assert "secret" not in message
    with pytest.raises(DataError, match="ids are numbers and the other's are text"):
        match_rows(pd.Index([1, 2]), pd.Index(["1", "2"]), "bureau")


@pytest.mark.parametrize(
    ("y", "positive", "expected"),
    [
        ([0, 1, 1], None, [0, 1, 1]),
        ([True, False], None, [1, 0]),
        ([0.0, 1.0], None, [0, 1]),
        (["good", "bad"], "bad", [0, 1]),
        ([1, 2], "2", [0, 1]),
        ([1, 2], 1, [1, 0]),
        (pd.Series(["a", "b"], dtype="string"), "a", [1, 0]),
    ],
)
def test_labels_become_zero_and_one(y, positive, expected):
    encoded = encode_labels(y, positive)
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == expected


@pytest.mark.parametrize(
    ("y", "positive", "message"),
    [
        ([1, 1], None, "the label has one class in 2 rows; it needs exactly two"),
        ([0, 1, 2], None, "the label has 3 classes in 3 rows"),
        ([0, 1, np.nan], None, "the label is missing in 1 row (data row 3)"),
        (["good", None], "good", "the label is missing in 1 row (data row 2)"),
        ([1, 2], None, "they are not 0 and 1. Name the class to predict: --positive"),
        (["good", "bad"], None, "they are not 0 and 1"),
        (["good", "bad"], "evil", "positive='evil' is neither of the label's two classes"),
        (np.asarray(["good", 1], dtype=object), "good", "the label mixes text and numbers"),
    ],
)
def test_bad_labels(y, positive, message):
    with pytest.raises(DataError) as caught:
        encode_labels(y, positive, "lender.csv")
    assert f"lender.csv: {message}" in str(caught.value) or message in str(caught.value)
    assert "good" not in str(caught.value)


def test_label_classes_are_sorted():
    assert label_classes(["b", "a", "b"]).tolist() == ["a", "b"]


def test_holdout_is_seeded_stratified_and_complete():
    labels = np.asarray([1] * 30 + [0] * 170, dtype=np.uint8)
    train, test = stratified_holdout(labels, 0.2, seed=5)
    assert len(test) == 40
    assert labels[test].sum() == 6
    assert sorted([*train, *test]) == list(range(200))
    assert (np.diff(train) > 0).all()
    np.testing.assert_array_equal(test, stratified_holdout(labels, 0.2, seed=5)[1])
    assert not np.array_equal(test, stratified_holdout(labels, 0.2, seed=6)[1])


def test_holdout_limits():
    with pytest.raises(ConfigError, match=r"test_size: is 1\.5; it must lie above 0 and below 1"):
        stratified_holdout(np.asarray([0, 1], dtype=np.uint8), 1.5, 0)
    with pytest.raises(DataError, match=r"3 rows are too few to hold out 0\.2 of them"):
        stratified_holdout(np.asarray([0, 0, 1], dtype=np.uint8), 0.2, 0)
