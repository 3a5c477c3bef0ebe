"""A table of scores and the labels that go with it: what `secureboost evaluate` measures.

Messages count and name positions, and never repeat a score, an id or a label.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.data import positions_text
from secureboost.errors import ConfigError, DataError, did_you_mean
from secureboost.objectives import Objective, make_objective
from secureboost.quality import Quality, measure
from secureboost.targets import check_metrics, read_labels


def objective_of(name: str | None, table: pd.DataFrame, score: str) -> Objective:
    """What was learnt: as it is named, or as the columns of scores look.

    Parameters
    ----------
    name : str, optional
    table : DataFrame
        Scores.
    score : str
        Its column with scores; of several classes the beginning of the columns' names.

    Raises
    ------
    ConfigError
        If there is no such objective.
    """
    classes = class_columns(table, score)
    if name is None:
        name = "multi:softprob" if classes and score not in table.columns else "binary:logistic"
    try:
        return make_objective(name, n_classes=max(2, len(classes)))
    except ValueError as error:
        raise ConfigError(str(error), "--objective") from error


def class_columns(table: pd.DataFrame, score: str) -> list[str]:
    """The columns with the scores of several classes: ``score_<class>``."""
    return [str(name) for name in table.columns if str(name).startswith(f"{score}_")]


def read_predictions(
    table: pd.DataFrame, score: str, objective: Objective, file: str
) -> NDArray[np.float64]:
    """Scores as `quality.measure` takes them, shape (n_rows,) or (n_rows, n_classes).

    Raises
    ------
    DataError
        If there are none, or they are not what the objective predicts.
    """
    if objective.task != "multiclass":
        return _numbers(table, score, objective, file)
    names = class_columns(table, score)
    if len(names) < 2:
        raise DataError(f"{file}: there are no columns {score}_<class> with the scores of classes.")
    return np.column_stack([_numbers(table, name, objective, file) for name in names])


def choose_folds(table: pd.DataFrame, wanted: str | None, file: str) -> "pd.Series[Any]":
    """Return each row's fold as text, missing where another one was asked for.

    Raises
    ------
    DataError
    """
    if "fold" not in table.columns:
        if wanted is not None:
            raise DataError(
                f"{file}: there is no column 'fold', so --fold {wanted} cannot be chosen. Leave "
                "--fold out."
            )
        return pd.Series("all", index=table.index)
    missing = np.asarray(table["fold"].isna(), dtype=bool)
    if missing.any():
        raise DataError(f"{file}: 'fold' is missing in {positions_text(missing)}. Fill it in.")
    folds = table["fold"].astype(str)
    if wanted is None:
        return folds
    present = [str(name) for name in folds.unique()]
    if wanted not in present:
        raise DataError(
            f"{file}: there is no fold {wanted!r}.{did_you_mean(wanted, present)} "
            f"The folds are: {', '.join(present)}."
        )
    return folds.where(folds == wanted)


def check_labelled(
    ids: pd.Index, folds: "pd.Series[Any]", labelled: pd.Index, scores: str, labels: str
) -> None:
    """Refuse scored rows of the wanted folds that have no label.

    Raises
    ------
    DataError
    """
    absent = np.asarray(folds.notna()) & ~ids.isin(labelled)
    if absent.any():
        raise DataError(
            f"{labels}: it has no label for {positions_text(absent)} of {scores}. Compare how both "
            "files write ids (leading zeros, spaces, upper and lower case), or score only rows "
            "with a known outcome."
        )


def true_labels(
    outcome: "pd.Series[Any]",
    table: pd.DataFrame,
    score: str,
    objective: Objective,
    positive: str | None,
    file: str,
) -> NDArray[np.float64]:
    """Outcomes as the objective takes them; classes by the order of the columns of scores.

    Raises
    ------
    ConfigError, DataError
        See `targets.read_labels`; also if a class has no column of scores.
    """
    labels = read_labels(outcome, objective.task, positive, file)
    if objective.task == "multiclass":
        names = [name.removeprefix(f"{score}_") for name in class_columns(table, score)]
        number = {name: float(k) for k, name in enumerate(names)}
        labels = np.array([number.get(str(label), np.nan) for label in labels.tolist()])
        unknown = np.isnan(labels)
        if unknown.any():
            raise DataError(
                f"{file}: the label is a class without a column of scores in "
                f"{positions_text(unknown)}. Drop those rows, or name the target of the training."
            )
    labels = labels.astype(np.float64)
    check_metrics([], objective, labels, {})
    return labels


def measure_fold(
    objective: Objective,
    y: NDArray[np.float64],
    predicted: NDArray[np.float64],
    rows: NDArray[np.bool_],
    fold: str,
) -> Quality:
    """Measure the rows of a fold; an error names it."""
    try:
        return measure(objective, y[rows], predicted[rows])
    except DataError as error:
        raise DataError(f"fold {fold!r}: {error}") from error


def column_of(table: pd.DataFrame, name: str, role: str, file: str) -> "pd.Series[Any]":
    """Take a column.

    Raises
    ------
    DataError
        If it is not there; the nearest is named.
    """
    present = [str(column) for column in table.columns]
    if name not in present:
        raise DataError(
            f"{file}: there is no {role} column {name!r}.{did_you_mean(name, present)} "
            f"The columns are: {', '.join(present)}."
        )
    return table[name]


def _numbers(
    table: pd.DataFrame, column: str, objective: Objective, file: str
) -> NDArray[np.float64]:
    values = column_of(table, column, "score", file)
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise DataError(f"{file}: column {column!r} is not numbers; name the scores with --score.")
    scores = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    checks = [(np.isnan(scores), "is missing"), (np.isinf(scores), "is infinite")]
    if objective.predicts == "probability":
        checks.append(((scores < 0) | (scores > 1), "is outside [0, 1]"))
    elif objective.predicts == "positive":
        checks.append((scores <= 0, "is not above 0"))
    for bad, what in checks:
        if bad.any():
            wanted = "a probability" if objective.predicts == "probability" else "a prediction"
            raise DataError(
                f"{file}: {column!r} {what} in {positions_text(bad)}. It must be {wanted}."
            )
    return scores
