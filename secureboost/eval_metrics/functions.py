"""The formulas: XGBoost's where it has the metric, else scikit-learn's.

All take labels, predictions and weights of rows, and check nothing: they run after every tree. What
scikit-learn computes slowly (its checks of labels cost ten times the metric) is written out.
"""

import math
from collections.abc import Callable

import numpy as np
from sklearn.metrics import (
    mean_gamma_deviance,
    mean_poisson_deviance,
    mean_tweedie_deviance,
)

from secureboost.metrics import roc_area, roc_gap, roc_points
from secureboost.objectives.base import Floats
from secureboost.objectives.regression import PseudoHuberError

_SMALLEST = 1e-16  # of a probability or mean, as in XGBoost


def auc(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Area under the ROC curve; of several classes each against the rest, by their weight."""
    if prediction.ndim == 1:
        return roc_area(*roc_points(y, prediction, weight))
    shares = np.bincount(y.astype(np.intp), weights=weight, minlength=prediction.shape[1])
    return float(np.average(_one_against_rest(auc, y, prediction, weight), weights=shares))


def aucpr(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Area under the precision-recall curve; of several classes the mean of each against the rest.

    Between two points precision is interpolated as by XGBoost (Keilwagen, Grosse and Grau 2014),
    unlike in scikit-learn's `average_precision_score`.
    """
    if prediction.ndim == 2:
        return float(np.mean(_one_against_rest(aucpr, y, prediction, weight)))
    zeros, ones = roc_points(y, prediction, weight)
    rises = np.flatnonzero(np.diff(ones) > 0.0)  # recall is the same everywhere else
    new_ones, new_zeros = np.diff(ones)[rises], np.diff(zeros)[rises]
    # On a segment zeros = h ones + b; precision = ones / ((1 + h) ones + b) is integrated over ones
    h = new_zeros / new_ones
    b = zeros[rises] - h * ones[rises]
    before = zeros[rises] + ones[rises]
    growth = np.divide(new_zeros + new_ones, before, out=np.zeros_like(b), where=before > 0.0)
    area = (new_ones - b / (1.0 + h) * np.log1p(growth)) / (1.0 + h)
    return float(area.sum() / ones[-1])


def ks(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Kolmogorov-Smirnov statistic: the largest gap between the classes' distributions."""
    return roc_gap(*roc_points(y, prediction, weight))


def gini(y: Floats, prediction: Floats, weight: Floats) -> float:
    """``2 auc - 1``."""
    return 2.0 * auc(y, prediction, weight) - 1.0


def logloss(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean negative log-likelihood of a label 0 or 1."""
    return _mean_surprise(np.where(y == 1.0, prediction, 1.0 - prediction), weight)


def mlogloss(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean negative log-likelihood of the number of a class."""
    return _mean_surprise(prediction[np.arange(len(y)), y.astype(np.intp)], weight)


def error(y: Floats, prediction: Floats, weight: Floats, number: float = 0.5) -> float:
    """Share of rows that are on the wrong side of the threshold `number`."""
    return float(np.average((prediction > number) != (y == 1.0), weights=weight))


def merror(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Share of rows whose likeliest class is another than their own."""
    return float(np.average(prediction.argmax(axis=1) != y, weights=weight))


def rmse(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Root of the mean squared error."""
    return math.sqrt(np.average((prediction - y) ** 2, weights=weight))


def mae(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean absolute error."""
    return float(np.average(np.abs(prediction - y), weights=weight))


def mphe(y: Floats, prediction: Floats, weight: Floats, number: float = 1.0) -> float:
    """Mean pseudo-Huber error with the slope `number`."""
    return PseudoHuberError(number).loss(prediction, y, weight)


def poisson_deviance(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean deviance of a count."""
    return float(mean_poisson_deviance(y, prediction, sample_weight=weight))


def gamma_deviance(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean deviance of a positive amount."""
    return float(mean_gamma_deviance(y, prediction, sample_weight=weight))


def tweedie_deviance(y: Floats, prediction: Floats, weight: Floats, number: float = 1.5) -> float:
    """Mean deviance with the variance power `number`."""
    return float(mean_tweedie_deviance(y, prediction, sample_weight=weight, power=number))


def poisson_nloglik(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean negative log-likelihood of a count."""
    mean = np.maximum(prediction, _SMALLEST)
    log_factorial = np.fromiter(map(math.lgamma, y + 1.0), np.float64, len(y))
    return float(np.average(log_factorial + mean - y * np.log(mean), weights=weight))


def gamma_nloglik(y: Floats, prediction: Floats, weight: Floats) -> float:
    """Mean negative log-likelihood of a positive amount, with dispersion 1."""
    mean = np.maximum(prediction, 1e-6)  # as in XGBoost
    return float(np.average(y / mean + np.log(mean), weights=weight))


def tweedie_nloglik(y: Floats, prediction: Floats, weight: Floats, number: float = 1.5) -> float:
    """Mean negative quasi-likelihood with the variance power `number`."""
    a = y * prediction ** (1.0 - number) / (1.0 - number)
    b = prediction ** (2.0 - number) / (2.0 - number)
    return float(np.average(b - a, weights=weight))


def _mean_surprise(probability: Floats, weight: Floats) -> float:
    return float(-np.average(np.log(np.maximum(probability, _SMALLEST)), weights=weight))


def _one_against_rest(
    metric: Callable[[Floats, Floats, Floats], float], y: Floats, prediction: Floats, weight: Floats
) -> list[float]:
    return [
        metric((y == k).astype(np.float64), np.ascontiguousarray(prediction[:, k]), weight)
        for k in range(prediction.shape[1])
    ]
