"""The scikit-learn estimators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, assert_all_finite, check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from crypto.scheme import PrivateKey
from crypto.schemes import get_scheme
from parties.traffic import Traffic
from secureboost.data import feature_matrix, positions_text
from secureboost.errors import DataError, ModelError
from secureboost.gbdt.booster import OnTree
from secureboost.gbdt.label import PartyTime, TrainingTable, booster_params, train
from secureboost.gbdt.model import (
    LabelHalf,
    PartyHalf,
    check_party_half,
    load_half,
    save_half,
)
from secureboost.gbdt.partner import Partner
from secureboost.gbdt.scoring import raw_scores, staged_raw_scores
from secureboost.metrics import evaluate
from secureboost.objectives import OBJECTIVES
from secureboost.partners import check_column_owner, check_parties, make_partners
from secureboost.party import FeatureParty, Party
from secureboost.trainers import get_trainer

IMPORTANCE_TYPES = ("gain", "total_gain", "weight")
LABEL_FILE = "label.json"
TRAINER = get_trainer("secureboost")


@dataclass(frozen=True, repr=False)
class _EvalTable:
    """A set of `eval_set`, checked: own columns, labels as 0 and 1, the partners' rows."""

    X: NDArray[np.float32]
    labels: NDArray[np.int64]
    partners: list[Partner]


class SecureBoostClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Gradient boosting of two classes over columns that several parties own.

    Without parties it is an ordinary scikit-learn classifier; with parties the same code trains
    under encryption and gives the very same model as on the pooled columns.

    Parameters
    ----------
    n_estimators : int, default=100
        Trees.
    learning_rate : float, default=0.3
        Factor of each leaf value.
    max_depth : int, default=6
        Deepest level of a tree; 0 is no limit.
    max_leaves : int, default=0
        Most leaves of a tree; 0 is no limit.
    grow_policy : {"depthwise", "lossguide"}, default="depthwise"
        Level by level, or the leaf with the highest gain first.
    max_bin : int, default=64
        Bins of a column, 2 to 255; missing values have one more.
    reg_lambda, reg_alpha : float, default=1, 0
        L2 and L1 penalty of leaf values.
    gamma : float, default=0
        Least gain of a split.
    min_child_weight : float, default=1
        Least sum of hessians in a child.
    min_child_samples : int, default=1
        Fewest rows in a child. Above 1 it also protects: 20 is a good start, and a feature party
        may insist on a floor.
    max_delta_step : float, default=0
        Largest absolute leaf value before the learning rate; 0 is no limit.
    subsample, colsample_bytree : float, default=1
        Share of rows and columns drawn for each tree.
    base_score : float, optional
        Probability before the first tree; by default the share of positives in training.
    importance_type : {"gain", "total_gain", "weight"}, default="gain"
        What `feature_importances_` counts: mean gain per split, total gain, or splits.
    random_state : int, RandomState or None
        Seed of the draws.
    n_jobs : int, optional
        Threads; by default one per core.
    key_bits : int, default=2048
        Length of the key, at least 2048.
    scheme : str, default="paillier"
        How gradients are encrypted: ``"paillier"``, exactly the textbook's law;
        ``"paillier-short-exponent-djn"``, encrypts some three times as fast under one assumption
        more (see SECURITY.md); ``"phe"``, python-paillier; ``"plain"`` (in one process only)
        encrypts nothing.

    Attributes
    ----------
    classes_ : array of shape (2,)
    n_features_in_ : int
    feature_names_in_ : array of str
        Only if `X` was a frame with text column names.
    feature_names_out_ : array of str
        Own columns, then each partner's as ``bureau/0``, ``bureau/1``, ...
    feature_importances_ : array
        For each of `feature_names_out_`; sums to 1.
    label_half_ : LabelHalf
        The label party's half of the model.
    parties_ : list of Party
        The feature parties that `fit` was given.
    column_owner_ : dict
        As given to `fit`.
    evals_result_ : dict
        ``{"validation_0": {"auc": [...], "logloss": [...]}, ...}`` if `eval_set` was given.
    traffic_ : dict
        Messages and bytes by party and request type.
    times_ : dict
        Seconds and operations by party and phase (`secureboost.gbdt.label.PartyTime`).
    partner_bins_ : dict
        By party how many bins each of its columns has.

    Examples
    --------
    >>> bureau = FeatureParty("bureau", bureau_table)
    >>> model = SecureBoostClassifier(n_estimators=50, max_depth=5)
    >>> model.fit(lender, defaulted, parties=[bureau])
    >>> probability = model.predict_proba(new_lender)[:, 1]
    """

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.3,
        max_depth: int = 6,
        max_leaves: int = 0,
        grow_policy: str = "depthwise",
        max_bin: int = 64,
        reg_lambda: float = 1.0,
        reg_alpha: float = 0.0,
        gamma: float = 0.0,
        min_child_weight: float = 1.0,
        min_child_samples: int = 1,
        max_delta_step: float = 0.0,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        base_score: float | None = None,
        importance_type: str = "gain",
        random_state: Any = None,
        n_jobs: int | None = None,
        key_bits: int = 2048,
        scheme: str = "paillier",
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.max_leaves = max_leaves
        self.grow_policy = grow_policy
        self.max_bin = max_bin
        self.reg_lambda = reg_lambda
        self.reg_alpha = reg_alpha
        self.gamma = gamma
        self.min_child_weight = min_child_weight
        self.min_child_samples = min_child_samples
        self.max_delta_step = max_delta_step
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.base_score = base_score
        self.importance_type = importance_type
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.key_bits = key_bits
        self.scheme = scheme

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        parties: Sequence[Party] | None = None,
        sample_weight: ArrayLike | None = None,
        eval_set: Sequence[tuple[Any, ArrayLike]] | None = None,
        column_owner: Mapping[str, Sequence[str]] | None = None,
    ) -> "SecureBoostClassifier":
        """Train.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            The label party's own columns. With parties a DataFrame indexed by row id: its rows
            decide which rows take part, and are looked up in every party by id.
        y : array-like of shape (n_rows,)
            Two classes; the larger of the sorted two is the positive one.
        parties : sequence of Party, optional
            Feature parties; their order numbers the columns.
        sample_weight : array-like of shape (n_rows,), optional
        eval_set : sequence of (X, y), optional
            Rows of all parties that are scored after every tree, once training has ended; see
            `evals_result_`.
        column_owner : mapping of str to sequence of str, optional
            For pooled training, which column belongs to which party: the pooled twin of a
            federated run has the label party's columns first, then each party's.

        Raises
        ------
        ValueError
            If a parameter is out of its limits, or a table cannot be used (`DataError`).
        parties.errors.PartyError
            If a party refuses or fails.
        secureboost.errors.IntegrityError
            If a party's numbers contradict each other.
        """
        return self._fit(
            X,
            y,
            parties=parties,
            sample_weight=sample_weight,
            eval_set=eval_set,
            column_owner=column_owner,
        )

    def _fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        parties: Sequence[Party] | None = None,
        sample_weight: ArrayLike | None = None,
        eval_set: Sequence[tuple[Any, ArrayLike]] | None = None,
        column_owner: Mapping[str, Sequence[str]] | None = None,
        on_tree: OnTree | None = None,
        make_key: Callable[[], PrivateKey] | None = None,
    ) -> "SecureBoostClassifier":
        """`fit`, telling somebody after every tree, perhaps with a key that exists already."""
        parties = check_parties(parties, X)
        parameters = self._plain_parameters()
        params = booster_params(parameters)
        self._check_importance_type()
        matrix = self._matrix(X, reset=True)
        labels = self._labels(y)
        check_consistent_length(X, y)
        weight = np.asarray(
            _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        )
        if not weight.any():
            raise ValueError("sample_weight is zero for every row; some rows must count")
        owners = check_column_owner(column_owner, self._own_names(), parties)
        eval_tables = [
            self._eval_table(f"eval_set[{number}]", *pair, parties)
            for number, pair in enumerate(eval_set or ())
        ]
        trained = train(
            TrainingTable(
                matrix, labels, weight, self._own_names(), hasattr(self, "feature_names_in_")
            ),
            make_partners(parties, X, TRAINER),
            params,
            OBJECTIVES["binary:logistic"](),
            make_key=make_key or self._generate_key,
            classes=tuple(self.classes_.tolist()),
            parameters=parameters,
            n_jobs=self._threads(),
            on_tree=on_tree,
        )
        self.label_half_: LabelHalf = trained.half
        self.traffic_: dict[str, dict[str, Traffic]] = trained.traffic
        self.times_: dict[str, PartyTime] = trained.times
        self.partner_bins_: dict[str, tuple[int, ...]] = trained.partner_bins
        self.parties_ = list(parties)
        self.column_owner_ = owners
        self._halves: dict[str, PartyHalf] = {}
        if eval_set is not None:
            self.evals_result_ = self._evaluate(eval_tables)
        return self

    def decision_function(
        self, X: Any, *, parties: Sequence[Party] | None = None
    ) -> NDArray[np.float64]:
        """Raw scores (log odds) of rows, shape (n_rows,); see `predict_proba`."""
        check_is_fitted(self, "label_half_")
        matrix = self._matrix(X, reset=False)
        partners = make_partners(self._parties_for(parties, X), X, TRAINER)
        return raw_scores(self.label_half_, matrix, partners, n_jobs=self._threads())

    def predict_proba(
        self, X: Any, *, parties: Sequence[Party] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities of both classes, shape (n_rows, 2), in the order of `classes_`.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            As in `fit`; for a federated model a DataFrame indexed by row id.
        parties : sequence of Party, optional
            Where the partners are now; by default those of `fit`.
        """
        raw = self.decision_function(X, parties=parties)
        positive = OBJECTIVES[self.label_half_.objective]().predict(raw)
        return np.column_stack([1.0 - positive, positive])

    def predict(self, X: Any, *, parties: Sequence[Party] | None = None) -> NDArray[Any]:
        """The likelier class of each row, shape (n_rows,); see `predict_proba`."""
        raw = self.decision_function(X, parties=parties)
        return np.asarray(self.classes_[(raw > 0).astype(np.intp)])

    @property
    def feature_names_out_(self) -> NDArray[np.object_]:
        """Names of own and partner columns."""
        check_is_fitted(self, "label_half_")
        names = list(self.label_half_.feature_names)
        for partner in self.label_half_.partners:
            names += [f"{partner.name}/{i}" for i in range(partner.n_features)]
        return np.array(names, dtype=object)

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much each of `feature_names_out_` matters; sums to 1 unless nothing was split."""
        check_is_fitted(self, "label_half_")
        self._check_importance_type()
        half = self.label_half_
        total = np.concatenate([half.gains, *(partner.gains for partner in half.partners)])
        splits = np.concatenate(
            [half.split_counts, *(partner.split_counts for partner in half.partners)]
        )
        importances = {
            "gain": total / np.maximum(splits, 1),
            "total_gain": total,
            "weight": splits.astype(np.float64),
        }[self.importance_type]
        return np.asarray(importances / (importances.sum() or 1.0))

    def save(self, folder: str | Path) -> None:
        """Write ``label.json``, and beside it the halves of parties that live in this process.

        Remote parties keep their halves under the model id.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        check_is_fitted(self, "label_half_")
        for name, half in self._local_halves().items():
            save_half(half, Path(folder) / f"{name}.json")
        save_half(self.label_half_, Path(folder) / LABEL_FILE)

    @classmethod
    def load(cls, folder: str | Path) -> "SecureBoostClassifier":
        """Read what `save` wrote; name the parties again when predicting.

        Halves of in-process parties that lie beside ``label.json`` are handed to a `FeatureParty`
        of that name that has none.

        Raises
        ------
        secureboost.errors.ModelError
            If a half is damaged, the label party's is absent, or it is of another kind of model.
        """
        folder = Path(folder)
        half = load_half(folder / LABEL_FILE, LabelHalf)
        known = cls().get_params().keys()
        if (
            not half.parameters.keys() <= known
            or len(half.classes) != 2
            or half.objective not in OBJECTIVES
        ):
            raise ModelError(f"{folder / LABEL_FILE} was not written by {cls.__name__}.save.")
        model = cls(**half.parameters)
        model.label_half_ = half
        model.classes_ = np.array(half.classes)
        model.n_features_in_ = len(half.feature_names)
        if half.named:
            model.feature_names_in_ = np.array(half.feature_names, dtype=object)
        model._halves = {}
        for partner in half.partners:
            path = folder / f"{partner.name}.json"
            if path.exists():
                model._halves[partner.name] = load_half(path, PartyHalf)
                check_party_half(half, partner, model._halves[partner.name])
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the parties: their tables and connections stay where they are."""
        state = dict(super().__getstate__())
        state.pop("parties_", None)
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags

    def _check_importance_type(self) -> None:
        if self.importance_type not in IMPORTANCE_TYPES:
            raise ValueError(
                f"importance_type={self.importance_type!r} is not one of "
                f"{', '.join(IMPORTANCE_TYPES)}"
            )

    def _generate_key(self) -> PrivateKey:
        key_bits: Any = self.key_bits
        if not isinstance(key_bits, Integral):
            raise ValueError(f"key_bits={key_bits!r} is not an integer")
        return get_scheme(self.scheme).generate(int(key_bits))

    def _threads(self) -> int:
        return int(effective_n_jobs(-1 if self.n_jobs is None else self.n_jobs))

    def _plain_parameters(self) -> dict[str, Any]:
        """The constructor's parameters as plain Python values; the seed as a number."""
        parameters = self.get_params(deep=False)
        seed = parameters["random_state"]
        if isinstance(seed, np.random.RandomState):
            parameters["random_state"] = int(check_random_state(seed).randint(2**31))
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in parameters.items()
        }

    def _matrix(self, X: Any, *, reset: bool) -> NDArray[np.float32]:
        """Own columns as float32, checked; frames get errors that name column and row."""
        if isinstance(X, pd.DataFrame):
            matrix = feature_matrix(X, "")
            validate_data(self, X, reset=reset, skip_check_array=True)
            return matrix
        array = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        return feature_matrix(pd.DataFrame(array), "")

    def _labels(self, y: ArrayLike) -> NDArray[np.float64]:
        """Labels as 0.0 and 1.0; sets `classes_`."""
        labels = np.asarray(column_or_1d(y, warn=True))
        missing = np.asarray(pd.isna(labels))
        if missing.any():
            raise DataError(
                f"Input y contains NaN: the label is missing in {positions_text(missing)}. "
                "Drop those rows."
            )
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        kind = type_of_target(labels, input_name="y", raise_unknown=True)
        classes, codes = np.unique(labels, return_inverse=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}: "
                f"it has {len(classes)} classes."
            )
        if len(classes) != 2:
            raise ValueError(
                "y has one class; a classifier needs two classes among the training rows."
            )
        self.classes_ = classes
        return codes.astype(np.float64)

    def _own_names(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return tuple(f"x{i}" for i in range(self.n_features_in_))
        return tuple(map(str, names))

    def _parties_for(self, parties: Sequence[Party] | None, X: Any) -> list[Party]:
        """The model's partners in its order, holding their halves if they live here."""
        half = self.label_half_
        given = getattr(self, "parties_", []) if parties is None else parties
        by_name = {party.name: party for party in check_parties(given, X)}
        missing = [p.name for p in half.partners if p.name not in by_name]
        if missing:
            raise ModelError(
                f"The model was trained with {', '.join(map(repr, missing))}, which "
                f"{'is' if len(missing) == 1 else 'are'} not among the parties. Pass parties=[...]."
            )
        chosen = [by_name[partner.name] for partner in half.partners]
        for party in chosen:
            own = self._halves.get(party.name)
            if isinstance(party, FeatureParty) and own and not party.half(half.model_id):
                party.store.save(own)
        return chosen

    def _local_halves(self) -> dict[str, PartyHalf]:
        """Halves that lie in this process: of its parties, or read by `load`."""
        halves = dict(self._halves)
        for party in getattr(self, "parties_", []):
            half = (
                party.half(self.label_half_.model_id) if isinstance(party, FeatureParty) else None
            )
            if half is not None:
                halves[party.name] = half
        return halves

    def _eval_table(self, name: str, X: Any, y: ArrayLike, parties: Sequence[Party]) -> _EvalTable:
        """Check a set before training, so that hours are not lost to a typing mistake."""
        check_parties(parties, X)
        matrix = self._matrix(X, reset=False)
        labels = column_or_1d(y)
        check_consistent_length(X, labels)
        unknown = ~np.isin(labels, self.classes_)
        if unknown.any():
            raise ValueError(
                f"{name}: the label is neither of the two training classes in "
                f"{positions_text(unknown)}"
            )
        if len(np.unique(labels)) < 2:
            raise ValueError(f"{name} has one class; its metrics need both")
        return _EvalTable(
            matrix, np.searchsorted(self.classes_, labels), make_partners(parties, X, TRAINER)
        )

    def _evaluate(self, tables: Sequence[_EvalTable]) -> dict[str, dict[str, list[float]]]:
        """Metrics of every set after every tree."""
        predict = OBJECTIVES[self.label_half_.objective]().predict
        results = {}
        for number, table in enumerate(tables):
            stages = staged_raw_scores(self.label_half_, table.X, table.partners)
            metrics = [evaluate(table.labels, predict(raw)) for raw in stages]
            results[f"validation_{number}"] = {
                "auc": [metric.auc for metric in metrics],
                "logloss": [metric.log_loss for metric in metrics],
            }
        return results
