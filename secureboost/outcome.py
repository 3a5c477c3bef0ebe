"""What goes into a run of the label party, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.estimator import SecureBoostModel
from secureboost.monitor import History
from secureboost.objectives import Objective
from secureboost.quality import Quality
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
    y : array of shape (n_rows,)
        0 and 1 (the class to predict), classes, or numbers, as the objective has it.
    objective : Objective
        What is to be learnt.
    folds : mapping of str to array
        See `Folds`.
    hold_out : mapping of str to value
        What made the folds, for the record.
    joined : JoinCounts, optional
        How many rows each party had, where those that all have were taken out of them.
    """

    X: pd.DataFrame
    y: NDArray[Any]
    objective: Objective
    folds: Folds
    hold_out: Mapping[str, Any]
    joined: JoinCounts | None = None

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
    model : SecureBoostModel
    scores : array of shape (n_rows,) or (n_rows, n_classes), float64
        Of all rows: the probability of class 1, those of all classes, or predicted numbers.
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

    model: SecureBoostModel
    scores: NDArray[Any]
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
    def classes(self) -> tuple[bool | int | float | str, ...]:
        """The classes of the columns of `scores`; empty where a score is one number."""
        return self.model.label_half_.classes if self.scores.ndim == 2 else ()
