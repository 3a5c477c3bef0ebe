"""What an objective is: a loss over raw scores with its first two derivatives."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from secureboost.data import positions_text

Floats = NDArray[np.float64]
Task = Literal["binary", "multiclass", "regression"]
Prediction = Literal["probability", "positive", "real", "raw"]

MIN_HESSIAN = 1e-16  # as in XGBoost: a row that is quite certain still has a curvature
MAX_EXPONENT = 88.7  # where XGBoost clips; exp() of more is beyond its float32
_LARGEST_LABEL = float(np.finfo(np.float32).max)  # labels are float32 in XGBoost


@dataclass(frozen=True)
class Limits:
    """Where a parameter of an objective must lie; the ends belong to it unless it is `open`."""

    low: float
    high: float = math.inf
    open: bool = False

    def check(self, name: str, value: object, objective: str) -> None:
        """Raise ValueError, naming parameter, value and limits, if `value` lies outside."""
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r} is not a finite number")
        number = float(value)
        inside = self.low < number < self.high if self.open else self.low <= number <= self.high
        if not inside:
            low, high = ("above", "below") if self.open else ("at least", "at most")
            upper = f" and {high} {self.high:g}" if self.high < math.inf else ""
            raise ValueError(
                f"{name}={value}: {objective} takes a number {low} {self.low:g}{upper}"
            )


class Objective(ABC):
    """A loss over raw scores (sums of leaf values), with its first two derivatives.

    Raw scores, gradients and hessians have shape (n_rows,) if there is one output and
    (n_rows, n_outputs) if there are several. A subclass is a frozen dataclass whose fields are its
    parameters, under XGBoost's names.

    Attributes
    ----------
    name : str
        XGBoost's name.
    limits : mapping of str to Limits
        Its parameters and where they must lie.
    default_max_delta_step : float
        What the parameter `max_delta_step` of the *trees* is if it is not given; 0 is no limit.
    """

    name: ClassVar[str]
    limits: ClassVar[Mapping[str, Limits]] = MappingProxyType({})
    default_max_delta_step: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        for name, limits in self.limits.items():
            limits.check(name, getattr(self, name), self.name)

    @classmethod
    def for_classes(cls, n_classes: int, **parameters: Any) -> Self:
        """Make one for labels of so many classes; a regression has none and ignores them.

        Raises
        ------
        ValueError
            If the objective is for another number of classes, or a parameter is out of its limits.
        """
        return cls(**parameters)

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters that differ from their defaults, as `make_objective` takes them."""
        defaults = {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        given = {name: getattr(self, name) for name in self.limits}
        return {name: float(value) for name, value in given.items() if value != defaults[name]}

    @property
    def n_outputs(self) -> int:
        """Raw scores of a row."""
        return 1

    @property
    @abstractmethod
    def task(self) -> Task:
        """What is learnt: "binary", "multiclass" or "regression"."""

    @property
    @abstractmethod
    def predicts(self) -> Prediction:
        """What `predict` gives: "probability", "positive" or "real" numbers, or "raw" scores."""

    @property
    @abstractmethod
    def default_metric(self) -> str:
        """Name of the metric that is reported if none is chosen; XGBoost's choice."""

    @property
    @abstractmethod
    def domain(self) -> str:
        """Which labels can be learnt: "label must be ..."."""

    @abstractmethod
    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Say for each of these finite labels whether it can be learnt."""

    def check_labels(self, y: Floats) -> None:
        """Refuse labels that cannot be learnt.

        Parameters
        ----------
        y : array of shape (n_rows,), float64

        Raises
        ------
        ValueError
            With number and positions of the rows.
        """
        finite = np.abs(y) <= _LARGEST_LABEL
        if not finite.all():
            raise ValueError(
                "y: label must be a finite number within float32's range (about 3.4e38); it is "
                f"not in {positions_text(~finite)}. Correct or drop those rows."
            )
        bad = ~self.in_domain(y)
        if bad.any():
            raise ValueError(
                f"y: {self.domain} for {self.name}; it is not in {positions_text(bad)}. "
                "Correct or drop those rows, or choose another objective."
            )

    @abstractmethod
    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """First and second derivative of each row's loss by its raw scores, times its weight.

        Parameters
        ----------
        raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
        y, weight : arrays of shape (n_rows,), float64

        Returns
        -------
        gradient, hessian : arrays of the shape of `raw`, float64
            ``hessian >= 0``.
        """

    @abstractmethod
    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """Weighted mean of the rows' losses, but for terms that do not depend on `raw`."""

    @abstractmethod
    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """The best constant raw scores for these labels, shape (n_outputs,).

        Raises
        ------
        ValueError
            If there is none, as where all labels are of one class.
        """

    @abstractmethod
    def raw_score(self, base_score: float) -> float:
        """The raw score of a prediction (the link): of the parameter `base_score`.

        Raises
        ------
        ValueError
            If `base_score` cannot be a prediction.
        """

    @abstractmethod
    def predict(self, raw: Floats) -> Floats:
        """The predictions of raw scores (the inverse link), in their shape."""


def exp_clipped(exponent: Floats) -> Floats:
    """``exp``, of exponents beyond +-88.7 as if they were that; XGBoost's would be infinite."""
    return np.exp(np.clip(exponent, -MAX_EXPONENT, MAX_EXPONENT))
