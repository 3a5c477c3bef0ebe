"""What the estimators of networks share: parameters, fitting, raw scores, saving."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from parties.session import Session
from parties.traffic import Traffic
from secureboost.aligned_rows import Agreements
from secureboost.alignment_progress import shown_by
from secureboost.common_rows import Given, keep_common
from secureboost.errors import ConfigError, ModelError
from secureboost.eval_metrics import EvalMetric
from secureboost.fitting import (
    after_iteration,
    check_callbacks,
    check_patience,
    plain_parameter,
    told,
)
from secureboost.inputs import eval_pairs
from secureboost.joint_estimator import JointModel
from secureboost.monitor import Monitor
from secureboost.objectives import Objective
from secureboost.padding import place_rows
from secureboost.partner import Partner
from secureboost.partners import (
    Unmatched,
    agree_on_rows,
    check_parties,
    make_partners,
    open_partners,
)
from secureboost.party import FeatureParty, Party, row_ids
from secureboost.recovery import Recovery
from secureboost.splitnn.architectures import name_of
from secureboost.splitnn.bottoms import LocalBottom
from secureboost.splitnn.export import write_onnx, write_torch
from secureboost.splitnn.label import train
from secureboost.splitnn.missing import missing_parties, warn_of_missing
from secureboost.splitnn.model import (
    BottomHead,
    MetricsWithout,
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
from secureboost.trainers import NET_TRAINER, Trainer

LABEL_FILE = f"label{SUFFIX}"


class SplitNNModel(JointModel):
    """Base of `SplitNNClassifier` and `SplitNNRegressor`, which document the parameters."""

    trainer: ClassVar[Trainer] = NET_TRAINER
    label_half_: TopHead
    _family = "SplitNN"
    _default_n_jobs = 1
    _may_lack_columns = True

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
        party_dropout: float = 0.0,
        max_wait: float | None = None,
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
        self.party_dropout = party_dropout
        self.max_wait = max_wait
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
        with shown_by(callbacks, given.index, parties) as progress:
            agreements = agree_on_rows(parties, given.index, progress=progress)
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
        self.training_loss_ = task.losses  # it fills as training goes on; callbacks may look
        recovery = Recovery(None if checkpoint is None else Path(checkpoint), resume)
        with told(callbacks, self), torch_threads(self._threads()):
            trained = self._train(table, task, recovery, parties, rows.index, agreements)
            self._take_history(monitor, prepared, parties)
            self._take(trained)
        return self

    def raw_scores(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        unmatched: Unmatched = "error",
        without: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """Raw scores of rows, before the link function.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            As in `fit`; for a split network a DataFrame indexed by row id.
        parties : sequence of Party, optional
            Where the partners are now; by default those of `fit`.
        unmatched : {"error", "missing"}
            What happens to rows that a party does not have: they are refused, or scored as rows in
            which it is missing. It is not asked about them. Parties are aligned one by one for
            "missing", and together otherwise. Needs a model trained with `party_dropout`.
        without : sequence of str, optional
            Parties that are missing in all rows, for instance because they are down: they are not
            asked at all. Needs a model trained with `party_dropout`; `metrics_without_` says what
            that costs.

        Returns
        -------
        array of shape (n_rows,) or (n_rows, n_classes), float64

        Raises
        ------
        ValueError
            If the rows cannot be used, a party lacks some of them, or `without` names strangers.
        secureboost.errors.ModelError
            If a party is absent and the model has not learnt to do without it.
        parties.errors.PartyError
            If a party refuses or fails.

        Warns
        -----
        MissingPartyWarning
            Naming the parties of `without`, and what was measured of that in training.
        """
        check_is_fitted(self, "label_half_")
        missing = missing_parties(self.label_half_, without, unmatched)
        warn_of_missing(self.label_half_, missing)
        given = self._parties_for(parties, X, missing)
        matrix = self._matrix(X, given, known=self.label_half_)
        columns = ColumnTable(self.label_half_.feature_names, matrix.values.T, matrix.categories)
        index = X.index if given else None
        agreements = agree_on_rows(given, index, apart=unmatched == "missing")
        partners = make_partners(given, index, NET_TRAINER, agreements, unmatched=unmatched)
        with torch_threads(self._threads()), open_partners(partners, NET_TRAINER) as session:
            asked = _in_session(partners, session)
            return raw_scores(self._loaded, columns, len(matrix.values), asked, missing)

    @property
    def metrics_without_(self) -> MetricsWithout:
        """What evaluation rows were scored like with all parties, and without each."""
        check_is_fitted(self, "label_half_")
        return self.label_half_.metrics_without

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

    def to_onnx(self, folder: str | Path) -> list[Path]:
        """Write the top and own bottoms as ONNX graphs into which raw columns go.

        Every graph is checked in onnxruntime. Parties export theirs: `FeatureParty.to_onnx`,
        ``secureboost export``.

        Raises
        ------
        secureboost.splitnn.onnx_graph.ExportError
            See `export.write_onnx`.
        secureboost.splitnn.onnx_graph.OnnxMissingError
        """
        check_is_fitted(self, "label_half_")
        return write_onnx(self._half, folder)

    def to_torch(self, folder: str | Path) -> list[Path]:
        """Write the weights of top and own bottoms for torch alone; see `export.write_torch`."""
        check_is_fitted(self, "label_half_")
        return write_torch(self._half, folder)

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
        model = cls._from_half(head, path)
        model._half = data
        for partner in head.partners:
            beside = Path(folder) / f"{partner.name}{SUFFIX}"
            if beside.exists():
                model._halves[partner.name] = _partner_half(beside, head, partner.digest)
        return model

    def _metrics(self, objective: Objective) -> list[EvalMetric]:
        return metrics_of(self.eval_metric, objective)

    def _objective_of(self, half: TopHead) -> Objective | None:
        if half.labels:
            return SeveralLabels(half.labels, (1.0,) * len(half.labels))
        return super()._objective_of(half)

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

    def _take(self, trained: Trained) -> None:
        """Set what fitting a network sets besides."""
        self.__dict__.pop("_loaded", None)
        self._half = trained.half
        self.label_half_ = self._loaded.head
        self.seconds_ = trained.seconds
        self.late_batches_ = trained.late
        self.training_loss_ = trained.losses

    @cached_property
    def _loaded(self) -> LoadedModel:
        return LoadedModel(self._half, "label party's half")

    def __getstate__(self) -> dict[str, Any]:
        """Without the parties, and without what is read from the half when it is needed."""
        state = super().__getstate__()
        state.pop("_loaded", None)
        return state

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
            party_dropout=self.party_dropout,
            max_wait=self.max_wait,
        )

    def _seed(self) -> int | None:
        state = self.random_state
        if state is None:
            return None
        if isinstance(state, np.random.RandomState):
            return int(check_random_state(state).randint(2**31))
        check_random_state(state)
        return int(state)

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

    def _half_at(self, party: FeatureParty, model_id: str) -> bytes | None:
        return party.nets.store.load(model_id)

    def _hand_over(self, party: FeatureParty, half: bytes) -> None:
        party.nets.store.save(self.label_half_.model_id, half)


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
