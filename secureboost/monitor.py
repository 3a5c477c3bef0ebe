"""Metrics of evaluation rows after every round, early stopping, and who else wants to know.

A round is whatever a trainer counts: a boosting round, an epoch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secureboost.eval_metrics import EvalMetric

History = dict[str, dict[str, list[float]]]
"""By evaluation set and metric the value after each round, as XGBoost's ``evals_result``."""

Callback = Callable[[int, History], bool | None]
"""Called after each round with its number and the history; True ends training."""


class Scored(Protocol):
    """A model after a round.

    Attributes
    ----------
    raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
        Raw scores; of rows that no evaluation set has they are not looked at.
    rounds : int
        Rounds that are done.
    """

    @property
    def raw(self) -> NDArray[Any]:
        """Raw scores."""
        ...

    @property
    def rounds(self) -> int:
        """Rounds that are done."""
        ...


@dataclass(frozen=True, repr=False)
class EvalSet:
    """Rows whose metrics are watched.

    Attributes
    ----------
    name : str
    rows : array of shape (n,), int64
        Positions among all rows of the training run.
    y, weight : arrays of shape (n,), float64
        Labels as the objective takes them.
    """

    name: str
    rows: NDArray[np.int64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]


class Monitor:
    """Watches evaluation sets.

    Parameters
    ----------
    eval_sets : sequence of EvalSet
    metrics : sequence of EvalMetric
    predict : callable
        From raw scores to what metrics take (`objectives.Objective.predict`).
    early_stopping_rounds : int, optional
        Training ends when the last metric of the last set has not improved for so many rounds.
    callbacks : sequence of Callback

    Attributes
    ----------
    history : dict
    best_iteration : int or None
        With early stopping the round with the best value so far; the first of equal ones.
    """

    def __init__(
        self,
        eval_sets: Sequence[EvalSet],
        metrics: Sequence[EvalMetric],
        predict: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        early_stopping_rounds: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self._eval_sets = eval_sets
        self._metrics = metrics
        self._predict = predict
        self._patience = early_stopping_rounds
        self._callbacks = callbacks
        self.history: History = {
            eval_set.name: {metric.name: [] for metric in metrics} for eval_set in eval_sets
        }

    @property
    def best_iteration(self) -> int | None:
        """The round that early stopping keeps; None without early stopping."""
        if self._patience is None or not self._watched:
            return None
        best = np.argmax if self._metrics[-1].maximise else np.argmin
        return int(best(self._watched))

    @property
    def best_score(self) -> float | None:
        """The value of the watched metric in that round."""
        best = self.best_iteration
        return None if best is None else self._watched[best]

    @property
    def stops(self) -> bool:
        """Whether there has been no improvement for long enough."""
        best = self.best_iteration
        return (
            best is not None
            and self._patience is not None
            and len(self._watched) - 1 - best >= self._patience
        )

    def restore(self, history: History) -> None:
        """Take over the history of an interrupted run."""
        self.history = {
            name: {metric: list(values) for metric, values in by_metric.items()}
            for name, by_metric in history.items()
        }

    def __call__(self, model: Scored) -> bool:
        """Measure after a round; True if training should end."""
        for name, values in self.measure(model.raw).items():
            for metric, value in values.items():
                self.history[name][metric].append(value)
        wishes = [callback(model.rounds - 1, self.history) for callback in self._callbacks]
        return self.stops or any(wish is True for wish in wishes)

    def measure(self, raw: NDArray[Any]) -> dict[str, dict[str, float]]:
        """Metrics of raw scores, by evaluation set and metric; nothing is remembered.

        Parameters
        ----------
        raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
            Of all rows of the training run.
        """
        measured: dict[str, dict[str, float]] = {}
        for eval_set in self._eval_sets:
            prediction = self._predict(raw[eval_set.rows])
            measured[eval_set.name] = {
                metric.name: float(metric(eval_set.y, prediction, eval_set.weight))
                for metric in self._metrics
            }
        return measured

    @property
    def _watched(self) -> list[float]:
        if not self._eval_sets or not self._metrics:
            return []
        return self.history[self._eval_sets[-1].name][self._metrics[-1].name]
