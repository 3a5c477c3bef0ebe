"""What the scikit-learn estimators of networks share: parameters, fitting, raw scores, saving."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from parties.session import Session
from parties.traffic import Traffic
from secureboost.aligned_rows import Agreements
from secureboost.common_rows import Given, keep_common
from secureboost.data import check_columns
from secureboost.errors import ConfigError, ModelError, did_you_mean
from secureboost.eval_metrics import EvalMetric
from secureboost.features import FeatureMatrix, feature_matrix
from secureboost.fitting import (
    after_iteration,
    check_callbacks,
    check_patience,
    plain_parameter,
    stack_eval_sets,
)
from secureboost.inputs import Rows, eval_pairs, row_weights
from secureboost.monitor import EvalSet, History, Monitor
from secureboost.objectives import Objective, make_objective
from secureboost.padding import place_rows
from secureboost.partner import Partner
from secureboost.partners import (
    agree_on_rows,
    check_column_owner,
    check_parties,
    make_partners,
    open_partners,
)
from secureboost.party import FeatureParty, Party, row_ids
from secureboost.splitnn.architectures import name_of
from secureboost.splitnn.bottoms import LocalBottom
from secureboost.splitnn.checkpoint import Recovery
from secureboost.splitnn.label import train
from secureboost.splitnn.model import (
    BottomHead,
    TopHead,
    decode_half,
    half_digest,
    read_half,
    save_half,
)
from secureboost.splitnn.params import NetParams, bottom_choices, check_owners, choices
from secureboost.splitnn.scoring import LoadedModel, raw_scores
from secureboost.splitnn.several import SeveralLabels, metrics_of
from secureboost.splitnn.store import SUFFIX
from secureboost.splitnn.table import ColumnTable
from secureboost.splitnn.task import NetPartner, Task, Trained, TrainingTable
from secureboost.splitnn.threads import torch_threads
from secureboost.trainers import NET_TRAINER

LABEL_FILE = f"label{SUFFIX}"
_CUSTOM = "custom"


@dataclass(frozen=True, repr=False)
class _Prepared:
    """What training takes, checked.

    Attributes
    ----------
    owners : dict of str to list of str
        Columns of each party in pooled training.
    """

    matrix: FeatureMatrix
    labels: NDArray[np.float64]
    weight: NDArray[np.float64]
    objective: Objective
    owners: dict[str, list[str]]
    rows: Rows
    eval_sets: list[EvalSet]
    metrics: list[EvalMetric]


class SplitNNModel(BaseEstimator):  # type: ignore[misc]
    """Base of `SplitNNClassifier` and `SplitNNRegressor`, which document the parameters."""

    _make_local: Callable[..., LocalBottom] = LocalBottom
    """How bottoms in this process are made; `audit` notes what crosses them."""

    def __init__(
        self,
        *,
        objective: Any = None,
        architecture: Any = "mlp",
        bottom_hidden: Any = None,
        top_hidden: Any = None,
        cut_width: int = 32,
        bottom_options: Any = None,
        top_options: Any = None,
        bottoms: Any = None,
        body: str | None = None,
        body_width: int = 32,
        n_epochs: int = 30,
        batch_size: int = 1024,
        optimizer: str = "adam",
        learning_rate: float = 0.001,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        max_norm: float | None = None,
        in_flight: int = 1,
        local_steps: int = 1,
        dtype: str = "float32",
        codec: str = "identity",
        label_protections: Any = None,
        feature_protections: Any = None,
        categorical_features: Any = None,
        scale_pos_weight: float = 1.0,
        class_weight: Any = None,
        label_weights: Any = None,
        huber_slope: float = 1.0,
        tweedie_variance_power: float = 1.5,
        eval_metric: Any = None,
        early_stopping_rounds: int | None = None,
        callbacks: Any = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.objective = objective
        self.architecture = architecture
        self.bottom_hidden = bottom_hidden
        self.top_hidden = top_hidden
        self.cut_width = cut_width
        self.bottom_options = bottom_options
        self.top_options = top_options
        self.bottoms = bottoms
        self.body = body
        self.body_width = body_width
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.max_norm = max_norm
        self.in_flight = in_flight
        self.local_steps = local_steps
        self.dtype = dtype
        self.codec = codec
        self.label_protections = label_protections
        self.feature_protections = feature_protections
        self.categorical_features = categorical_features
        self.scale_pos_weight = scale_pos_weight
        self.class_weight = class_weight
        self.label_weights = label_weights
        self.huber_slope = huber_slope
        self.tweedie_variance_power = tweedie_variance_power
        self.eval_metric = eval_metric
        self.early_stopping_rounds = early_stopping_rounds
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs

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

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        parties: Sequence[Party] | None = None,
        sample_weight: ArrayLike | None = None,
        eval_set: Sequence[tuple[Any, ArrayLike]] | None = None,
        sample_weight_eval_set: Sequence[ArrayLike | None] | None = None,
        column_owner: Mapping[str, Sequence[str]] | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            The label party's own columns. With parties a DataFrame indexed by row id, which may
            have no columns: its rows decide which rows take part, and are looked up in every party
            by id. Columns of text and of pandas' "category" are categories.
        y : array-like of shape (n_rows,)
            Classes, or the numbers of a regression. Of two classes the larger one is positive. A
            classifier takes several labels, too: a frame or array of shape (n_rows, n_labels).
        parties : sequence of Party, optional
            Feature parties; their order numbers the bottoms.
        sample_weight : array-like of shape (n_rows,), optional
        eval_set : sequence of (X, y), optional
            Rows of all parties whose metrics are watched; see `evals_result_`.
        sample_weight_eval_set : sequence of array-like, optional
            Weights of each set's rows.
        column_owner : mapping of str to sequence of str, optional
            For pooled training, which column belongs to which party: each gets a bottom of its
            own. The pooled twin of a split network has the label party's columns first, then each
            party's.
        checkpoint : str or Path, optional
            A file that is written after every epoch, so that a run that was interrupted can go on.
        resume : bool
            Go on with the run whose checkpoint is there; the model is the one that an undisturbed
            run would have given. `n_epochs` and `learning_rate` may be others.

        Raises
        ------
        ValueError
            If a parameter is out of its limits, or a table cannot be used (`DataError`).
        parties.errors.PartyError
            If a party refuses or fails.
        secureboost.errors.IntegrityError
            If a party sends what cannot be.
        secureboost.splitnn.errors.DivergedError
            If training leads to numbers that are not finite; step, party and learning rate are
            named.
        secureboost.errors.ModelError
            If there is nothing to resume, or something else.
        """
        if resume and checkpoint is None:
            raise ValueError("resume=True needs checkpoint=, the file of the interrupted run")
        parties = check_parties(parties, X)
        params = self._net_params()
        given = Given(X, y, sample_weight, eval_pairs(eval_set), sample_weight_eval_set)
        prepared = self._prepare(given, parties, column_owner)
        check_owners(params, ["", *prepared.owners, *(party.name for party in parties)])
        callbacks = check_callbacks(self.callbacks)
        agreements = agree_on_rows(parties, given.index)
        common = keep_common(given, agreements)
        if common is not given:
            prepared = self._prepare(common, parties, column_owner)
        rows, matrix, objective = prepared.rows, prepared.matrix, prepared.objective
        if place_rows(agreements, rows.index, len(prepared.labels)) is not None:
            raise ConfigError(
                "networks cannot be trained with padding rows: their gradients would be zeros, "
                "which shows which they are. Align again with align.padding = 0",
                "align.padding",
            )
        monitor = Monitor(
            prepared.eval_sets,
            prepared.metrics,
            objective.predict,
            check_patience(self.early_stopping_rounds, prepared.eval_sets),
            [after_iteration(callback, self) for callback in callbacks],
        )
        table = TrainingTable(
            ColumnTable(self._own_names(), rows.values.T, matrix.categories),
            prepared.owners,
            hasattr(self, "feature_names_in_"),
            len(rows.values),
            prepared.labels,
            prepared.weight,
            _row_digest(rows.index),
        )
        task = Task(
            params,
            objective,
            monitor,
            self._classes(),
            self._plain_parameters(),
            self._seed(),
            np.unique(np.concatenate([[], *rows.positions])).astype(np.int32),
        )
        recovery = Recovery(None if checkpoint is None else Path(checkpoint), resume)
        with contextlib.ExitStack() as at_the_end:
            for callback in callbacks:
                at_the_end.callback(getattr(callback, "close", _nothing))
                callback.before_training(self)
            with torch_threads(self._threads()):
                trained = self._train(table, task, recovery, parties, rows.index, agreements)
            self._objective: Objective | None = objective
            self._take(trained, monitor, prepared.owners, parties)
            for callback in callbacks:
                callback.after_training(self)
        return self

    def raw_scores(self, X: Any, *, parties: Sequence[Party] | None = None) -> NDArray[np.float64]:
        """Raw scores of rows, before the link function.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            As in `fit`; for a split network a DataFrame indexed by row id.
        parties : sequence of Party, optional
            Where the partners are now; by default those of `fit`.

        Returns
        -------
        array of shape (n_rows,) or (n_rows, n_classes), float64
        """
        check_is_fitted(self, "label_half_")
        given = self._parties_for(parties, X)
        matrix = self._matrix(X, given, known=self.label_half_)
        columns = ColumnTable(self.label_half_.feature_names, matrix.values.T, matrix.categories)
        index = X.index if given else None
        partners = make_partners(given, index, NET_TRAINER, agree_on_rows(given, index))
        with torch_threads(self._threads()), open_partners(partners, NET_TRAINER) as session:
            asked = _in_session(partners, session)
            return raw_scores(self._loaded, columns, len(matrix.values), asked)

    def save(self, folder: str | Path) -> None:
        """Write ``label.safetensors``, and beside it halves of parties that live in this process.

        Remote parties keep their halves under the model id.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        check_is_fitted(self, "label_half_")
        for name, half in self._local_halves().items():
            save_half(half, Path(folder) / f"{name}{SUFFIX}")
        save_half(self._half, Path(folder) / LABEL_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; name the parties again when predicting.

        Halves of in-process parties that lie beside ``label.safetensors`` are handed to a
        `FeatureParty` of that name that has none.

        Raises
        ------
        secureboost.errors.ModelError
            If a half is damaged, the label party's is absent, or it is of another kind of model.
        """
        path = Path(folder) / LABEL_FILE
        data = read_half(path)
        head, _ = decode_half(data, TopHead, str(path))
        if not head.parameters.keys() <= cls().get_params().keys() or not cls._loads(head):
            raise ModelError(f"{path} was not written by {cls.__name__}.save.")
        model = cls(**head.parameters)
        model._restore(head)
        model._half, model.label_half_ = data, head
        model._objective = None
        if head.labels:
            model._objective = SeveralLabels(head.labels, (1.0,) * len(head.labels))
        elif head.objective != _CUSTOM:
            try:
                model._objective = make_objective(
                    head.objective, n_classes=len(head.classes) or 1, **head.objective_parameters
                )
            except ValueError as error:
                raise ModelError(
                    f"{path} was not written by {cls.__name__}.save: {error}"
                ) from error
        model.n_features_in_ = len(head.feature_names)
        if head.named:
            model.feature_names_in_ = np.array(head.feature_names, dtype=object)
        model._halves = {}
        for partner in head.partners:
            beside = Path(folder) / f"{partner.name}{SUFFIX}"
            if beside.exists():
                model._halves[partner.name] = _partner_half(beside, head, partner.digest)
        return model

    def _prepare(
        self,
        given: Given,
        parties: Sequence[Party],
        column_owner: Mapping[str, Sequence[str]] | None,
    ) -> "_Prepared":
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
        metrics = metrics_of(self.eval_metric, objective)
        for metric in metrics:
            for rows_of_set in eval_sets:
                metric.check_rows(rows_of_set.y, rows_of_set.weight)
        return _Prepared(matrix, labels, weight, objective, owners, rows, eval_sets, metrics)

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
    def _loads(cls, head: TopHead) -> bool:
        """Whether a half is of this kind of model."""
        raise NotImplementedError

    def _restore(self, head: TopHead) -> None:
        """Set what fitting would have set besides the half."""

    @staticmethod
    def _default_objective(n_classes: int) -> str:
        """Name of the objective for labels of so many classes; 1 for a regression."""
        raise NotImplementedError

    def _train(
        self,
        table: TrainingTable,
        task: Task,
        recovery: Recovery,
        parties: Sequence[Party],
        index: pd.Index | None,
        agreements: Agreements,
    ) -> Trained:
        partners = make_partners(parties, index, NET_TRAINER, agreements)
        with open_partners(partners, NET_TRAINER) as session:
            asked = _in_session(partners, session)
            trained = train(table, asked, task, recovery=recovery, make_local=self._make_local)
            self.traffic_: dict[str, dict[str, Traffic]] = session.traffic
        return trained

    def _take(
        self,
        trained: Trained,
        monitor: Monitor,
        owners: dict[str, list[str]],
        parties: Sequence[Party],
    ) -> None:
        """Set what fitting sets."""
        self.__dict__.pop("_loaded", None)
        self._half = trained.half
        self.label_half_: TopHead = self._loaded.head
        self.seconds_ = trained.seconds
        self.training_loss_ = trained.losses
        self.parties_ = list(parties)
        self.column_owner_ = owners
        self._halves: dict[str, bytes] = {}
        self.evals_result_: History = monitor.history
        for name in ("best_iteration_", "best_score_"):  # of an earlier fit
            if hasattr(self, name):
                delattr(self, name)
        if monitor.best_iteration is not None:
            self.best_iteration_ = monitor.best_iteration
            self.best_score_ = monitor.best_score

    @cached_property
    def _loaded(self) -> LoadedModel:
        return LoadedModel(self._half, "label party's half")

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the parties, whose tables and connections stay where they are."""
        state = dict(super().__getstate__())
        state.pop("parties_", None)
        state.pop("_loaded", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _net_params(self) -> NetParams:
        """The network's hyperparameters, checked."""
        bottom = dict(self.bottom_options or {})
        top = dict(self.top_options or {})
        if self.bottom_hidden is not None:
            bottom["hidden"] = tuple(self.bottom_hidden)
        if self.top_hidden is not None:
            top["hidden"] = tuple(self.top_hidden)
        return NetParams(
            architecture=name_of(self.architecture),
            bottom=bottom,
            top=top,
            bottoms=bottom_choices(self.bottoms),
            body=self.body,
            body_width=self.body_width,
            width=self.cut_width,
            n_epochs=self.n_epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            max_norm=self.max_norm,
            in_flight=self.in_flight,
            local_steps=self.local_steps,
            dtype=self.dtype,
            codec=self.codec,
            label_protections=choices("label_protections", self.label_protections),
            feature_protections=choices("feature_protections", self.feature_protections),
        )

    def _make_objective(self, n_classes: int) -> Objective:
        """The objective with its parameters; those of another objective must be left alone."""
        spec = self._default_objective(n_classes) if self.objective is None else self.objective
        given = {
            name: getattr(self, name)
            for name, default in (("huber_slope", 1.0), ("tweedie_variance_power", 1.5))
            if getattr(self, name) != default
        }
        n_classes = n_classes if callable(spec) else max(2, n_classes)
        objective = make_objective(spec, n_classes=n_classes, **given)
        if (objective.task == "regression") != is_regressor(self):
            use = "Classifier" if is_regressor(self) else "Regressor"
            raise ValueError(
                f"objective={spec!r} does not fit {type(self).__name__}; use SplitNN{use}"
            )
        return objective

    def _seed(self) -> int | None:
        state = self.random_state
        if state is None:
            return None
        if isinstance(state, np.random.RandomState):
            return int(check_random_state(state).randint(2**31))
        check_random_state(state)
        return int(state)

    def _threads(self) -> int:
        return int(effective_n_jobs(1 if self.n_jobs is None else self.n_jobs))

    def _plain_parameters(self) -> dict[str, Any]:
        """The constructor's parameters as values that a file can hold."""
        parameters = self.get_params(deep=False)
        if isinstance(parameters["random_state"], np.random.RandomState):
            parameters["random_state"] = None
        parameters["callbacks"] = None
        parameters["architecture"] = name_of(self.architecture)
        if self.bottoms is not None:
            parameters["bottoms"] = {
                owner: name_of(bottom) for owner, bottom in self.bottoms.items()
            }
        return {name: plain_parameter(value) for name, value in parameters.items()}

    def _matrix(
        self,
        X: Any,
        parties: Sequence[Party],
        *,
        known: FeatureMatrix | TopHead | None = None,
    ) -> FeatureMatrix:
        """Own columns as float32, checked; with parties there may be none.

        Columns have the categories of `known` if it is given.
        """
        if parties and isinstance(X, pd.DataFrame) and X.shape[1] == 0:
            if known is not None and known.categories:
                raise ValueError(
                    f"X has 0 columns, and the model was trained with {len(known.categories)}"
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
            X,
            "",
            categorical=self.categorical_features if known is None else None,
            known=None if known is None else known.categories,
        )

    def _own_names(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return tuple(f"x{i}" for i in range(self.n_features_in_))
        return tuple(map(str, names))

    def _parties_for(self, parties: Sequence[Party] | None, X: Any) -> list[Party]:
        """The model's partners in its order, holding their halves if they live here."""
        head = self.label_half_
        given = getattr(self, "parties_", []) if parties is None else parties
        by_name = {party.name: party for party in check_parties(given, X)}
        missing = [partner.name for partner in head.partners if partner.name not in by_name]
        if missing:
            raise ModelError(
                f"The model was trained with {', '.join(map(repr, missing))}, which "
                f"{'is' if len(missing) == 1 else 'are'} not among the parties. Pass parties=[...]."
            )
        chosen = [by_name[partner.name] for partner in head.partners]
        for party in chosen:
            own = self._halves.get(party.name)
            if isinstance(party, FeatureParty) and own and not party.nets.store.load(head.model_id):
                party.nets.store.save(head.model_id, own)
        return chosen

    def _local_halves(self) -> dict[str, bytes]:
        """Halves that lie in this process: of its parties, or read by `load`."""
        halves = dict(self._halves)
        for party in getattr(self, "parties_", []):
            if isinstance(party, FeatureParty):
                half = party.nets.store.load(self.label_half_.model_id)
                if half is not None:
                    halves[party.name] = half
        return halves


def _partner_half(path: Path, label: TopHead, digest: str) -> bytes:
    """Read a partner's half that lies beside the label party's."""
    data = read_half(path)
    head, _ = decode_half(data, BottomHead, str(path))
    if head.model_id != label.model_id or (digest and half_digest(data).hex() != digest):
        raise ModelError(
            f"The halves do not belong together: {path} is not the one whose hash the label "
            "party's half holds. Use the halves of one training run, as they were saved."
        )
    return data


def _row_digest(index: pd.Index | None) -> str:
    """Name the rows of a training and their order; empty without ids."""
    if index is None:
        return ""
    return hashlib.sha256("\n".join(row_ids(index)).encode()).hexdigest()


def _in_session(partners: Sequence[Partner], session: Session) -> list[NetPartner]:
    """The partners with their connections."""
    return [
        NetPartner(peer, partner.rows, partner.padding, partner.goes_with)
        for peer, partner in zip(session.peers, partners, strict=True)
    ]


def _nothing() -> None:
    """What a callback without `close` does at the end."""
