"""What is minimised: loss, gradient, hessian, and the bounds that the encryption relies on.

A new objective is one class here and its line in `OBJECTIVES`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

MIN_HESSIAN = 1e-16  # as in XGBoost: a row that is quite certain still has a curvature


class Objective(ABC):
    """A loss over raw scores (sums of leaf values), with its first two derivatives.

    Attributes
    ----------
    name : str
        XGBoost's name.
    max_abs_gradient, max_hessian : float
        Bounds for a row of weight 1. Widths of packed ciphertexts are proven from them.
    """

    name: ClassVar[str]
    max_abs_gradient: ClassVar[float]
    max_hessian: ClassVar[float]

    @abstractmethod
    def gradients(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """First and second derivative of each row's loss by its raw score, times its weight.

        Parameters
        ----------
        raw, y, weight : arrays of shape (n_rows,), float64

        Returns
        -------
        gradient, hessian : arrays of shape (n_rows,), float64
            ``hessian >= 0``.
        """

    @abstractmethod
    def loss(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> float:
        """Weighted mean of the rows' losses."""

    @abstractmethod
    def base_score(self, y: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
        """The best constant raw score for these labels."""

    @abstractmethod
    def raw_score(self, base_score: float) -> float:
        """The raw score of a prediction (the link): of the parameter `base_score`."""

    @abstractmethod
    def predict(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """The predictions of raw scores (the inverse link)."""


class BinaryLogistic(Objective):
    """Log-loss of a label 0 or 1; the raw score is the log-odds."""

    name = "binary:logistic"
    max_abs_gradient = 1.0
    max_hessian = 0.25

    def gradients(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``p - y`` and ``p (1 - p)`` with p the probability, times the weight."""
        p = self.predict(raw)
        return (p - y) * weight, np.maximum(p * (1.0 - p), MIN_HESSIAN) * weight

    def loss(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> float:
        """Weighted mean of ``log(1 + exp(raw)) - y raw``."""
        return float(np.average(np.logaddexp(0.0, raw) - y * raw, weights=weight))

    def base_score(self, y: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
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
        return self.raw_score(prior)

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

    def predict(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of label 1, ``1 / (1 + exp(-raw))``."""
        small = np.exp(-np.abs(raw))  # never overflows
        return np.where(raw < 0, small, 1.0) / (1.0 + small)


OBJECTIVES: dict[str, type[Objective]] = {kind.name: kind for kind in (BinaryLogistic,)}
