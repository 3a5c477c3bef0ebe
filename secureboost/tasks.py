"""What is to be predicted, classes or a number: what estimators of every kind have of that."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from secureboost.inputs import class_labels, class_weights, known_class_labels, target_values
from secureboost.objectives import Objective


class ClassTask(ClassifierMixin):  # type: ignore[misc]
    """Before `joint_estimator.JointModel`: a classifier."""

    def _probabilities(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of the classes, shape (n_rows, n_classes).

        Raises
        ------
        ValueError
            If the objective is a function: its scores are not probabilities.
        """
        if self._objective is None or self._objective.predicts != "probability":
            raise ValueError(
                f"objective={self.label_half_.objective!r} gives raw scores, not probabilities; "
                "use decision_function"
            )
        predicted: NDArray[np.float64] = self._objective.predict(raw)
        if predicted.ndim == 2:
            return predicted
        return np.column_stack([1.0 - predicted, predicted])

    def _likeliest(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        """The likeliest class of each row."""
        codes = raw > 0 if raw.ndim == 1 else raw.argmax(axis=1)
        return np.asarray(self.classes_[codes.astype(np.intp)])

    def _targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]:
        self.classes_, codes = class_labels(y)
        weight = class_weights(
            weight, codes, self.classes_, self.class_weight, self.scale_pos_weight
        )
        return codes, weight, self._make_objective(len(self.classes_))

    def _eval_labels(self, y: ArrayLike, name: str) -> NDArray[np.float64]:
        return known_class_labels(y, self.classes_, name)

    def _classes(self) -> tuple[bool | int | float | str, ...]:
        return tuple(self.classes_.tolist())

    @staticmethod
    def _default_objective(n_classes: int) -> str:
        return "binary:logistic" if n_classes == 2 else "multi:softprob"

    @classmethod
    def _loads(cls, half: Any) -> bool:
        return len(half.classes) >= 2

    def _restore(self, half: Any) -> None:
        self.classes_ = np.array(half.classes)


class NumberTask(RegressorMixin):  # type: ignore[misc]
    """Before `joint_estimator.JointModel`: a regressor."""

    _about_classes: ClassVar[dict[str, Any]] = {"scale_pos_weight": 1.0, "class_weight": None}
    """Parameters that must be left alone, and what they are then."""

    def _numbers(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted numbers, shape (n_rows,)."""
        return raw if self._objective is None else self._objective.predict(raw)

    def _targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]:
        for name, default in self._about_classes.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is about classes; use a classifier"
                )
        return target_values(y), weight, self._make_objective(1)

    def _eval_labels(self, y: ArrayLike, name: str) -> NDArray[np.float64]:
        return target_values(y, name)

    def _classes(self) -> tuple[bool | int | float | str, ...]:
        return ()

    @staticmethod
    def _default_objective(_n_classes: int) -> str:
        return "reg:squarederror"

    @classmethod
    def _loads(cls, half: Any) -> bool:
        return not half.classes
