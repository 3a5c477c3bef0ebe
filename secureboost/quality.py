"""How good predictions are, by what was learnt: the numbers that a run reports for each fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.eval_metrics import get_metric
from secureboost.metrics import evaluate
from secureboost.objectives import Objective
from secureboost.splitnn.several import names_of

HEADINGS = {
    "auc": "AUC",
    "ks": "KS",
    "gini": "Gini",
    "log_loss": "log-loss",
    "brier": "Brier",
    "accuracy": "accuracy",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R2",
}
"""How tables call a number; others go by their names (`heading`)."""


def heading(name: str) -> str:
    """How tables call a number; of a label its name comes behind."""
    metric, colon, label = name.partition(":")
    return f"{HEADINGS.get(metric, metric)}{colon}{label}"


_DEVIANCES = {
    "count:poisson": "poisson-deviance",
    "reg:gamma": "gamma-deviance",
    "reg:tweedie": "tweedie-deviance",
}


@dataclass(frozen=True)
class Quality:
    """Quality of the predictions of one fold.

    Attributes
    ----------
    rows : int
    values : mapping of str to float
        By name; the first is what models are compared by.
    """

    rows: int
    values: Mapping[str, float]

    @property
    def main(self) -> tuple[str, float]:
        """Name and value of the first number."""
        return next(iter(self.values.items()))

    def as_json(self) -> dict[str, float]:
        """The numbers side by side, as files have them."""
        return {**self.values, "rows": self.rows}


def measure(objective: Objective, y: NDArray[Any], prediction: NDArray[np.float64]) -> Quality:
    """Measure predictions by what the objective learns.

    Parameters
    ----------
    objective : Objective
    y : array of shape (n_rows,) or (n_rows, n_labels)
        Labels as the objective takes them: 0 and 1, numbers of classes, or numbers.
    prediction : array of shape (n_rows,) or (n_rows, K), float64
        Probabilities of class 1, of every class or label, or predicted numbers.

    Raises
    ------
    DataError
        For two classes as `metrics.evaluate`.
    """
    if labels := names_of(objective):
        return Quality(len(y), _of_labels(labels, y, prediction))
    if objective.task == "binary":
        return Quality(len(y), _of_two_classes(y, prediction))
    values = _of_classes if objective.task == "multiclass" else _of_numbers
    return Quality(len(y), values(objective, y.astype(np.float64), prediction))


def watched_metrics(objective: Objective) -> list[str]:
    """What the command line watches after each round by default; the last one is shown.

    For two classes that is the AUC; early stopping goes by it too.
    """
    if objective.task == "binary":
        return ["logloss", "auc"]
    first = "merror" if objective.task == "multiclass" else "rmse"
    return list(dict.fromkeys([first, objective.default_metric]))


def quality_table(
    folds: Mapping[str, Quality],
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Heads and rows of a table, a fold per row; None where a fold lacks a number."""
    names = list(dict.fromkeys(name for found in folds.values() for name in found.values))
    heads = ("fold", "rows", *map(heading, names))
    return heads, [
        (fold, found.rows, *(found.values.get(name) for name in names))
        for fold, found in folds.items()
    ]


def _of_two_classes(y: NDArray[Any], prediction: NDArray[np.float64]) -> dict[str, float]:
    found = evaluate(y, prediction)
    return {name: getattr(found, name) for name in ("auc", "ks", "gini", "log_loss", "brier")}


def _of_labels(
    labels: Sequence[str], y: NDArray[Any], prediction: NDArray[np.float64]
) -> dict[str, float]:
    """AUC, KS and log-loss of each label, by the names that metrics of training have."""
    found = [_of_two_classes(y[:, place], prediction[:, place]) for place in range(len(labels))]
    return {
        f"{name}: {label}": of_label[name]
        for name in ("auc", "ks", "log_loss")
        for label, of_label in zip(labels, found, strict=True)
    }


def _of_classes(
    objective: Objective, y: NDArray[np.float64], prediction: NDArray[np.float64]
) -> dict[str, float]:
    values = {"accuracy": float(np.mean(prediction.argmax(axis=1) == y))}
    if len(np.unique(y)) == objective.n_outputs:  # else it is not defined
        values["auc"] = _value("auc", objective, y, prediction)
    return values | {"log_loss": _value("mlogloss", objective, y, prediction)}


def _of_numbers(
    objective: Objective, y: NDArray[np.float64], prediction: NDArray[np.float64]
) -> dict[str, float]:
    values = {name: _value(name, objective, y, prediction) for name in ("rmse", "mae")}
    if spread := float(np.sum((y - y.mean()) ** 2)):
        values["r2"] = 1.0 - float(np.sum((y - prediction) ** 2)) / spread
    own = _DEVIANCES.get(objective.name)
    return values | ({own: _value(own, objective, y, prediction)} if own else {})


def _value(
    name: str, objective: Objective, y: NDArray[np.float64], prediction: NDArray[np.float64]
) -> float:
    return get_metric(name, objective)(y, prediction, np.ones(len(y)))


def mean_by_group(
    y: NDArray[np.float64], prediction: NDArray[np.float64], groups: int
) -> Sequence[tuple[float, float]]:
    """Mean prediction and mean label of equally large groups of rows, ordered by prediction."""
    order = np.argsort(prediction, kind="stable")
    shares = [rows for rows in np.array_split(order, groups) if len(rows)]
    return [(float(prediction[rows].mean()), float(y[rows].mean())) for rows in shares]
