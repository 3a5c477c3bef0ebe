"""Several labels of a row, learnt by one network: 30 and 90 days past due, say.

Each label is 0 or 1 and has a score of its own; the loss is the weighted sum of theirs. Any
architecture whose top gives several scores takes them; `architectures.mmoe` is made for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secureboost.errors import did_you_mean
from secureboost.eval_metrics import EvalMetric
from secureboost.fitting import make_metrics
from secureboost.inputs import complete_labels
from secureboost.objectives import BinaryLogistic, Objective
from secureboost.objectives.base import Floats

_EACH = BinaryLogistic()
NAMES_OF_EACH = (None, _EACH.name)
"""What a user may call the objective."""

LARGEST_WEIGHT = 1e6


@dataclass(frozen=True)
class SeveralLabels(Objective):
    """Log-losses of several labels, each 0 or 1; raw scores are their log-odds.

    Labels have shape (n_rows, n_labels), as raw scores have.

    Attributes
    ----------
    labels : tuple of str
        Their names.
    shares : tuple of float
        By which the loss of each is multiplied.
    """

    labels: tuple[str, ...]
    shares: tuple[float, ...]

    name: ClassVar[str] = "labels:logistic"
    task: ClassVar[Any] = "binary"
    predicts: ClassVar[Any] = "probability"
    default_metric: ClassVar[Any] = _EACH.default_metric
    domain: ClassVar[Any] = _EACH.domain

    @property
    def n_outputs(self) -> int:
        """A score for each label."""
        return len(self.labels)

    def in_domain(self, y: Floats) -> NDArray[np.bool_]:
        """Whether all labels of each row are 0 or 1."""
        return np.asarray(_EACH.in_domain(y).all(axis=1))

    def check_labels(self, y: Floats) -> None:
        """Refuse labels that cannot be learnt; the label is named.

        Raises
        ------
        ValueError
        """
        for label, column in zip(self.labels, y.T, strict=True):
            try:
                _EACH.check_labels(column)
            except ValueError as error:
                raise ValueError(f"label {label!r}: {error}") from error

    def gradients(self, raw: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """See `Objective.gradients`."""
        return _EACH.gradients(raw, y, weight[:, np.newaxis] * np.array(self.shares))

    def loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """The weighted sum of the labels' mean losses."""
        losses = [_EACH.loss(a, b, weight) for a, b in zip(raw.T, y.T, strict=True)]
        return float(np.dot(self.shares, losses))

    def base_score(self, y: Floats, weight: Floats) -> Floats:
        """Log-odds of each label's share of ones.

        Raises
        ------
        ValueError
            If a label has one value alone.
        """
        scores = []
        for label, column in zip(self.labels, y.T, strict=True):
            try:
                scores.append(_EACH.base_score(column, weight))
            except ValueError as error:
                raise ValueError(f"label {label!r}: {error}") from error
        return np.concatenate(scores)

    def raw_score(self, base_score: float) -> float:
        """Log-odds of a probability."""
        return _EACH.raw_score(base_score)

    def predict(self, raw: Floats) -> Floats:
        """Probability that each label is 1, in the shape of `raw`."""
        return _EACH.predict(raw)


def names_of(objective: Objective) -> tuple[str, ...]:
    """The names of the labels, if the objective is of several."""
    return objective.labels if isinstance(objective, SeveralLabels) else ()


def are_several(y: Any) -> bool:
    """Whether `y` has two columns or more."""
    shape = np.asarray(y).shape
    return len(shape) == 2 and shape[1] > 1


def several_labels(
    y: ArrayLike, names: Sequence[str] | None = None, name: str = "y"
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read several labels.

    Parameters
    ----------
    y : DataFrame or array of shape (n_rows, n_labels)
        Numbers or booleans.
    names : sequence of str, optional
        The labels of training; a frame is picked from by them.
    name : str
        What messages call `y`.

    Returns
    -------
    names : tuple of str
        The columns of a frame; otherwise ``y0``, ``y1``, ...
    labels : array of shape (n_rows, n_labels), float64

    Raises
    ------
    ValueError, DataError
        If a label is missing or no number, or they are others than those of training.
    """
    frame = y if isinstance(y, pd.DataFrame) else pd.DataFrame(np.asarray(y)).add_prefix("y")
    found = tuple(map(str, frame.columns))
    if len(set(found)) < len(found):
        raise ValueError(f"{name}: two labels have the same name; rename one")
    if names is not None and set(found) != set(names):
        raise ValueError(
            f"{name} has the labels {', '.join(found)}, and the model learns {', '.join(names)}"
        )
    frame = frame.set_axis(found, axis="columns")
    chosen = found if names is None else tuple(names)
    columns = []
    for label in chosen:
        values = complete_labels(frame[label], f"{name}, label {label!r},")
        if values.dtype.kind not in "iufb":
            raise ValueError(f"{name}: label {label!r} holds text or objects; it must be 0 or 1")
        columns.append(values.astype(np.float64))
    return chosen, np.stack(columns, axis=1)


def label_shares(weights: Any, labels: Sequence[str]) -> tuple[float, ...]:
    """By which the loss of each label is multiplied.

    Parameters
    ----------
    weights : mapping of str to float, or None
        By the labels' names; 1 for those that are not named.
    labels : sequence of str

    Raises
    ------
    ValueError
        If one is named that does not exist, or a weight is not above 0.
    """
    if weights is None:
        return (1.0,) * len(labels)
    if not isinstance(weights, Mapping):
        raise ValueError(
            f"label_weights is a {type(weights).__name__}; give a mapping of labels to weights"
        )
    for label, weight in weights.items():
        if label not in labels:
            raise ValueError(
                f"label_weights names {label!r}; the labels are {', '.join(labels)}."
                f"{did_you_mean(str(label), labels)}"
            )
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not 0.0 < float(weight) <= LARGEST_WEIGHT:
            raise ValueError(
                f"label_weights[{label!r}]={weight!r} must lie above 0 and not above "
                f"{LARGEST_WEIGHT:g}"
            )
    return tuple(float(weights.get(label, 1.0)) for label in labels)


def metrics_of(eval_metric: Any, objective: Objective) -> list[EvalMetric]:
    """The metrics that a user chose; of several labels each metric for each label.

    Raises
    ------
    ValueError
        See `fitting.make_metrics`.
    """
    if not isinstance(objective, SeveralLabels):
        return make_metrics(eval_metric, objective)
    return by_label(make_metrics(eval_metric, _EACH), objective.labels)


def by_label(metrics: Sequence[EvalMetric], labels: Sequence[str]) -> list[EvalMetric]:
    """Each metric for each label, under the name ``auc: label``; the labels come in their order."""
    return [_of_label(metric, labels, place) for metric in metrics for place in range(len(labels))]


def _of_label(metric: EvalMetric, labels: Sequence[str], place: int) -> EvalMetric:
    name = f"{metric.name}: {labels[place]}"

    def function(y: Floats, prediction: Floats, weight: Floats) -> float:
        return metric.function(y[:, place], prediction[:, place], weight)

    def check(_: str, y: Floats, weight: Floats) -> None:
        if metric.check is not None:
            metric.check(name, y[:, place], weight)

    return replace(metric, name=name, function=function, check=check)
