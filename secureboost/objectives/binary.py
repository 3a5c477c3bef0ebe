"""Two classes: the probability of label 1."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secureboost.objectives.base import MIN_HESSIAN, Floats, Objective


@dataclass(frozen=True)
class BinaryLogistic(Objective):
    """Log-loss of a label 0 or 1; the raw score is the log-odds."""

    name = "binary:logistic"
    task = "binary"
    predicts = "probability"
    default_metric = "logloss"
    domain = "label must be 0 or 1"

    @classmethod
    def for_classes(cls, n_classes: int, **parameters: Any) -> Self:
        """Make one; see `Objective.for_classes`."""
        if n_classes != 2:
            raise ValueError(
                f"objective={cls.name!r} is for 2 classes, but y has {n_classes}; "
                "multi:softprob is for several"
            )
        return cls(**parameters)

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Whether each label is 0 or 1."""
        return np.asarray((y == 0.0) | (y == 1.0))

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``p - y`` and ``max(p (1 - p), 1e-16)`` with p the probability, times the weight."""
        p = self.predict(raw)
        return (p - y) * weight, np.maximum(p * (1.0 - p), MIN_HESSIAN) * weight

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``log(1 + exp(raw)) - y raw``."""
        return float(np.average(np.logaddexp(0.0, raw) - y * raw, weights=weight))

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """Log-odds of the weighted share of ones.

        Raises
        ------
        ValueError
            If one of the two classes has no weight.
        """
        prior = float(np.average(y, weights=weight))
        if not 0.0 < prior < 1.0:
            raise ValueError(
                "y: one of the two classes has no rows of positive weight; "
                "both are needed to train a classifier"
            )
        return np.array([self.raw_score(prior)])

    def raw_score(self, base_score: float) -> float:
        """Log-odds of a probability.

        Raises
        ------
        ValueError
            If `base_score` is not a probability strictly between 0 and 1.
        """
        if not 0.0 < base_score < 1.0:
            raise ValueError(
                f"base_score={base_score}: {self.name} takes a probability between 0 and 1, "
                "both excluded; None takes the share of ones in the training rows"
            )
        return float(np.log(base_score) - np.log1p(-base_score))

    def predict(self, raw: Floats) -> Floats:
        """Probability of label 1, ``1 / (1 + exp(-raw))``."""
        small = np.exp(-np.abs(raw))  # never overflows
        return np.where(raw < 0, small, 1.0) / (1.0 + small)
