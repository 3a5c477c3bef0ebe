"""Several classes: one raw score for each, made probabilities by the softmax."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secureboost.objectives.base import MIN_HESSIAN, Floats, Objective


@dataclass(frozen=True)
class Softprob(Objective):
    """Log-loss of labels 0 .. K - 1 over K raw scores.

    Parameters
    ----------
    n_classes : int
        K, at least 2.
    """

    n_classes: int

    name = "multi:softprob"
    task = "multiclass"
    predicts = "probability"
    default_metric = "mlogloss"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_classes < 2:
            raise ValueError(
                f"objective={self.name!r} needs 2 classes or more, not {self.n_classes}"
            )

    @classmethod
    def for_classes(cls, n_classes: int, **parameters: Any) -> Self:
        """Make one; see `Objective.for_classes`."""
        return cls(n_classes, **parameters)

    @property
    def n_outputs(self) -> int:
        """One for each class."""
        return self.n_classes

    @property
    def domain(self) -> str:
        """Labels are numbers of classes."""
        return f"label must be discrete values in the range of [0, {self.n_classes})"

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Whether each label is the number of a class."""
        return np.asarray((y >= 0) & (y < self.n_classes) & (y == np.floor(y)))

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``p - [label is k]`` and ``max(2 p (1 - p), 1e-16)`` for each class k, times the weight.

        The true hessian has entries outside the diagonal; twice the diagonal bounds it
        (Friedman 2000; XGBoost does the same).
        """
        p = self.predict(raw)
        hessian = np.maximum(2.0 * p * (1.0 - p), MIN_HESSIAN)
        p[np.arange(len(y)), y.astype(np.intp)] -= 1.0
        return p * weight[:, np.newaxis], hessian * weight[:, np.newaxis]

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``log(sum_k exp(raw_k)) - raw_label``."""
        shifted = raw - raw.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(y)), y.astype(np.intp)]
        return float(np.average(np.log(np.exp(shifted).sum(axis=1)) - chosen, weights=weight))

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """Logarithms of the classes' weighted shares, less their mean, shape (K,).

        XGBoost does so since 3.1; before that every class began with 0.5.

        Raises
        ------
        ValueError
            If a class has no weight.
        """
        shares = np.bincount(y.astype(np.intp), weights=weight, minlength=self.n_classes)
        empty = int((shares <= 0.0).sum())
        if empty:
            raise ValueError(
                f"y: {empty} of the {self.n_classes} classes have no rows of positive weight; "
                "all are needed to train a classifier"
            )
        logs = np.log(shares)
        return np.asarray(logs - logs.mean())

    def raw_score(self, base_score: float) -> float:
        """The number itself, for every class: as in XGBoost it changes no probability."""
        return float(base_score)

    def predict(self, raw: Floats) -> Floats:
        """Probabilities of the classes, ``exp(raw_k) / sum_j exp(raw_j)``, shape (n_rows, K)."""
        p = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(p / p.sum(axis=1, keepdims=True))
