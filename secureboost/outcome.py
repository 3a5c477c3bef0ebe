"""What goes into a run of the label party, and what comes out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.kinds.base import Model
from secureboost.monitor import History
from secureboost.objectives import Objective
from secureboost.quality import Quality
from secureboost.splitnn.several import names_of
from secureboost.tables import JoinCounts

Folds = Mapping[str, NDArray[Any]]
"""Row positions of ``train`` and, where rows are held out, ``test``."""


@dataclass(frozen=True, repr=False)
class RunData:
    """The label party's side of a run.

    Attributes
    ----------
    X : DataFrame
        Own features, indexed by id.
    y : array of shape (n_rows,), or (n_rows, n_labels)
        0 and 1 (the class to predict), classes, or numbers, as the objective has it; of several
        labels 0 and 1 each.
    objective : Objective
        What is to be learnt.
    folds : mapping of str to array
        See `Folds`.
    hold_out : mapping of str to value
        What made the folds, for the record.
    joined : JoinCounts, optional
        How many rows each party had, where those that all have were taken out of them.
    column_owner : mapping of str to sequence of str, optional
        Of pooled columns, as `fit` takes it.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    objective: Objective
    folds: Folds
    hold_out: Mapping[str, Any]
    joined: JoinCounts | None = None
    column_owner: Mapping[str, Sequence[str]] | None = None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Own features of each fold."""
        return {name: self.X.iloc[rows] for name, rows in self.folds.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, where there are several."""
        return names_of(self.objective)

    @property
    def targets(self) -> NDArray[np.float64]:
        """The labels as the objective takes them: classes by their numbers."""
        if self.objective.task == "multiclass":
            return np.unique(self.y, return_inverse=True)[1].astype(np.float64)
        return self.y.astype(np.float64)


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run gave.

    Attributes
    ----------
    model : Model
    scores : array of shape (n_rows,), (n_rows, n_classes) or (n_rows, n_labels), float64
        Of all rows: the probability of class 1, those of all classes or labels, or predicted
        numbers.
    names : tuple
        Of the columns of `scores`: classes or labels; empty where a score is one number.
    metrics : dict of str to Quality
        By fold.
    seconds : dict of str to float
        Wall time of ``train`` and ``predict``.
    history : dict
        By fold and metric the value after each round.
    first_round : int
        Rounds that an interrupted run had done before.
    bytes_sent, bytes_received : int
        Of the label party, in training.
    """

    model: Model
    scores: NDArray[Any]
    names: tuple[Any, ...]
    metrics: dict[str, Quality]
    seconds: dict[str, float]
    history: History
    first_round: int
    bytes_sent: int
    bytes_received: int

    @property
    def shown_fold(self) -> str:
        """The fold that a run is judged by: what was held out, or else the training rows."""
        return "test" if "test" in self.metrics else "train"

    @property
    def quality(self) -> Quality:
        """How good the predictions of `shown_fold` are."""
        return self.metrics[self.shown_fold]

    @property
    def rounds(self) -> int:
        """Rounds that were trained, those that early stopping dropped included."""
        return max(len(v) for by_name in self.history.values() for v in by_name.values())

    @property
    def rounds_kept(self) -> int:
        """Rounds that the model has: those up to the best one, where early stopping chose it."""
        best: int | None = self.model.label_half_.best_iteration
        return self.rounds if best is None else best + 1
