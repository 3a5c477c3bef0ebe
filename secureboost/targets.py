"""From a table to what a run learns: features, labels, and which rows are held out.

Everything is checked here, over all rows and before anybody is connected to, so that messages name
positions in the file and no hours are lost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.config import HoldOut
from secureboost.data import (
    distinct_labels,
    encode_labels,
    positions_text,
    stratified_holdout,
)
from secureboost.dates import out_of_time
from secureboost.errors import ConfigError, DataError, did_you_mean
from secureboost.eval_metrics import EvalMetric
from secureboost.features import feature_matrix
from secureboost.kinds import kind_of
from secureboost.kinds.base import Model
from secureboost.objectives import Objective, make_objective
from secureboost.objectives.base import Task
from secureboost.outcome import RunData
from secureboost.tables import take_target


def read_data(
    model: Model,
    table: pd.DataFrame,
    target: str | Sequence[str],
    hold_out: HoldOut,
    *,
    positive: object = None,
    file: str,
) -> RunData:
    """Take a table apart into features, labels and folds, and check all of it.

    Parameters
    ----------
    model : Model
        From `make_model`; says what is learnt.
    table : DataFrame
        Indexed by id.
    target : str or sequence of str
        Its column with the label, or the columns of several labels.
    hold_out : HoldOut
    positive : object
        The class to predict, see `data.encode_labels`.
    file : str
        For messages.

    Raises
    ------
    ConfigError, DataError
    """
    kind = kind_of(model)
    frame, column = take_target(table, target, file)
    X, dates = take_dates(frame, hold_out.date, file)
    task = task_of(model.objective)
    several = isinstance(column, pd.DataFrame)
    if several and not kind.takes_several_labels:
        raise ConfigError(
            "names several labels, which only networks learn; name one, or set trainer to splitnn",
            "target",
        )
    read = _read_several if several else read_labels
    y = read(column, task, positive, file)
    feature_matrix(X, file, categorical=model.categorical_features)
    folds = make_folds(y, task, hold_out, dates, file)
    if model.early_stopping_rounds is not None and "test" not in folds:
        raise ConfigError(
            "early_stopping_rounds needs rows that are held out; set test_size or test_from",
            kind.section,
        )
    train = folds["train"]
    of_training = column.iloc[train] if several else y[train]
    try:
        objective = model._targets(of_training, np.ones(len(train)))[2]
    except DataError:
        raise
    except ValueError as error:
        raise ConfigError(str(error), kind.section) from error
    if task == "multiclass":  # training rows have all classes
        objective = model._make_objective(len(np.unique(y)))
    record = {
        "test_size": None if hold_out.test_from else hold_out.share,
        "seed": None if hold_out.date else hold_out.seed,
        "date": hold_out.date,
        "test_from": hold_out.test_from,
    }
    data = RunData(X, y, objective, folds, record)
    check_metrics(kind.metrics(model, objective), objective, data.targets, folds)
    return data


def task_of(objective: str | None) -> Task:
    """What an objective learns, by its name; None is of two classes.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    # a regression ignores the number of classes
    return make_objective(objective or "binary:logistic", n_classes=2).task


def read_labels(column: "pd.Series[Any]", task: Task, positive: object, file: str) -> NDArray[Any]:
    """Check a label column and bring it into the form in which the estimators take it.

    Parameters
    ----------
    column : Series of shape (n_rows,)
    task : {"binary", "multiclass", "regression"}
    positive : object
        The class to predict, for two classes; see `data.encode_labels`.
    file : str
        For messages.

    Returns
    -------
    array of shape (n_rows,)
        uint8 0 and 1; classes as they are, whole floats as integers; or float64.

    Raises
    ------
    ConfigError
        If `positive` is given for another task.
    DataError
        If the labels cannot be learnt.
    """
    if task == "binary":
        return encode_labels(column, positive, file)
    if positive is not None:
        raise ConfigError("is for a label of two classes; leave it out", "positive")
    if task == "regression":
        return _numbers(column, file)
    classes = distinct_labels(column, file)
    if len(classes) < 2:
        raise DataError(f"{file}: the label has one class; it needs at least two.")
    labels = np.asarray(column)
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)  # integers that a gap in another row turned into floats
    return labels


def make_folds(
    y: NDArray[Any], task: Task, hold_out: HoldOut, dates: "pd.Series[Any] | None", file: str
) -> dict[str, NDArray[np.int64]]:
    """Decide which rows train and which are held out.

    Parameters
    ----------
    y : array of shape (n_rows,), or (n_rows, n_labels)
        Of several labels the first one's shares are kept.
    task : {"binary", "multiclass", "regression"}
    hold_out : HoldOut
    dates : Series of shape (n_rows,), optional
        Each row's day, where `hold_out` goes by days.
    file : str
        For messages.

    Raises
    ------
    ConfigError, DataError
        See `data.stratified_holdout` and `dates.out_of_time`; and if the classes of the rows on
        both sides differ.
    """
    if dates is not None and (hold_out.test_from is not None or hold_out.share):
        share = None if hold_out.test_from is not None else hold_out.share
        name = f"{file}: column {hold_out.date!r}"
        train, test = out_of_time(dates, test_from=hold_out.test_from, test_size=share, name=name)
    elif hold_out.share == 0:
        return {"train": np.arange(len(y))}
    else:
        stratify = task != "regression"
        first = y if y.ndim == 1 else y[:, 0]
        train, test = stratified_holdout(first, hold_out.share, hold_out.seed, stratify=stratify)
    folds = {"train": train, "test": test}
    if task != "regression":
        for label in np.atleast_2d(y.T):
            _check_classes(label, folds, task, file)
    return folds


def take_dates(
    X: pd.DataFrame, column: str | None, file: str
) -> tuple[pd.DataFrame, "pd.Series[Any] | None"]:
    """Separate the column of days from the features.

    Raises
    ------
    DataError
        If it is not there.
    """
    if column is None:
        return X, None
    names = [str(name) for name in X.columns]
    if column not in names:
        raise DataError(f"{file}: there is no date column {column!r}.{did_you_mean(column, names)}")
    return X.drop(columns=column), X[column]


def check_metrics(
    metrics: list[EvalMetric],
    objective: Objective,
    y: NDArray[np.float64],
    folds: dict[str, NDArray[np.int64]],
) -> None:
    """Refuse labels that cannot be learnt or on which a watched metric is not defined.

    Parameters
    ----------
    metrics : list of EvalMetric
    objective : Objective
    y : array of shape (n_rows,), float64
        As the objective takes them.
    folds : dict of str to array

    Raises
    ------
    DataError
    """
    try:
        objective.check_labels(y)
        for name, rows in folds.items():
            for metric in metrics:
                try:
                    metric.check_rows(y[rows], np.ones(len(rows)))
                except ValueError as error:
                    raise DataError(f"{name} rows: {error}") from error
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error


def _read_several(
    columns: pd.DataFrame, task: Task, positive: object, file: str
) -> NDArray[np.float64]:
    """Check the columns of several labels; each is 0 or 1. See `read_labels`."""
    if positive is not None or task != "binary":
        raise ConfigError(
            "several labels are 0 or 1 each; leave positive and objective out", "target"
        )
    read = [
        encode_labels(values, None, f"{file}, label {str(name)!r}")
        for name, values in columns.items()
    ]
    return np.stack(read, axis=1).astype(np.float64)


def _numbers(column: "pd.Series[Any]", file: str) -> NDArray[np.float64]:
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        raise DataError(
            f"{file}: the label is missing in {positions_text(missing)}. Drop those rows."
        )
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(f"{file}: the label is not numbers, which a regression needs.")
    return np.asarray(column.to_numpy(dtype=np.float64))


def _check_classes(
    y: NDArray[Any], folds: dict[str, NDArray[np.int64]], task: Task, file: str
) -> None:
    """Both sides need the classes: training all of them, the test rows at least no others."""
    present = {name: set(np.unique(y[rows]).tolist()) for name, rows in folds.items()}
    everything = set(np.unique(y).tolist())
    for name, classes in present.items():
        lacking = len(everything - classes)
        if lacking and (name == "train" or task == "binary"):
            raise DataError(
                f"{file}: {lacking} of {len(everything)} classes have no {name} rows. Hold out "
                "other rows (test_from, test_size), or drop these classes."
            )
