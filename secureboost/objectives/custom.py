"""The user's own loss: a function that gives gradients and hessians."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.data import positions_text
from secureboost.objectives.base import Floats, Objective, Task

ObjectiveFunction = Callable[..., tuple[Any, Any]]


@dataclass(frozen=True)
class Custom(Objective):
    """A function as XGBoost's scikit-learn interface takes it.

    ``f(y_true, y_pred) -> (gradient, hessian)``, or with a parameter named ``sample_weight``, whose
    result is then weighted already. ``y_pred`` are raw scores, and so is what `predict` gives.
    Arrays have shape (n_rows,), or (n_rows, K) if there are K > 2 classes; labels of classes are
    their numbers. The function gets copies.

    Parameters
    ----------
    function : callable
    n_classes : int
        Classes of the label; 1 for a regression.

    Raises
    ------
    ValueError
        If the function cannot be called so.
    """

    function: ObjectiveFunction
    n_classes: int

    name = "custom"
    predicts = "raw"
    domain = "label must be finite"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            signature = inspect.signature(self.function)
            weight = {"sample_weight": None} if self._takes_weight else {}
            signature.bind(None, None, **weight)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"objective={self._label}: a function must be callable as f(y_true, y_pred) or "
                f"f(y_true, y_pred, sample_weight=...): {error}"
            ) from error

    @property
    def task(self) -> Task:
        """By the number of classes."""
        return (
            "regression" if self.n_classes < 2 else "multiclass" if self.n_outputs > 1 else "binary"
        )

    @property
    def n_outputs(self) -> int:
        """One for each class if there are more than two."""
        return self.n_classes if self.n_classes > 2 else 1

    @property
    def default_metric(self) -> str:
        """One that raw scores can be judged by."""
        return {"binary": "auc", "multiclass": "merror", "regression": "rmse"}[self.task]

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Every finite label is left to the function."""
        return np.ones(len(y), dtype=np.bool_)

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """What the function gives, checked.

        Raises
        ------
        ValueError
            If it is not a pair of arrays of the shape of `raw`, a number is not finite, a hessian
            is negative, or rows have weights but the function does not take them.
        """
        if self._takes_weight:
            result = self.function(y.copy(), raw.copy(), sample_weight=weight.copy())
        elif np.any(weight != 1.0):
            raise ValueError(
                "Custom objective doesn't have the `sample_weight` parameter while sample_weight "
                f"is used: add it to {self._label}"
            )
        else:
            result = self.function(y.copy(), raw.copy())
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ValueError(f"objective={self._label} must return (gradient, hessian)")
        gradient, hessian = (
            self._checked(name, array, raw.shape)
            for name, array in zip(("gradient", "hessian"), result, strict=True)
        )
        negative = np.any(hessian.reshape(len(y), -1) < 0.0, axis=1)
        if negative.any():
            raise ValueError(
                f"objective={self._label}: the hessian is negative in {positions_text(negative)}; "
                "clip it at a small positive number"
            )
        return gradient, hessian

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """NaN: the function gives derivatives only."""
        return float("nan")

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """Zeros: the best constant is not known (XGBoost begins with 0.5, or 0 for two classes)."""
        return np.zeros(self.n_outputs)

    def raw_score(self, base_score: float) -> float:
        """The number itself."""
        return float(base_score)

    def predict(self, raw: Floats) -> Floats:
        """The raw scores themselves."""
        return raw

    @property
    def _takes_weight(self) -> bool:
        return "sample_weight" in inspect.signature(self.function).parameters

    @property
    def _label(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def _checked(self, name: str, array: Any, shape: tuple[int, ...]) -> Floats:
        numbers = np.array(array, dtype=np.float64)
        if numbers.shape == (*shape, 1):
            numbers = numbers[..., 0]
        if numbers.shape != shape:
            raise ValueError(
                f"objective={self._label}: the {name} has shape {numbers.shape}, but the raw "
                f"scores have {shape}"
            )
        wrong = np.any(~np.isfinite(numbers.reshape(len(numbers), -1)), axis=1)
        if wrong.any():
            raise ValueError(
                f"objective={self._label}: the {name} is not finite in {positions_text(wrong)}"
            )
        return numbers
