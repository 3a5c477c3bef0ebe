"""Numbers: squared and pseudo-Huber error on them, Poisson, gamma and Tweedie on their logarithm.

The formulas are XGBoost's. The last three share the log link: the raw score is the logarithm of
the mean, and the best constant is the logarithm of the labels' mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from secureboost.objectives.base import Floats, Limits, Objective, exp_clipped

_POISSON_MAX_DELTA_STEP = 0.7
_HALVINGS = 60
"""After so many an interval has shrunk by the precision of a float64 and more."""


class _Identity(Objective):
    """The raw score is the prediction; any finite label can be learnt."""

    task = "regression"
    predicts = "real"
    domain = "label must be finite"

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Every finite label can be learnt."""
        return np.ones(len(y), dtype=np.bool_)

    def raw_score(self, base_score: float) -> float:
        """The number itself."""
        return float(base_score)

    def predict(self, raw: Floats) -> Floats:
        """The raw scores themselves."""
        return raw


@dataclass(frozen=True)
class SquaredError(_Identity):
    """Half the squared difference."""

    name = "reg:squarederror"
    default_metric = "rmse"

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``raw - y`` and 1, times the weight."""
        return (raw - y) * weight, weight.astype(np.float64)

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``(raw - y)^2 / 2``."""
        return float(np.average((raw - y) ** 2, weights=weight)) / 2.0

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """The weighted mean."""
        return np.array([np.average(y, weights=weight)])


@dataclass(frozen=True)
class PseudoHuberError(_Identity):
    """Squared near zero, absolute far from it: ``s^2 (sqrt(1 + (r / s)^2) - 1)``.

    Parameters
    ----------
    huber_slope : float, default=1
        s: where it turns from one to the other, in units of the label. Labels that vary over many
        times that have tiny hessians: scale it to the label, or lower `min_child_weight`.
    """

    huber_slope: float = 1.0

    name = "reg:pseudohubererror"
    default_metric = "mphe"
    limits: ClassVar[Mapping[str, Limits]] = {"huber_slope": Limits(1e-30, 1e30)}

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``r c`` and ``c^3`` with ``c = 1 / sqrt(1 + (r / s)^2)``, times the weight."""
        residual = raw - y
        cosine = self.huber_slope / np.hypot(self.huber_slope, residual)  # never overflows
        return residual * cosine * weight, cosine**3 * weight

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``s^2 (sqrt(1 + (r / s)^2) - 1)``."""
        residual = raw - y
        # s (hypot - s), without the cancellation at small residuals
        root = np.hypot(self.huber_slope, residual) + self.huber_slope
        return float(np.average(self.huber_slope * residual * (residual / root), weights=weight))

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """The minimiser, which lies between mean and median, by halving.

        XGBoost takes one Newton step from 0 instead, which for labels far from 0 ends further away
        than it began.
        """
        low, high = float(y.min()), float(y.max())
        for _ in range(_HALVINGS):
            middle = low / 2.0 + high / 2.0
            gradient, _hessian = self.gradients(np.full(len(y), middle), y, weight)
            low, high = (low, middle) if gradient.sum() > 0.0 else (middle, high)
        return np.array([low / 2.0 + high / 2.0])


class _LogLink(Objective):
    """The raw score is the logarithm of the prediction, clipped to +-88.7 (see `exp_clipped`)."""

    task = "regression"
    predicts = "positive"
    domain = "label must be non-negative"

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Whether each label is at least 0."""
        return y >= 0.0

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """Logarithm of the weighted mean.

        Raises
        ------
        ValueError
            If the labels of positive weight are all zero.
        """
        mean = float(np.average(y, weights=weight))
        if mean <= 0.0:
            raise ValueError(
                f"y: every label of positive weight is zero; {self.name} needs some above zero"
            )
        return np.array([self.raw_score(mean)])

    def raw_score(self, base_score: float) -> float:
        """Logarithm of a mean.

        Raises
        ------
        ValueError
            If `base_score` is not above 0.
        """
        if not base_score > 0.0:
            raise ValueError(
                f"base_score={base_score}: {self.name} takes a number above 0; None takes the "
                "mean of the training labels"
            )
        return float(np.log(base_score))

    def predict(self, raw: Floats) -> Floats:
        """The means, ``exp(raw)``."""
        return exp_clipped(raw)


@dataclass(frozen=True)
class Poisson(_LogLink):
    """Negative log-likelihood of a count.

    Parameters
    ----------
    max_delta_step : float, default=0.7
        XGBoost damps the steps by a hessian that is ``exp(max_delta_step)`` times the true one. It
        has one parameter of that name for this *and* for the largest leaf value of a tree, with
        the default 0.7 for both under this objective (else 0, no limit); a value that is given
        counts for both.
    """

    max_delta_step: float = _POISSON_MAX_DELTA_STEP

    name = "count:poisson"
    default_metric = "poisson-nloglik"
    limits: ClassVar[Mapping[str, Limits]] = {"max_delta_step": Limits(0.0)}
    default_max_delta_step = _POISSON_MAX_DELTA_STEP

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``exp(raw) - y`` and ``exp(raw + max_delta_step)``, times the weight."""
        hessian = exp_clipped(raw + self.max_delta_step)
        return (self.predict(raw) - y) * weight, hessian * weight

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``exp(raw) - y raw``."""
        return float(np.average(self.predict(raw) - y * raw, weights=weight))


@dataclass(frozen=True)
class Gamma(_LogLink):
    """Negative log-likelihood of a positive amount whose spread grows with its mean."""

    name = "reg:gamma"
    default_metric = "gamma-deviance"
    domain = "label must be positive"

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Whether each label is above 0."""
        return y > 0.0

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``1 - y exp(-raw)`` and ``y exp(-raw)``, times the weight."""
        ratio = y * exp_clipped(-raw)
        return (1.0 - ratio) * weight, ratio * weight

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``raw + y exp(-raw)``."""
        return float(np.average(raw + y * exp_clipped(-raw), weights=weight))


@dataclass(frozen=True)
class Tweedie(_LogLink):
    """Negative quasi-likelihood of an amount that is often zero, such as the claims of a year.

    Parameters
    ----------
    tweedie_variance_power : float, default=1.5
        p: the variance grows as ``mean^p``, from Poisson (1) to gamma (2), both excluded.
    """

    tweedie_variance_power: float = 1.5

    name = "reg:tweedie"
    limits: ClassVar[Mapping[str, Limits]] = {"tweedie_variance_power": Limits(1.0, 2.0, open=True)}

    @property
    def default_metric(self) -> str:
        """XGBoost's, at the power that is trained with."""
        return f"tweedie-nloglik@{self.tweedie_variance_power:g}"

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """``b - a`` and ``(2 - p) b + (p - 1) a``, times the weight.

        With ``a = y exp((1 - p) raw)`` and ``b = exp((2 - p) raw)``.
        """
        a, b = self._terms(raw, y)
        power = self.tweedie_variance_power
        return (b - a) * weight, ((2.0 - power) * b + (power - 1.0) * a) * weight

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of ``b / (2 - p) - a / (1 - p)``; see `gradients`."""
        a, b = self._terms(raw, y)
        power = self.tweedie_variance_power
        return float(np.average(b / (2.0 - power) - a / (1.0 - power), weights=weight))

    def _terms(self, raw: Floats, y: Floats) -> tuple[Floats, Floats]:
        power = self.tweedie_variance_power
        return y * exp_clipped((1.0 - power) * raw), exp_clipped((2.0 - power) * raw)
