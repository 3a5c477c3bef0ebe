"""The hyperparameters of boosting, under XGBoost's names, checked in one place."""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real

# name -> (smallest, largest); None: no limit. Open ends are in _ABOVE_ZERO.
_INTEGERS: dict[str, tuple[int, int | None]] = {
    "n_estimators": (1, None),
    "max_depth": (0, None),
    "max_leaves": (0, None),
    "max_bin": (2, 255),
    "min_child_samples": (1, None),
}
_REALS: dict[str, tuple[float, float | None]] = {
    "learning_rate": (0.0, None),
    "reg_lambda": (0.0, None),
    "reg_alpha": (0.0, None),
    "gamma": (0.0, None),
    "min_child_weight": (0.0, None),
    "max_delta_step": (0.0, None),
    "subsample": (0.0, 1.0),
    "colsample_bytree": (0.0, 1.0),
}
_ABOVE_ZERO = frozenset({"learning_rate", "subsample", "colsample_bytree"})
GROW_POLICIES = ("depthwise", "lossguide")


@dataclass(frozen=True)
class BoosterParams:
    """Hyperparameters with XGBoost's names, meaning and, but for `max_bin`, defaults.

    Attributes
    ----------
    n_estimators : int
        Trees.
    learning_rate : float
        Factor of each leaf value.
    max_depth, max_leaves : int
        Limits of a tree; 0 is no limit, but not both can be 0.
    grow_policy : str
        "depthwise" (level by level) or "lossguide" (the leaf with the highest gain first).
    max_bin : int
        Bins of a column, 2 to 255, without the missing bin.
    reg_lambda, reg_alpha : float
        L2 and L1 penalty of leaf values.
    gamma : float
        Least gain of a split.
    min_child_weight : float
        Least sum of hessians in a child.
    min_child_samples : int
        Fewest (sampled) rows in a child.
    max_delta_step : float
        Largest absolute leaf value before the learning rate; 0 is no limit.
    subsample, colsample_bytree : float
        Share of rows and of columns drawn, without replacement, for each tree.
    base_score : float or None
        What is predicted before the first tree; None takes it from the training labels.
    random_state : int or None
        Seed of the draws.

    Raises
    ------
    ValueError
        Naming the parameter, its value and the limit.
    """

    n_estimators: int = 100
    learning_rate: float = 0.3
    max_depth: int = 6
    max_leaves: int = 0
    grow_policy: str = "depthwise"
    max_bin: int = 64
    reg_lambda: float = 1.0
    reg_alpha: float = 0.0
    gamma: float = 0.0
    min_child_weight: float = 1.0
    min_child_samples: int = 1
    max_delta_step: float = 0.0
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    base_score: float | None = None
    random_state: int | None = None

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in _INTEGERS:
                _check_integer(name, value, *_INTEGERS[name])
            elif name in _REALS:
                _check_real(name, value, *_REALS[name])
        if self.grow_policy not in GROW_POLICIES:
            raise ValueError(
                f"grow_policy={self.grow_policy!r} is not one of {', '.join(GROW_POLICIES)}"
            )
        if self.max_depth == 0 and self.max_leaves == 0:
            raise ValueError(
                "max_depth=0 and max_leaves=0: a tree needs a limit; set one of them above 0"
            )
        if self.max_leaves == 1:
            raise ValueError("max_leaves=1: a tree with a split has 2 leaves; 0 is no limit")
        if self.base_score is not None:
            _check_real("base_score", self.base_score, None, None)
        if self.random_state is not None:
            _check_integer("random_state", self.random_state, 0, None)


def _check_integer(name: str, value: object, low: int, high: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name}={value!r} is not an integer")
    if int(value) < low or (high is not None and int(value) > high):
        limit = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name}={value} must be {limit}")


def _check_real(name: str, value: object, low: float | None, high: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not a finite number")
    number = float(value)
    open_end = name in _ABOVE_ZERO
    below = low is not None and (number < low or (open_end and number == low))
    if below or (high is not None and number > high):
        limit = f"{'above' if open_end else 'at least'} {low:g}"
        raise ValueError(
            f"{name}={value} must be {limit}" + ("" if high is None else f" and at most {high:g}")
        )
