"""What a metric of evaluation rows is, and how a user's own function becomes one."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from secureboost.objectives.base import Floats, Task

MetricFunction = Callable[[Floats, Floats, Floats], float]
RowCheck = Callable[[str, Floats, Floats], None]
ALL_TASKS: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})


@dataclass(frozen=True)
class EvalMetric:
    """A metric of evaluation rows.

    Attributes
    ----------
    name : str
        As in the history.
    function : callable
        ``function(y, prediction, weight) -> float``. Labels and weights have shape (n_rows,),
        predictions too, or (n_rows, K) if there are K outputs.
    maximise : bool
        Higher is better.
    tasks : frozenset of str
        Tasks of objectives that it fits.
    check : callable, optional
        ``check(name, y, weight)`` raises ValueError if the metric is not defined on these rows.
    """

    name: str
    function: MetricFunction
    maximise: bool = False
    tasks: frozenset[Task] = ALL_TASKS
    check: RowCheck | None = None

    @classmethod
    def of(
        cls, function: Callable[..., float], *, name: str | None = None, maximise: bool = False
    ) -> "EvalMetric":
        """Make one of ``f(y_true, y_pred)`` or ``f(y_true, y_pred, sample_weight=...)``.

        Parameters
        ----------
        function : callable
            As in scikit-learn. It gets copies of labels (classes by their numbers) and predictions,
            which are raw scores if the objective is a function.
        name : str, optional
            By default the function's.
        maximise : bool, default=False
            A bare function in `eval_metric` is minimised, as in XGBoost; this is the way to say
            that higher is better.

        Raises
        ------
        ValueError
            If the function cannot be called so.
        """
        given = getattr(function, "__name__", type(function).__name__)
        own = _OwnFunction(function, str(name or given))
        return cls(own.name, own, maximise, check=own.check)

    def check_rows(self, y: Floats, weight: Floats) -> None:
        """Refuse rows that the metric is not defined on, before any time is spent.

        Parameters
        ----------
        y, weight : arrays of shape (n_rows,), float64
            Labels that the objective's `check_labels` has passed.

        Raises
        ------
        ValueError
            Naming the metric, and what is wrong with the rows.
        """
        if not np.any(weight > 0.0):
            raise ValueError(f"eval_metric={self.name!r} needs rows of positive weight")
        if self.check is not None:
            self.check(self.name, y, weight)

    def __call__(self, y: Floats, prediction: Floats, weight: Floats) -> float:
        """Return the value on rows that `check_rows` has passed."""
        return float(self.function(y, prediction, weight))


@dataclass(frozen=True)
class _OwnFunction:
    """A user's function as a `MetricFunction`."""

    function: Callable[..., Any]
    name: str

    def __post_init__(self) -> None:
        try:
            weight = {"sample_weight": None} if self._takes_weight else {}
            inspect.signature(self.function).bind(None, None, **weight)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"eval_metric={self.name!r}: a function must be callable as f(y_true, y_pred) or "
                f"f(y_true, y_pred, sample_weight=...): {error}"
            ) from error

    def check(self, name: str, y: Floats, weight: Floats) -> None:
        if np.any(weight != 1.0) and not self._takes_weight:
            raise ValueError(
                f"eval_metric={name!r} has no parameter `sample_weight`, but the evaluation rows "
                "have weights; add it"
            )

    def __call__(self, y: Floats, prediction: Floats, weight: Floats) -> float:
        weighted = {"sample_weight": weight.copy()} if self._takes_weight else {}
        value = self.function(y.copy(), prediction.copy(), **weighted)
        if not isinstance(value, Real) or math.isnan(value):
            what = "nan" if isinstance(value, Real) else type(value).__name__
            raise ValueError(f"eval_metric={self.name!r} returned {what}; a number is needed")
        return float(value)

    @property
    def _takes_weight(self) -> bool:
        return "sample_weight" in inspect.signature(self.function).parameters
