"""What the scikit-learn estimators share, whatever they train: parameters, tables, parties, files.

An estimator of another trainer has this base, one of `tasks` before it, and its own `fit`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils.validation import validate_data

from secureboost.common_rows import Given
from secureboost.data import check_columns
from secureboost.errors import ModelError, did_you_mean
from secureboost.eval_metrics import EvalMetric
from secureboost.features import FeatureMatrix, feature_matrix
from secureboost.fitting import make_metrics, stack_eval_sets
from secureboost.inputs import Rows, row_weights
from secureboost.monitor import EvalSet, History, Monitor
from secureboost.objectives import Objective, make_objective
from secureboost.objectives.custom import Custom
from secureboost.partners import check_column_owner, check_parties
from secureboost.party import FeatureParty, Party
from secureboost.trainers import Trainer


@dataclass(frozen=True, repr=False)
class Prepared:
    """What training takes, checked.

    Attributes
    ----------
    matrix : FeatureMatrix
        Own columns of the training rows.
    labels, weight : arrays of shape (n_training, ...), float64
    objective : Objective
    owners : dict of str to list of str
        Columns of each party in pooled training.
    rows : Rows
        Those that are trained on, and behind them those of the evaluation sets.
    eval_sets : list of EvalSet
    metrics : list of EvalMetric
    """

    matrix: FeatureMatrix
    labels: NDArray[np.float64]
    weight: NDArray[np.float64]
    objective: Objective
    owners: dict[str, list[str]]
    rows: Rows
    eval_sets: list[EvalSet]
    metrics: list[EvalMetric]


class JointModel(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators.

    A subclass says what a half is. Every half of a label party has these attributes: `model_id`,
    `parameters`, `objective`, `objective_parameters`, `classes`, `feature_names`, `named`,
    `categories` and `partners`, each of which has a name.
    """

    trainer: ClassVar[Trainer]
    label_half_: Any
    _family: ClassVar[str]
    """Names of the estimators begin with it."""
    _default_n_jobs: ClassVar[int]
    _may_lack_columns: ClassVar[bool] = False
    """The label party may have no column of its own if there are parties."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; see `sklearn.base.BaseEstimator.set_params`.

        Raises
        ------
        ValueError
            If a name is unknown; the nearest is named.
        """
        known = self.get_params(deep=False)
        for name in params:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}."
                    f"{did_you_mean(name, known)} Valid parameters are: {', '.join(known)}."
                )
        super().set_params(**params)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the parties: their tables and connections stay where they are."""
        state = dict(super().__getstate__())
        state.pop("parties_", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    # What kinds of labels differ in; `tasks` has it.

    def _targets(
        self, y: ArrayLike, weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Objective]:
        """Labels as the objective takes them, weights, and the objective."""
        raise NotImplementedError

    def _eval_labels(self, y: ArrayLike, name: str) -> NDArray[np.float64]:
        """Labels of an evaluation set."""
        raise NotImplementedError

    def _classes(self) -> tuple[bool | int | float | str, ...]:
        """What the model keeps of the classes."""
        raise NotImplementedError

    @classmethod
    def _loads(cls, half: Any) -> bool:
        """Whether a half is of this kind of model."""
        raise NotImplementedError

    def _restore(self, half: Any) -> None:
        """Set what fitting would have set besides the half."""

    @staticmethod
    def _default_objective(n_classes: int) -> str:
        """Name of the objective for labels of so many classes; 1 for a regression."""
        raise NotImplementedError

    # What halves differ in.

    def _half_at(self, party: FeatureParty, model_id: str) -> Any:
        """The half of a model that a party in this process has, or None."""
        raise NotImplementedError

    def _hand_over(self, party: FeatureParty, half: Any) -> None:
        """Give a party in this process its half."""
        raise NotImplementedError

    # Before training.

    def _prepare(
        self,
        given: Given,
        parties: Sequence[Party],
        column_owner: Mapping[str, Sequence[str]] | None,
    ) -> Prepared:
        """Check what training takes, before anybody is asked."""
        matrix = self._matrix(given.X, parties)
        weight = row_weights(given.weight, given.X)
        check_consistent_length(given.X, given.y)
        labels, weight, objective = self._targets(given.y, weight)
        objective.check_labels(labels)
        owners = check_column_owner(column_owner, self._own_names(), parties)
        rows, eval_sets = stack_eval_sets(
            matrix.values,
            given,
            parties,
            objective,
            read_columns=lambda frame: self._matrix(frame, parties, known=matrix).values,
            read_labels=self._eval_labels,
        )
        metrics = self._metrics(objective)
        for metric in metrics:
            for of_set in eval_sets:
                metric.check_rows(of_set.y, of_set.weight)
        return Prepared(matrix, labels, weight, objective, owners, rows, eval_sets, metrics)

    def _metrics(self, objective: Objective) -> list[EvalMetric]:
        return make_metrics(self.eval_metric, objective)

    def _make_objective(self, n_classes: int) -> Objective:
        """The objective with its parameters; those of another objective must be left alone."""
        spec = self._default_objective(n_classes) if self.objective is None else self.objective
        # a named objective for classes has its own error below
        n_classes = n_classes if callable(spec) else max(2, n_classes)
        objective = make_objective(spec, n_classes=n_classes, **self._objective_parameters(spec))
        if (objective.task == "regression") != is_regressor(self):
            use = "Classifier" if is_regressor(self) else "Regressor"
            raise ValueError(
                f"objective={spec!r} does not fit {type(self).__name__}; use {self._family}{use}"
            )
        return objective

    def _objective_parameters(self, _spec: Any) -> dict[str, Any]:
        """Parameters of an objective that are not left alone."""
        return {
            name: getattr(self, name)
            for name, default in (("huber_slope", 1.0), ("tweedie_variance_power", 1.5))
            if getattr(self, name) != default
        }

    def _threads(self) -> int:
        return int(effective_n_jobs(self._default_n_jobs if self.n_jobs is None else self.n_jobs))

    def _matrix(self, X: Any, parties: Sequence[Party], *, known: Any = None) -> FeatureMatrix:
        """Own columns as float32, checked; frames get errors that name column and row.

        Columns have the categories of `known`, a matrix or a half, if it is given.
        """
        categories = None if known is None else known.categories
        if self._may_lack_columns and parties and isinstance(X, pd.DataFrame) and X.shape[1] == 0:
            if categories:
                raise ValueError(
                    f"X has 0 columns, and the model was trained with {len(categories)}"
                )
            self.n_features_in_ = 0
            self.__dict__.pop("feature_names_in_", None)
            return FeatureMatrix(np.empty((len(X), 0), np.float32, order="F"), ())
        reset = known is None
        if isinstance(X, pd.DataFrame):
            check_columns(list(map(str, X.columns)), "")
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
            X = pd.DataFrame(X, columns=self._own_names())
        return feature_matrix(
            X, "", categorical=self.categorical_features if reset else None, known=categories
        )

    def _own_names(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return tuple(f"x{i}" for i in range(self.n_features_in_))
        return tuple(map(str, names))

    # After training, and in another process.

    def _take_history(self, monitor: Monitor, prepared: Prepared, parties: Sequence[Party]) -> None:
        """Set what every fit sets."""
        self._objective: Objective | None = prepared.objective
        self._halves: dict[str, Any] = {}
        self.parties_ = list(parties)
        self.column_owner_ = prepared.owners
        self.evals_result_: History = monitor.history
        for name in ("best_iteration_", "best_score_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        if monitor.best_iteration is not None:
            self.best_iteration_ = monitor.best_iteration
            self.best_score_ = monitor.best_score

    @classmethod
    def _from_half(cls, half: Any, path: Path) -> Self:
        """The estimator as it was when the label party's half was written."""
        wrong = f"{path} was not written by {cls.__name__}.save"
        if not half.parameters.keys() <= cls().get_params().keys() or not cls._loads(half):
            raise ModelError(f"{wrong}.")
        model = cls(**half.parameters)
        model._restore(half)
        model.label_half_ = half
        try:
            model._objective = model._objective_of(half)
        except ValueError as error:
            raise ModelError(f"{wrong}: {error}") from error
        model.n_features_in_ = len(half.feature_names)
        if half.named:
            model.feature_names_in_ = np.array(half.feature_names, dtype=object)
        model._halves = {}
        return model

    def _objective_of(self, half: Any) -> Objective | None:
        """The objective of a model; None if it was the user's own."""
        if half.objective == Custom.name:
            return None
        return make_objective(
            half.objective, n_classes=len(half.classes) or 1, **half.objective_parameters
        )

    def _parties_for(
        self, parties: Sequence[Party] | None, X: Any, missing: Sequence[str] = ()
    ) -> list[Party]:
        """The model's partners in its order, holding their halves if they live here.

        Those that are named `missing` need not be there, and are left out.
        """
        half = self.label_half_
        given = getattr(self, "parties_", []) if parties is None else parties
        by_name = {party.name: party for party in check_parties(given, X)}
        asked = [partner.name for partner in half.partners if partner.name not in missing]
        absent = [name for name in asked if name not in by_name]
        if absent:
            raise ModelError(
                f"The model was trained with {', '.join(map(repr, absent))}, which "
                f"{'is' if len(absent) == 1 else 'are'} not among the parties. Pass parties=[...]."
            )
        chosen = [by_name[name] for name in asked]
        for party in chosen:
            own = self._halves.get(party.name)
            if isinstance(party, FeatureParty) and own and not self._half_at(party, half.model_id):
                self._hand_over(party, own)
        return chosen

    def _local_halves(self) -> dict[str, Any]:
        """Halves that lie in this process: of its parties, or read by `load`."""
        halves = dict(self._halves)
        for party in getattr(self, "parties_", []):
            if isinstance(party, FeatureParty):
                half = self._half_at(party, self.label_half_.model_id)
                if half is not None:
                    halves[party.name] = half
        return halves
