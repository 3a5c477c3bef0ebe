"""Label columns by what is learnt, and the folds that are made of their rows."""

import datetime

import numpy as np
import pandas as pd
import pytest

from secureboost.config import HoldOut
from secureboost.errors import ConfigError, DataError
from secureboost.eval_metrics import get_metric
from secureboost.objectives import make_objective
from secureboost.targets import check_metrics, make_folds, read_labels, take_dates, task_of


def test_the_task_of_an_objective():
    assert task_of(None) == "binary"
    assert task_of("binary:logistic") == "binary"
    assert task_of("multi:softprob") == "multiclass"
    assert task_of("reg:gamma") == task_of("count:poisson") == "regression"
    with pytest.raises(ValueError, match=r"objective='reg:gama' is unknown\. Did you mean"):
        task_of("reg:gama")


def test_labels_by_task():
    assert read_labels(pd.Series(["b", "a"]), "binary", "b", "t.csv").tolist() == [1, 0]
    assert read_labels(pd.Series(["b", "a", "c"]), "multiclass", None, "t.csv").tolist() == list(
        "bac"
    )
    whole = read_labels(pd.Series([1.0, 3.0, 2.0]), "multiclass", None, "t.csv")
    assert whole.dtype == np.int64
    numbers = read_labels(pd.Series([1, 2], dtype="Int64"), "regression", None, "t.csv")
    assert numbers.dtype == np.float64


@pytest.mark.parametrize(
    ("column", "task", "positive", "error", "message"),
    [
        (
            ["a", "b", "c"],
            "binary",
            None,
            DataError,
            "More classes need objective='multi:softprob'",
        ),
        (["a", "b"], "multiclass", "b", ConfigError, "positive: is for a label of two classes"),
        (["a", "a"], "multiclass", None, DataError, "t.csv: the label has one class"),
        (["a", None], "multiclass", None, DataError, "the label is missing in 1 row (data row 2)"),
        (["a", 1], "multiclass", None, DataError, "the label mixes text and numbers"),
        ([1.0, None], "regression", None, DataError, "the label is missing in 1 row (data row 2)"),
        (["a", "b"], "regression", None, DataError, "the label is not numbers, which a regression"),
    ],
)
def test_labels_that_cannot_be_learnt(column, task, positive, error, message):
    with pytest.raises(error) as caught:
        read_labels(pd.Series(column), task, positive, "t.csv")
    assert message in str(caught.value)


def test_folds_by_share_by_day_and_none():
    y, days = np.array([0, 1] * 10), pd.Series(pd.date_range("2023-01-01", periods=20))
    assert make_folds(y, "binary", HoldOut(0.0), None, "t").keys() == {"train"}
    random = make_folds(y, "binary", HoldOut(), None, "t")
    assert len(random["test"]) == 4
    assert y[random["test"]].sum() == 2
    newest = make_folds(y, "binary", HoldOut(date="day"), days, "t")
    assert newest["test"].tolist() == [16, 17, 18, 19]
    chosen = HoldOut(date="day", test_from=datetime.date(2023, 1, 11))
    assert make_folds(y, "binary", chosen, days, "t")["test"].tolist() == list(range(10, 20))
    numbers = make_folds(y + 0.5, "regression", HoldOut(0.5), None, "t")
    assert len(numbers["test"]) == 10


def test_folds_need_their_classes():
    y, days = np.array([0] * 9 + [1] + [0]), pd.Series(pd.date_range("2023-01-01", periods=11))
    with pytest.raises(DataError, match="t: 1 of 2 classes have no test rows"):
        make_folds(y, "binary", HoldOut(0.05, date="day"), days, "t")
    three = np.array(["a", "b"] * 5 + ["c"])
    with pytest.raises(DataError, match="t: 1 of 3 classes have no train rows"):
        make_folds(three, "multiclass", HoldOut(0.05, date="day"), days, "t")


def test_the_column_of_days_is_no_feature():
    frame = pd.DataFrame({"a": [1], "day": ["2023-01-01"]})
    X, dates = take_dates(frame, "day", "t.csv")
    assert list(X.columns) == ["a"]
    assert dates.tolist() == ["2023-01-01"]
    assert take_dates(frame, None, "t.csv")[0] is frame
    with pytest.raises(DataError, match=r"t\.csv: there is no date column 'dya'. Did you mean"):
        take_dates(frame, "dya", "t.csv")


def test_metrics_are_checked_on_every_fold():
    objective = make_objective("reg:gamma")
    folds = {"train": np.array([0, 1]), "test": np.array([2])}
    check_metrics([get_metric("rmse", objective)], objective, np.array([1.0, 2.0, 3.0]), folds)
    with pytest.raises(
        DataError, match=r"label must be positive for reg:gamma; it is not in 1 row"
    ):
        check_metrics([], objective, np.array([1.0, 0.0, 3.0]), folds)
    binary = make_objective("binary:logistic")
    with pytest.raises(DataError, match="test rows: eval_metric='auc' needs rows of every class"):
        check_metrics([get_metric("auc", binary)], binary, np.array([0.0, 1.0, 1.0]), folds)
