"""What is minimised, under XGBoost's names. A new objective is one class and its line here."""

from typing import Any

from secureboost.errors import did_you_mean
from secureboost.objectives.base import MIN_HESSIAN, Objective
from secureboost.objectives.binary import BinaryLogistic
from secureboost.objectives.custom import Custom, ObjectiveFunction
from secureboost.objectives.multiclass import Softprob
from secureboost.objectives.regression import (
    Gamma,
    Poisson,
    PseudoHuberError,
    SquaredError,
    Tweedie,
)

__all__ = [
    "MIN_HESSIAN",
    "OBJECTIVES",
    "BinaryLogistic",
    "Custom",
    "Gamma",
    "Objective",
    "ObjectiveFunction",
    "Poisson",
    "PseudoHuberError",
    "Softprob",
    "SquaredError",
    "Tweedie",
    "make_objective",
]

OBJECTIVES: dict[str, type[Objective]] = {
    kind.name: kind
    for kind in (
        BinaryLogistic,
        SquaredError,
        PseudoHuberError,
        Poisson,
        Gamma,
        Tweedie,
        Softprob,
    )
}


def make_objective(
    spec: str | ObjectiveFunction, *, n_classes: int = 2, **parameters: Any
) -> Objective:
    """Make an objective.

    Parameters
    ----------
    spec : str or callable
        A name in `OBJECTIVES`, or a function (see `Custom`).
    n_classes : int, default=2
        Classes of the label; 1 for a regression. A named regression ignores it.
    **parameters
        The objective's own, such as ``tweedie_variance_power``; others have their defaults.

    Raises
    ------
    ValueError
        If the name or a parameter is unknown, a parameter is out of its limits, the objective is
        for another number of classes, or a function cannot be called.
    """
    if callable(spec):
        _check_names("a function", (), parameters)
        return Custom(spec, n_classes)
    if spec not in OBJECTIVES:
        raise ValueError(
            f"objective={spec!r} is unknown.{did_you_mean(str(spec), OBJECTIVES)} "
            f"Known are {', '.join(OBJECTIVES)}, and functions."
        )
    kind = OBJECTIVES[spec]
    _check_names(spec, tuple(kind.limits), parameters)
    return kind.for_classes(n_classes, **parameters)


def _check_names(objective: str, known: tuple[str, ...], parameters: dict[str, Any]) -> None:
    for name in parameters:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(
                f"{name} is not a parameter of objective {objective}; {takes}."
                + did_you_mean(name, known)
            )
