"""What the estimators of trees share: parameters, fitting, raw scores, saving, taking out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from crypto.scheme import PrivateKey
from crypto.schemes import get_scheme
from parties.session import Session
from parties.traffic import Traffic
from secureboost.aligned_rows import Agreements
from secureboost.alignment_progress import shown_by
from secureboost.common_rows import Given, keep_common
from secureboost.errors import ConfigError, ModelError
from secureboost.export.consent import Release
from secureboost.export.taking_out import XGBoostExport, to_xgboost
from secureboost.fitting import (
    after_iteration,
    check_callbacks,
    check_patience,
    plain_parameter,
    told,
)
from secureboost.gbdt import scoring
from secureboost.gbdt.agreement import PartyTime
from secureboost.gbdt.constraints import check_names
from secureboost.gbdt.joined import check_party_half
from secureboost.gbdt.label import Task, TrainingTable, booster_params, train
from secureboost.gbdt.model import LabelHalf, PartyHalf, load_half, save_half
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.warm_start import Base
from secureboost.inputs import Rows, eval_pairs
from secureboost.joint_estimator import JointModel
from secureboost.monitor import History, Monitor
from secureboost.objectives import OBJECTIVES, Objective
from secureboost.padding import place_rows
from secureboost.partners import (
    Unmatched,
    agree_on_rows,
    check_parties,
    make_partners,
)
from secureboost.party import FeatureParty, Party
from secureboost.recovery import Recovery
from secureboost.trainers import GBDT_TRAINER, Trainer

IMPORTANCE_TYPES = ("gain", "total_gain", "weight")
LABEL_FILE = "label.json"
CHECKPOINT_FILE = "checkpoint.bin"


@dataclass(frozen=True, repr=False)
class Federation:
    """What several fits may share: a session, a key, agreements, and who is told of each round.

    Attributes
    ----------
    make_key : callable, optional
        Gives the private key; by default each fit makes one.
    session : Session, optional
        An open session with the parties.
    keep : bool
        Whether parties keep their halves.
    on_round : callable, optional
        See `monitor.Callback`.
    agreements : Agreements, optional
        What the session's parties count rows in; by default each fit sees to it.
    """

    make_key: Callable[[], PrivateKey] | None = None
    session: Session | None = None
    keep: bool = True
    on_round: Callable[[int, History], bool | None] | None = None
    agreements: Agreements | None = None


class SecureBoostModel(JointModel):
    """Base of `SecureBoostClassifier` and `SecureBoostRegressor`, which document the parameters."""

    trainer: ClassVar[Trainer] = GBDT_TRAINER
    label_half_: LabelHalf
    _family = "SecureBoost"
    _default_n_jobs = -1

    def __init__(
        self,
        *,
        objective: Any = None,
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
        max_delta_step: float | None = None,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        colsample_bylevel: float = 1.0,
        colsample_bynode: float = 1.0,
        sampling_method: str = "uniform",
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        goss_hide_rows: bool = False,
        multi_strategy: str = "one_output_per_tree",
        categorical_features: Any = None,
        max_cat_to_onehot: int = 4,
        cat_smooth: float = 10.0,
        cat_l2: float = 10.0,
        max_cat_threshold: int = 32,
        min_data_per_group: int = 10,
        monotone_constraints: Any = None,
        interaction_constraints: Any = None,
        label_party_trees: int = 0,
        max_shared_purity: float = 1.0,
        scale_pos_weight: float = 1.0,
        class_weight: Any = None,
        base_score: float | None = None,
        huber_slope: float = 1.0,
        tweedie_variance_power: float = 1.5,
        eval_metric: Any = None,
        early_stopping_rounds: int | None = None,
        callbacks: Any = None,
        importance_type: str = "gain",
        random_state: Any = None,
        n_jobs: int | None = None,
        key_bits: int = 2048,
        scheme: str = "paillier",
    ) -> None:
        self.objective = objective
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
        self.colsample_bylevel = colsample_bylevel
        self.colsample_bynode = colsample_bynode
        self.sampling_method = sampling_method
        self.top_rate = top_rate
        self.other_rate = other_rate
        self.goss_hide_rows = goss_hide_rows
        self.multi_strategy = multi_strategy
        self.categorical_features = categorical_features
        self.max_cat_to_onehot = max_cat_to_onehot
        self.cat_smooth = cat_smooth
        self.cat_l2 = cat_l2
        self.max_cat_threshold = max_cat_threshold
        self.min_data_per_group = min_data_per_group
        self.monotone_constraints = monotone_constraints
        self.interaction_constraints = interaction_constraints
        self.label_party_trees = label_party_trees
        self.max_shared_purity = max_shared_purity
        self.scale_pos_weight = scale_pos_weight
        self.class_weight = class_weight
        self.base_score = base_score
        self.huber_slope = huber_slope
        self.tweedie_variance_power = tweedie_variance_power
        self.eval_metric = eval_metric
        self.early_stopping_rounds = early_stopping_rounds
        self.callbacks = callbacks
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
        sample_weight_eval_set: Sequence[ArrayLike | None] | None = None,
        column_owner: Mapping[str, Sequence[str]] | None = None,
        init_model: "SecureBoostModel | None" = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            The label party's own columns. With parties a DataFrame indexed by row id: its rows
            decide which rows take part, and are looked up in every party by id. Columns of text and
            of pandas' "category" are categories.
        y : array-like of shape (n_rows,)
            Classes, or the numbers of a regression. Of two classes the larger one is positive.
        parties : sequence of Party, optional
            Feature parties; their order numbers the columns. Parties whose ids are not known here
            are aligned first, all together, unless `align_tables` has done so; then rows that not
            all of them have are left out, with an `UnmatchedRowsWarning`.
        sample_weight : array-like of shape (n_rows,), optional
            A row of weight 0 counts for nothing in own columns, and for bins and numbers of rows in
            those of parties, who cannot know.
        eval_set : sequence of (X, y), optional
            Rows of all parties whose metrics are watched; see `evals_result_`.
        sample_weight_eval_set : sequence of array-like, optional
            Weights of each set's rows.
        column_owner : mapping of str to sequence of str, optional
            For pooled training, which column belongs to which party: the pooled twin of a
            federated run has the label party's columns first, then each party's.
        init_model : estimator, optional
            A fitted model with the same columns and parties; `n_estimators` rounds come on top of
            its. The parties are asked for the sides of all rows at all of its splits, as in
            prediction.
        checkpoint : str or Path, optional
            A file that is written after every round, so that a run that was interrupted can go on.
        resume : bool
            Go on with the run whose checkpoint is there; the model is the one that an undisturbed
            run would have given.

        Raises
        ------
        ValueError
            If a parameter is out of its limits, a table cannot be used, or no row is common to all
            parties (`DataError`).
        parties.errors.PartyError
            If a party refuses or fails.
        secureboost.errors.IntegrityError
            If a party's numbers contradict each other.
        secureboost.errors.ModelError
            If there is nothing to resume, or something else.
        """
        if resume and checkpoint is None:
            raise ValueError("resume=True needs checkpoint=, the file of the interrupted run")
        return self._fit(
            X,
            y,
            Federation(),
            parties=parties,
            sample_weight=sample_weight,
            eval_set=eval_set,
            sample_weight_eval_set=sample_weight_eval_set,
            column_owner=column_owner,
            init_model=init_model,
            recovery=Recovery(None if checkpoint is None else Path(checkpoint), resume),
        )

    def _fit(
        self,
        X: Any,
        y: ArrayLike,
        federation: Federation,
        *,
        parties: Sequence[Party] | None = None,
        sample_weight: ArrayLike | None = None,
        eval_set: Sequence[tuple[Any, ArrayLike]] | None = None,
        sample_weight_eval_set: Sequence[ArrayLike | None] | None = None,
        column_owner: Mapping[str, Sequence[str]] | None = None,
        init_model: "SecureBoostModel | None" = None,
        recovery: Recovery | None = None,
    ) -> Self:
        """`fit`, perhaps with a key, a session and agreements that exist already."""
        parties = check_parties(parties, X)
        parameters = self._plain_parameters()
        given = Given(X, y, sample_weight, eval_pairs(eval_set), sample_weight_eval_set)
        self._check_importance_type()
        prepared = self._prepare(given, parties, column_owner)
        params = self._booster_params(prepared.objective)
        self._check_constraints(prepared.owners, parties)
        callbacks = check_callbacks(self.callbacks)
        self._check_base(init_model)
        agreements = federation.agreements
        if agreements is None:
            with shown_by(callbacks, given.index, parties) as progress:
                agreements = agree_on_rows(parties, given.index, progress=progress)
        common = keep_common(given, agreements)
        if common is not given:
            prepared = self._prepare(common, parties, column_owner)
        rows, matrix, objective = prepared.rows, prepared.matrix, prepared.objective
        labels, weight, eval_sets = prepared.labels, prepared.weight, prepared.eval_sets
        values, raw = rows.values, self._base_scores(init_model, common, rows, parties)
        places = place_rows(agreements, rows.index, len(labels))
        if places is not None:
            self._check_hides_padding()
            values = places.columns(values)
            labels, weight = places.training(labels, labels[0]), places.training(weight, 0.0)
            at = places.of_rows
            eval_sets = [replace(of_set, rows=at[of_set.rows]) for of_set in eval_sets]
            raw = None if raw is None else places.scores(raw)
        monitor = Monitor(
            eval_sets,
            prepared.metrics,
            objective.predict,
            check_patience(self.early_stopping_rounds, eval_sets),
            [
                *(after_iteration(callback, self) for callback in callbacks),
                *([federation.on_round] if federation.on_round else []),
            ],
        )
        with told(callbacks, self):
            trained = train(
                TrainingTable(
                    values,
                    matrix.categories,
                    labels,
                    weight,
                    self._own_names(),
                    hasattr(self, "feature_names_in_"),
                    self._owner_of_columns(prepared.owners),
                ),
                make_partners(parties, rows.index, self.trainer, agreements, places=places),
                Task(
                    params,
                    objective,
                    self.monotone_constraints,
                    self.interaction_constraints,
                    monitor,
                    self._classes(),
                    parameters,
                    None
                    if init_model is None or raw is None
                    else Base(init_model.label_half_, raw),
                ),
                make_key=federation.make_key or self._generate_key,
                recovery=recovery,
                session=federation.session,
                keep=federation.keep,
                n_jobs=self._threads(),
            )
            self._take_history(monitor, prepared, parties)
            self.label_half_ = trained.half
            self.traffic_: dict[str, dict[str, Traffic]] = trained.traffic
            self.times_: dict[str, PartyTime] = trained.times
            self.partner_bins_: dict[str, tuple[int, ...]] = trained.partner_bins
            self.n_rows_trained_: int = len(prepared.labels)
        return self

    def _booster_params(self, objective: Objective) -> BoosterParams:
        """The booster's hyperparameters, checked."""
        max_delta_step = self.max_delta_step
        if max_delta_step is None:
            max_delta_step = objective.default_max_delta_step
        return booster_params({**self._plain_parameters(), "max_delta_step": max_delta_step})

    def _check_constraints(
        self, owners: Mapping[str, Sequence[str]], parties: Sequence[Party]
    ) -> None:
        """Check that constraints name columns and parties that there are."""
        names = [party.name for party in parties] or list(owners)
        constraints = self.monotone_constraints, self.interaction_constraints
        check_names(*constraints, self._own_names(), names)

    def _owner_of_columns(self, owners: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """For each of the table's columns who would own it; empty for the label party."""
        owner_of = {column: party for party, columns in owners.items() for column in columns}
        return tuple(owner_of.get(name, "") for name in self._own_names())

    def _check_hides_padding(self) -> None:
        """GOSS without hiding draws rows by their gradients, which those of padding do not have."""
        if self.sampling_method == "goss" and not self.goss_hide_rows:
            raise ConfigError(
                "sampling_method='goss' shows which rows never have large gradients, so which are "
                "padding; set goss_hide_rows=True, or draw with subsample"
            )

    def raw_scores(
        self,
        X: Any,
        *,
        parties: Sequence[Party] | None = None,
        iteration_range: tuple[int, int] | None = None,
        unmatched: Unmatched = "error",
    ) -> NDArray[np.float64]:
        """Raw scores of rows, before the link function.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features)
            As in `fit`; for a federated model a DataFrame indexed by row id.
        parties : sequence of Party, optional
            Where the partners are now; by default those of `fit`. Rows that were not aligned with
            them are aligned first, where ids are not known here.
        iteration_range : tuple of int, optional
            ``(0, k)``: only the first k rounds.
        unmatched : {"error", "missing"}
            What happens to rows that a party does not have: they are refused, or scored as rows of
            which all columns of that party are missing. It is not asked about them. Parties are
            aligned one by one for "missing", and together otherwise.

        Returns
        -------
        array of shape (n_rows,) or (n_rows, n_classes), float64

        Raises
        ------
        DataError
            If the rows cannot be used, or a party lacks some of them.
        ModelError
            If the model was trained before trees said where rows go that a party lacks.
        parties.errors.PartyError
            If a party refuses or fails.
        """
        check_is_fitted(self, "label_half_")
        if unmatched not in ("error", "missing"):
            raise ValueError(f"unmatched={unmatched!r} is not one of 'error', 'missing'")
        if unmatched == "missing":
            self.label_half_.check_unmatched()
        given = self._parties_for(parties, X)
        values = self._matrix(X, given, known=self.label_half_).values
        index = X.index if given else None
        agreements = agree_on_rows(given, index, apart=unmatched == "missing")
        return scoring.raw_scores(
            self.label_half_,
            values,
            make_partners(given, index, self.trainer, agreements, unmatched=unmatched),
            rounds=self._rounds(iteration_range),
            n_jobs=self._threads(),
        )

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

    def to_xgboost(
        self,
        releases: Sequence[Release | str | Path] = (),
        *,
        include_cover: bool = False,
        category_names: bool = False,
        certificates: Mapping[str, Path] | None = None,
        path: str | Path | None = None,
    ) -> XGBoostExport:
        """Take the model out with every party's consent: JSON for XGBoost, shap and treelite.

        Before anything is returned, rows at the edge of the splits are sent through the JSON (and
        through XGBoost, where it is installed). They must reach the same leaves. Margins may differ
        by 1e-6, in proportion to the sum of a row's absolute leaf values where that is above 1, and
        by what single precision, in which XGBoost adds, loses of them.

        Parameters
        ----------
        releases : sequence of Release or path
            What each partner has released: `FeatureParty.release`, ``secureboost release``.
        include_cover : bool
            Give the sums of hessians and the gains of all nodes, which path-dependent SHAP needs.
            They tell how many rows reach each node. Without, they are zeros.
        category_names : bool
            Give the names of the categories too, so that XGBoost from 3.1 on takes data frames with
            them; treelite (4.8) refuses such a file. Without, columns of categories hold codes:
            `XGBoostExport.matrix` makes them.
        certificates : mapping of party name to path, optional
            Pinned certificates: these parties' releases must be signed with them.
        path : str or Path, optional
            Where to write the JSON; its test vectors go beside it.

        Raises
        ------
        secureboost.errors.ConsentError
            If a partner has not consented.
        secureboost.errors.ModelError
            If a release is damaged or not of this model, or a check fails; nothing is written.
        """
        check_is_fitted(self, "label_half_")
        taken_out = to_xgboost(
            self.label_half_,
            releases,
            include_cover=include_cover,
            category_names=category_names,
            certificates=certificates,
        )
        if path is not None:
            taken_out.save(path)
        return taken_out

    @classmethod
    def load(cls, folder: str | Path) -> Self:
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
        model = cls._from_half(half, folder / LABEL_FILE)
        for partner in half.partners:
            path = folder / f"{partner.name}.json"
            if path.exists():
                model._halves[partner.name] = load_half(path, PartyHalf)
                check_party_half(half, partner, model._halves[partner.name])
        return model

    def _objective_parameters(self, spec: Any) -> dict[str, Any]:
        parameters = super()._objective_parameters(spec)
        kind = OBJECTIVES.get(spec) if isinstance(spec, str) else None
        if kind and "max_delta_step" in kind.limits and self.max_delta_step is not None:
            parameters["max_delta_step"] = self.max_delta_step
        return parameters

    def _watched_metric(self) -> tuple[str, bool]:
        """Name of the metric that early stopping watches, and whether higher is better."""
        objective = self._objective
        if objective is None:
            raise RuntimeError("a loaded model of a custom objective watches no metric")
        metric = self._metrics(objective)[-1]
        return metric.name, metric.maximise

    def _check_base(self, init_model: "SecureBoostModel | None") -> None:
        if init_model is None:
            return
        if not isinstance(init_model, type(self)):
            raise TypeError(
                f"init_model is a {type(init_model).__name__}; it takes a fitted "
                f"{type(self).__name__}"
            )
        check_is_fitted(init_model, "label_half_")

    def _base_scores(
        self,
        init_model: "SecureBoostModel | None",
        given: Given,
        rows: Rows,
        parties: Sequence[Party],
    ) -> NDArray[np.float64] | None:
        """Scores of all rows by the model to begin with; None without one."""
        if init_model is None:
            return None
        if init_model._classes() != self._classes():
            raise ModelError("init_model: it was trained on other classes than this run.")
        scores = init_model.raw_scores(given.X, parties=parties)
        raw = np.zeros((len(rows.values), *scores.shape[1:]))
        raw[: len(scores)] = scores
        for (frame, _), positions in zip(given.eval_set, rows.positions, strict=True):
            if frame is not given.X:
                raw[positions] = init_model.raw_scores(frame, parties=parties)
        return raw

    def _rounds(self, iteration_range: tuple[int, int] | None) -> int | None:
        if iteration_range is None:
            return None
        first, behind = iteration_range
        if first != 0 or behind < 0:
            raise ValueError(
                f"iteration_range={iteration_range}: rounds count from the first; give (0, k)"
            )
        return behind or None

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

    def _plain_parameters(self) -> dict[str, Any]:
        """The constructor's parameters as values that a file can hold; the seed as a number."""
        parameters = self.get_params(deep=False)
        seed = parameters["random_state"]
        if isinstance(seed, np.random.RandomState):
            parameters["random_state"] = int(check_random_state(seed).randint(2**31))
        parameters["callbacks"] = None
        return {name: plain_parameter(value) for name, value in parameters.items()}

    def _half_at(self, party: FeatureParty, model_id: str) -> PartyHalf | None:
        return party.half(model_id)

    def _hand_over(self, party: FeatureParty, half: PartyHalf) -> None:
        party.store.save(half)
