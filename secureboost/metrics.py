"""How well scores rank and how well they are calibrated: AUC, KS, Gini, log-loss, Brier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

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
    area = float(roc_auc_score(labels, scores, sample_weight=weights))
    return Metrics(
        auc=area,
        ks=_ks(labels, scores, weights),
        gini=2.0 * area - 1.0,
        log_loss=float(log_loss(labels, scores, sample_weight=weights, labels=[0, 1])),
        brier=float(brier_score_loss(labels, scores, sample_weight=weights)),
        rows=len(labels),
    )


def auc(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the area under the ROC curve; parameters and errors as in `evaluate`."""
    labels, scores, weights = _check(y, p, weight)
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def ks(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the Kolmogorov-Smirnov statistic; parameters and errors as in `evaluate`."""
    return _ks(*_check(y, p, weight))


def gini(y: ArrayLike, p: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return ``2 * auc - 1``; parameters and errors as in `evaluate`."""
    return 2.0 * auc(y, p, weight) - 1.0


def _ks(
    labels: NDArray[np.uint8], scores: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> float:
    # One point per distinct score: rows with equal scores cannot be told apart by any cut.
    false_rate, true_rate, _ = roc_curve(labels, scores, sample_weight=weights)
    return float(np.max(np.abs(true_rate - false_rate)))


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
