"""How well scores rank and how well they are calibrated: AUC, KS, Gini, log-loss, Brier."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import brier_score_loss, log_loss

from secureboost.errors import DataError


@dataclass(frozen=True)
class Metrics:
    """Quality of probabilities on one set of rows.

    Attributes
    ----------
    auc : float
        Area under the ROC curve.
    ks : float
        Kolmogorov-Smirnov statistic: the largest gap between the two classes' distributions of
        scores.
    gini : float
        ``2 * auc - 1``.
    log_loss : float
        Mean negative log-likelihood, in nats.
    brier : float
        Mean squared error of the probabilities.
    rows : int
        Number of rows.
    """

    auc: float
    ks: float
    gini: float
    log_loss: float
    brier: float
    rows: int


def evaluate(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> Metrics:
    """Compute all metrics.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels, 0 or 1.
    p : array-like of shape (n_rows,)
        Probabilities of class 1.
    weight : array-like of shape (n_rows,), optional
        Weight of each row, not negative.

    Raises
    ------
    DataError
        If shapes differ, there are no rows, a probability is outside [0, 1], a label is not 0/1,
        a weight cannot be used, or only one class has weight.
    """
    labels, scores, weights = _check(y, p, weight)
    points = roc_points(labels, scores, weights)
    area = roc_area(*points)
    return Metrics(
        auc=area,
        ks=roc_gap(*points),
        gini=2.0 * area - 1.0,
        log_loss=float(log_loss(labels, scores, sample_weight=weights, labels=[0, 1])),
        brier=float(brier_score_loss(labels, scores, sample_weight=weights)),
        rows=len(labels),
    )


def auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve; parameters and errors as in `evaluate`."""
    return roc_area(*roc_points(*_check(y, p, weight)))


def ks(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the Kolmogorov-Smirnov statistic; parameters and errors as in `evaluate`."""
    return roc_gap(*roc_points(*_check(y, p, weight)))


def gini(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return ``2 * auc - 1``; parameters and errors as in `evaluate`."""
    return 2.0 * auc(y, p, weight) - 1.0


def roc_points(
    y: NDArray[Any], score: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of the zeros and of the ones above each cut, from the highest score down.

    scikit-learn's `roc_curve` without its checks, which take longer than the curve: this one is
    for after every tree. There is one point per distinct score, because rows with equal scores
    cannot be told apart by any cut.

    Parameters
    ----------
    y : array of shape (n_rows,)
        1, or anything else for the other class.
    score : array of shape (n_rows,), float64
        Finite; at least one row.
    weight : array of shape (n_rows,), float64, optional

    Returns
    -------
    zeros, ones : arrays of shape (n_points,), float64
        Begin with 0 and end with the whole weight of the class.
    """
    order = np.argsort(-score)
    falling = score[order]
    ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(order) - 1)
    is_one = y[order] == 1
    mass = np.ones(len(order)) if weight is None else weight[order]
    ones = np.cumsum(np.where(is_one, mass, 0.0))[ends]
    zeros = np.cumsum(np.where(is_one, 0.0, mass))[ends]
    return np.append(0.0, zeros), np.append(0.0, ones)


def roc_area(zeros: NDArray[np.float64], ones: NDArray[np.float64]) -> float:
    """Area under the ROC curve of `roc_points`; both classes need weight."""
    area = float(np.diff(zeros) @ (ones[1:] + ones[:-1])) / 2.0
    return min(1.0, area / float(zeros[-1] * ones[-1]))


def roc_gap(zeros: NDArray[np.float64], ones: NDArray[np.float64]) -> float:
    """Largest gap between the two rates of `roc_points`; both classes need weight."""
    return float(np.max(np.abs(ones / ones[-1] - zeros / zeros[-1])))


def _check(
    y: ArrayLike, p: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64] | None]:
    labels = np.asarray(y)
    scores = np.asarray(p, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            f"metrics need one label and one probability per row; y has shape {labels.shape} and "
            f"p has shape {scores.shape}."
        )
    if len(labels) == 0:
        raise DataError("metrics need rows; y is empty.")
    _refuse(~np.isin(labels, (0, 1)), "y is neither 0 nor 1", "Encode the label first.")
    _refuse(~((scores >= 0) & (scores <= 1)), "p is outside [0, 1]", "Pass probabilities.")
    weights = None if weight is None else np.asarray(weight, dtype=np.float64)
    if weights is not None:
        if weights.shape != labels.shape:
            raise DataError(f"weight has shape {weights.shape} but y has {labels.shape}.")
        bad = ~(np.isfinite(weights) & (weights >= 0))
        _refuse(bad, "weight is negative, infinite or missing", "Correct or drop those rows.")
    counted = labels if weights is None else labels[weights > 0]
    if len(np.unique(counted)) != 2:
        raise DataError(
            f"metrics need both classes; the {len(counted):,} rows that count are all of one. "
            "Evaluate on more rows."
        )
    return labels.astype(np.uint8), scores, weights


def _refuse(bad: NDArray[np.bool_], what: str, remedy: str) -> None:
    if bad.any():
        first = int(np.argmax(bad)) + 1
        raise DataError(f"{what} in {int(bad.sum()):,} rows, first at row {first}. {remedy}")
