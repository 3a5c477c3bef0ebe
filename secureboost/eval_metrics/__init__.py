"""Metrics to watch on evaluation rows after every tree, by XGBoost's names.

A new metric is one function and its line in `METRICS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from secureboost.data import positions_text
from secureboost.errors import did_you_mean
from secureboost.eval_metrics import functions
from secureboost.eval_metrics.base import EvalMetric
from secureboost.objectives.base import Floats, Limits, Objective, Prediction, Task

__all__ = ["METRICS", "EvalMetric", "get_metric"]

_BINARY: frozenset[Task] = frozenset({"binary"})
_MULTICLASS: frozenset[Task] = frozenset({"multiclass"})
_REGRESSION: frozenset[Task] = frozenset({"regression"})
_PROBABILITY: frozenset[Prediction] = frozenset({"probability"})
_POSITIVE: frozenset[Prediction] = frozenset({"positive"})
_ANYTHING: frozenset[Prediction] = frozenset({"probability", "positive", "real", "raw"})


@dataclass(frozen=True)
class _Number:
    """The number of a metric: behind an @ if it has `limits`, else of the objective alone."""

    default: Callable[[Objective], float | None]
    limits: Limits | None = None

    def read(self, spec: str, objective: Objective) -> float:
        name, at, text = spec.partition("@")
        if not at:
            number = self.default(objective)
            if number is None:
                raise ValueError(
                    f"eval_metric={spec!r} needs a number with objective={objective.name!r}, "
                    f"as in '{name}@1.5'"
                )
            return number
        if self.limits is None:
            raise ValueError(f"eval_metric={spec!r}: {name} takes no number")
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"eval_metric={spec!r}: {text!r} is not a number") from None
        self.limits.check(f"eval_metric={spec!r}: number", number, name)
        return number


@dataclass(frozen=True)
class _Kind:
    """A line of `METRICS`: the formula, what it fits, and which rows it is defined on."""

    function: Callable[..., float]
    tasks: frozenset[Task]
    predictions: frozenset[Prediction] = _ANYTHING
    maximise: bool = False
    check: Callable[..., None] | None = None
    number: _Number | None = None

    def fits(self, objective: Objective) -> bool:
        return objective.task in self.tasks and objective.predicts in self.predictions


def get_metric(spec: str | Callable[..., float] | EvalMetric, objective: Objective) -> EvalMetric:
    """Find a metric, and check that it fits the objective.

    Parameters
    ----------
    spec : str, callable or EvalMetric
        A name in `METRICS`, some with a number as in ``error@0.3``; a function, which is
        minimised; or an `EvalMetric` (`EvalMetric.of` makes one of a function).
    objective : Objective

    Raises
    ------
    ValueError
        If the name is unknown, its number is missing or out of its limits, a function cannot be
        called, or the metric does not fit the objective.
    """
    if isinstance(spec, str):
        return _named(spec, objective)
    if not callable(spec):
        raise ValueError(f"eval_metric={spec!r} is neither a name nor a function")
    metric = spec if isinstance(spec, EvalMetric) else EvalMetric.of(spec)
    if objective.task not in metric.tasks:
        raise _misfit(metric.name, objective)
    return metric


def _named(spec: str, objective: Objective) -> EvalMetric:
    name, at, _ = spec.partition("@")
    if name not in METRICS:
        raise ValueError(
            f"eval_metric={spec!r} is unknown.{did_you_mean(name, METRICS)} "
            f"Known are {', '.join(METRICS)}, and functions."
        )
    kind = METRICS[name]
    if not kind.fits(objective):
        raise _misfit(spec, objective)
    function = kind.function
    if kind.number is not None:
        function = partial(function, number=kind.number.read(spec, objective))
    elif at:
        raise ValueError(f"eval_metric={spec!r}: {name} takes no number")
    check = None if kind.check is None else partial(kind.check, objective=objective)
    return EvalMetric(spec, function, kind.maximise, kind.tasks, check)


def _misfit(name: str, objective: Objective) -> ValueError:
    what = {
        "probability": "probabilities",
        "positive": "positive numbers",
        "real": "numbers of any sign",
        "raw": "raw scores",
    }[objective.predicts]
    fitting = [known for known, kind in METRICS.items() if kind.fits(objective)]
    return ValueError(
        f"eval_metric={name!r} does not fit objective={objective.name!r} ({objective.task}, "
        f"predicts {what}); {', '.join(fitting)} and functions do"
    )


def _all_classes(name: str, y: Floats, weight: Floats, objective: Objective) -> None:
    n_classes = max(2, objective.n_outputs)
    counts = np.bincount(y.astype(np.intp), weights=weight, minlength=n_classes)
    missing = int((counts <= 0.0).sum())
    if missing:
        raise ValueError(
            f"eval_metric={name!r} needs rows of every class; {missing} of the {n_classes} classes "
            f"have none of positive weight here. Add rows, or choose another metric."
        )


def _not_negative(name: str, y: Floats, weight: Floats, objective: Objective) -> None:
    _refuse(name, "0 or above", y < 0.0)


def _above_zero(name: str, y: Floats, weight: Floats, objective: Objective) -> None:
    _refuse(name, "above 0", y <= 0.0)


def _refuse(name: str, domain: str, bad: NDArray[np.bool_]) -> None:
    if bad.any():
        raise ValueError(
            f"eval_metric={name!r} needs labels {domain}, which they are not in "
            f"{positions_text(bad)}"
        )


_THRESHOLD = _Number(lambda _: 0.5, Limits(0.0, 1.0))
_SLOPE = _Number(lambda objective: getattr(objective, "huber_slope", 1.0))
_POWER = _Number(
    lambda objective: getattr(objective, "tweedie_variance_power", None),
    Limits(1.0, 2.0, open=True),
)

METRICS: dict[str, _Kind] = {
    "auc": _Kind(functions.auc, _BINARY | _MULTICLASS, maximise=True, check=_all_classes),
    "aucpr": _Kind(functions.aucpr, _BINARY | _MULTICLASS, maximise=True, check=_all_classes),
    "ks": _Kind(functions.ks, _BINARY, maximise=True, check=_all_classes),
    "gini": _Kind(functions.gini, _BINARY, maximise=True, check=_all_classes),
    "logloss": _Kind(functions.logloss, _BINARY, _PROBABILITY),
    "error": _Kind(functions.error, _BINARY, _PROBABILITY, number=_THRESHOLD),
    "mlogloss": _Kind(functions.mlogloss, _MULTICLASS, _PROBABILITY),
    "merror": _Kind(functions.merror, _MULTICLASS),
    "rmse": _Kind(functions.rmse, _REGRESSION),
    "mae": _Kind(functions.mae, _REGRESSION),
    "mphe": _Kind(functions.mphe, _REGRESSION, number=_SLOPE),
    "poisson-deviance": _Kind(
        functions.poisson_deviance, _REGRESSION, _POSITIVE, check=_not_negative
    ),
    "poisson-nloglik": _Kind(
        functions.poisson_nloglik, _REGRESSION, _POSITIVE, check=_not_negative
    ),
    "gamma-deviance": _Kind(functions.gamma_deviance, _REGRESSION, _POSITIVE, check=_above_zero),
    "gamma-nloglik": _Kind(functions.gamma_nloglik, _REGRESSION, _POSITIVE, check=_above_zero),
    "tweedie-deviance": _Kind(
        functions.tweedie_deviance, _REGRESSION, _POSITIVE, check=_not_negative, number=_POWER
    ),
    "tweedie-nloglik": _Kind(
        functions.tweedie_nloglik, _REGRESSION, _POSITIVE, check=_not_negative, number=_POWER
    ),
}
"""By name. With a number behind an @: ``error@0.3`` (threshold), ``tweedie-deviance@1.4``."""
