"""The label party's role in training: asks feature parties, grows the trees.

Training without feature parties runs the very same code over own columns alone: that is the
plaintext twin with which a federated model is compared.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.fixed_point import Quantiser
from crypto.packing import GradientPacking
from crypto.scheme import PrivateKey
from parties.session import Session
from parties.traffic import Traffic
from secureboost.binning import BinMapper
from secureboost.clock import Clock
from secureboost.dictionary import Categories
from secureboost.errors import ConfigError, IntegrityError
from secureboost.gbdt.agreement import Agreement, PartyTime, check_frontier
from secureboost.gbdt.booster import ALL_OUTPUTS, Boosted, Booster, Publish, tree_outputs
from secureboost.gbdt.checkpoint import Checkpoint, load_checkpoint, run_digests
from secureboost.gbdt.columns import Gradients
from secureboost.gbdt.constraints import (
    Interactions,
    Monotone,
    OwnedColumns,
    interaction_groups,
    monotone_signs,
)
from secureboost.gbdt.counts import group_floors
from secureboost.gbdt.grower import InconsistentDivisionError
from secureboost.gbdt.halves import make_label_half
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.model import LabelHalf, new_model_id
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.precision import HESSIAN_ERROR, ROUNDING_ERROR
from secureboost.gbdt.protocol import TRAINER
from secureboost.gbdt.remote import KeyOwner, RemoteColumns
from secureboost.gbdt.rules import Rules
from secureboost.gbdt.tree import Ensemble
from secureboost.gbdt.warm_start import Base, extend
from secureboost.monitor import Monitor
from secureboost.objectives import Objective
from secureboost.partner import LABEL_PARTY, Partner, open_session
from secureboost.recovery import Recovery
from secureboost.row_order import RowOrder


@dataclass(frozen=True, repr=False)
class TrainingTable:
    """What the label party trains on.

    Attributes
    ----------
    X : array of shape (n_rows, n_features), float32
        Own columns; NaN is missing, categories are codes. The first ``len(y)`` rows are trained
        on, the others only evaluated.
    categories : tuple of (tuple of str, or None)
        Names of the codes of each column.
    y, weight : arrays of shape (n_training,), float64
        A row of weight 0 counts for nothing in own columns: not for their bins, nor where a number
        of rows matters. Partners cannot tell it from others.
    feature_names : tuple of str
    named : bool
        The names are the table's own, not made up for an array.
    owners : tuple of str
        For pooled training the party that would own each column; empty for the label party's.
    """

    X: NDArray[np.float32]
    categories: Categories
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    feature_names: tuple[str, ...]
    named: bool
    owners: tuple[str, ...]

    @property
    def own(self) -> NDArray[np.bool_]:
        """Columns that are, or in pooled training would be, the label party's: (n_features,)."""
        return np.array([not owner for owner in self.owners])

    @property
    def rows_that_cut(self) -> NDArray[np.float32]:
        """The training rows, own columns of rows without weight taken out: they cut no bins."""
        training, without = self.X[: len(self.y)], self.weight == 0.0
        if not without.any():
            return training
        cut = training.copy(order="F")
        cut[np.ix_(without, self.own)] = np.nan
        return cut


@dataclass(frozen=True, repr=False)
class Task:
    """What is to be learnt from a table, and how.

    Attributes
    ----------
    params : BoosterParams
    objective : Objective
    monotone, interactions
        Constraints by name (`constraints`).
    monitor : Monitor
    classes : tuple
        To be kept with the model; empty for a regression.
    parameters : dict
        Constructor parameters, to be kept with the model.
    base : Base, optional
        A model to begin with; `params.n_estimators` rounds come on top of its.
    """

    params: BoosterParams
    objective: Objective
    monotone: Monotone
    interactions: Interactions
    monitor: Monitor
    classes: tuple[bool | int | float | str, ...]
    parameters: dict[str, Any]
    base: Base | None = None


@dataclass(frozen=True, repr=False)
class Trained:
    """What training leaves at the label party.

    Attributes
    ----------
    half : LabelHalf
    traffic : dict
        What crossed, by partner and request type.
    times : dict
        Where the time went, by party (the label party is `LABEL_PARTY`).
    partner_bins : dict
        How many bins each partner said that its columns have.
    """

    half: LabelHalf
    traffic: dict[str, dict[str, Traffic]]
    times: dict[str, PartyTime]
    partner_bins: dict[str, tuple[int, ...]]


def train(
    table: TrainingTable,
    partners: Sequence[Partner],
    task: Task,
    *,
    make_key: Callable[[], PrivateKey],
    recovery: Recovery | None = None,
    session: Session | None = None,
    keep: bool = True,
    n_jobs: int = 1,
) -> Trained:
    """Train a model over own columns and those of the partners.

    Parameters
    ----------
    table : TrainingTable
    partners : sequence of Partner
        Their order numbers the columns, behind the label party's own.
    task : Task
    make_key : callable
        Makes the private key; called only if there are partners.
    recovery : Recovery, optional
        Where checkpoints go, and whether a run is gone on with.
    session : Session, optional
        An open session with these partners, which stays open; by default one is opened.
    keep : bool
        Whether partners keep their halves; not where the model is only measured.
    n_jobs : int
        Threads.

    Returns
    -------
    Trained
        Every partner has stored its own half under the same model id.

    Raises
    ------
    parties.errors.PartyError
        If a partner refuses or fails; the others are released.
    secureboost.errors.IntegrityError
        If a partner's answers contradict each other.
    secureboost.errors.ModelError
        If the interrupted run cannot be gone on with.
    """
    run = _Run(table, partners, task, recovery or Recovery(), n_jobs)
    if not partners:
        return run.alone()
    check_frontier(task.params)
    key = make_key()
    if session is not None:
        return run.with_partners(session, key, keep)
    with open_session(partners, TRAINER) as opened:
        return run.with_partners(opened, key, keep)


class _Run:
    """One training: what is made once, and the two ways through it."""

    def __init__(
        self,
        table: TrainingTable,
        partners: Sequence[Partner],
        task: Task,
        recovery: Recovery,
        n_jobs: int,
    ) -> None:
        self._clock, self._cpu_before = Clock(), time.process_time()
        self._table, self._partners, self._task = table, partners, task
        self._n_jobs = n_jobs
        self._quantisers = (
            Quantiser(len(table.y), ROUNDING_ERROR),
            Quantiser(len(table.y), HESSIAN_ERROR),
        )
        params = task.params
        with self._clock.phase("bin", table.X.size):
            self._mapper = BinMapper.fit(
                table.rows_that_cut,
                params.max_bin,
                categorical=np.array([names is not None for names in table.categories]),
                n_jobs=n_jobs,
            )
            self._binned = self._mapper.transform(table.X, n_jobs=n_jobs)
        parties = tuple(partner.name for partner in partners)
        base = task.base
        if base is not None:
            base.check(
                task.objective.name,
                tree_outputs(params, task.objective),
                table.feature_names,
                tuple(names is not None for names in table.categories),
                parties,
            )
            params = replace(params, n_estimators=base.rounds + params.n_estimators)
        self._base_splits = (0,) * (1 + len(parties)) if base is None else base.n_splits(parties)
        self._params = params
        self._recovery = recovery
        self._digests = run_digests(table.X, table.y, table.weight, partners, base)
        found = recovery.find(load_checkpoint, self._digests, task.parameters)
        seed = secrets.randbits(63) if params.random_state is None else params.random_state
        self._seed = found.seed if found else seed
        self._model_id = found.model_id if found else new_model_id()
        self._booster = Booster(params, task.objective, self._quantisers, self._seed, self._clock)
        self._partner_bins: dict[str, tuple[int, ...]] = found.partner_bins if found else {}
        self._resumed = found is not None
        self._finished = found is not None and found.finished
        if found:
            self._boosted = found.boosted
            task.monitor.restore(found.history)
        elif base is not None:
            self._boosted = Boosted(
                np.array(base.half.base_score),
                base.raw.copy(),
                list(self._base_splits),
                rounds=base.rounds,
            )
        else:
            self._boosted = self._booster.begin(
                table.y, table.weight, len(table.X), 1 + len(partners)
            )

    def alone(self) -> Trained:
        """Train on own columns."""
        self._boost([], None, lambda _n_splits: None)
        return Trained(self._half([], {}), {}, {LABEL_PARTY: self._own_time()}, {})

    def with_partners(self, session: Session, key: PrivateKey, keep: bool) -> Trained:
        """Train with these partners."""
        params, objective = self._params, self._task.objective
        outputs = tree_outputs(params, objective)
        packing = GradientPacking(
            len(self._table.y),
            self._quantisers[0].max_integer,
            self._quantisers[1].max_integer,
            objective.n_outputs if ALL_OUTPUTS in outputs else 1,
        )
        # by the first partner's: parties that were aligned together count in one order
        order = RowOrder.by_position(self._partners[0].rows, len(self._table.y))
        key_owner = KeyOwner(key, packing, order, self._n_jobs, self._clock)
        base = self._task.base
        begins_with = "" if base is None else base.half.model_id
        if self._boosted.rounds > (0 if base is None else base.rounds):
            begins_with = self._model_id  # every partner has kept the rounds that we resume with
        agreement = Agreement(session, self._partners, self._model_id, begins_with)
        # of a run that had ended, some partners may have forgotten what the model does not use
        n_splits = self._kept_splits() if self._finished else self._boosted.n_splits
        n_trees = params.n_estimators * len(outputs)
        remote = agreement.set_up(key_owner, params, len(self._table.y), n_trees, n_splits[1:])
        self._check_bins_stayed(remote)
        peers = {peer.name: peer for peer in session.peers}

        def publish(tree: int, gradients: Gradients, features: Sequence[NDArray[np.int32]]) -> None:
            used = [
                peers[source.owner]
                for source, columns in zip(remote, features[1:], strict=True)
                if len(columns)
            ]
            if used:
                key_owner.publish(used, tree, gradients)

        rows = max(1, int(len(self._table.y) * params.subsample))
        with key_owner.working_ahead(n_trees, rows):
            try:
                self._boost(remote, publish, agreement.keep)
            except InconsistentDivisionError as error:
                raise IntegrityError(error.owner, error.problem) from error
        done = agreement.finish(self._kept_splits()[1:], keep)
        return Trained(
            self._half(remote, {party: closing.digest for party, closing in done.items()}),
            session.traffic,
            {
                LABEL_PARTY: self._own_time(),
                **{party: closing.time for party, closing in done.items()},
            },
            self._partner_bins,
        )

    def _boost(
        self,
        remote: Sequence[RemoteColumns],
        publish: Publish | None,
        keep: Callable[[Sequence[int]], None],
    ) -> None:
        """Train the rounds that are left."""
        if self._finished:
            return
        columns = self._columns(remote)
        signs = monotone_signs(self._task.monotone, columns)
        self._check_constraints(signs)
        n_own = len(self._table.feature_names)
        own = LocalColumns(
            "",
            self._binned,
            self._mapper.n_bins,
            self._params.max_bin,
            self._params.min_child_samples,
            self._n_jobs,
            self._clock,
            categorical=self._mapper.categorical,
            monotone=signs[:n_own],
            min_group=group_floors(
                self._mapper.n_bins,
                self._params.max_cat_to_onehot,
                self._params.min_child_samples,
                self._params.least_group,
            ),
            own=self._table.own,
        )
        first = n_own
        for source in remote:
            source.monotone = signs[first : first + source.n_features]
            first += source.n_features
        rules = Rules(
            np.array([not owner for owner in columns.owners]),
            interaction_groups(self._task.interactions, columns),
            self._row_classes(),
        )

        def on_round(model: Boosted) -> bool:
            stop = self._task.monitor(model)
            if self._recovery.path is not None:
                keep(model.n_splits[1:])
                ended = stop or model.rounds == self._params.n_estimators
                self._checkpoint(ended).save(self._recovery.path)
            return stop

        if self._recovery.path is not None and not self._resumed:
            # before any partner keeps something under the model's name
            self._checkpoint(finished=False).save(self._recovery.path)
        self._booster.fit(
            [own, *remote],
            self._table.y,
            self._table.weight,
            self._boosted,
            rules=rules,
            publish=publish,
            on_round=on_round,
        )

    def _columns(self, remote: Sequence[RemoteColumns]) -> OwnedColumns:
        """Everybody's columns as constraints name them."""
        table = self._table
        names, owners = list(table.feature_names), list(table.owners)
        for source in remote:
            names += [f"{source.owner}/{i}" for i in range(source.n_features)]
            owners += [source.owner] * source.n_features
        return OwnedColumns(
            tuple(names),
            tuple(owners),
            np.concatenate([self._mapper.categorical, *(s.categorical for s in remote)]),
            np.concatenate([np.zeros(len(table.owners), np.int8), *(s.monotone for s in remote)]),
        )

    def _check_constraints(self, signs: NDArray[np.int8]) -> None:
        params, objective = self._params, self._task.objective
        if signs.any() and ALL_OUTPUTS in tree_outputs(params, objective):
            raise ConfigError(
                "monotone_constraints do not go with multi_strategy='multi_output_tree': a leaf "
                "has a value for each output; use 'one_output_per_tree'"
            )

    def _row_classes(self) -> NDArray[np.int32] | None:
        """The class of each training row of weight, -1 for the others, where purity matters."""
        if self._params.max_shared_purity == 1.0:
            return None
        if not self._task.classes:
            raise ConfigError(
                f"max_shared_purity={self._params.max_shared_purity} is about classes and "
                f"does not fit objective {self._task.objective.name!r}"
            )
        classes = np.full(len(self._table.X), -1, dtype=np.int32)
        weighted = np.flatnonzero(self._table.weight > 0.0)
        classes[weighted] = self._table.y[weighted]
        return classes

    def _check_bins_stayed(self, remote: Sequence[RemoteColumns]) -> None:
        for source in remote:
            before = self._partner_bins.get(source.owner)
            now = tuple(source.n_bins.tolist())
            if before is not None and before != now:
                raise IntegrityError(
                    source.owner,
                    "has other bins than when the run began, so its table has changed; begin a "
                    "new run",
                )
            self._partner_bins[source.owner] = now

    def _ensemble(self) -> Ensemble:
        """The trees that the model keeps."""
        ensemble = Ensemble(
            tuple(self._boosted.trees),
            tuple(self._boosted.base_score.tolist()),
            ("", *(partner.name for partner in self._partners)),
            tuple(self._boosted.outputs),
        )
        best = self._task.monitor.best_iteration
        return ensemble if best is None else ensemble.first_rounds(best + 1)

    def _half(self, remote: Sequence[RemoteColumns], digests: Mapping[str, str]) -> LabelHalf:
        table, objective = self._table, self._task.objective
        base, best = self._task.base, self._task.monitor.best_iteration
        if base is not None and best is not None:
            best += base.rounds
        half = make_label_half(
            self._ensemble().with_thresholds(self._mapper.edges),
            model_id=self._model_id,
            objective=objective.name,
            objective_parameters=objective.parameters,
            best_iteration=best,
            feature_names=table.feature_names,
            categories=tuple(
                None if names is None else self._mapper.kept_names(f, names)
                for f, names in enumerate(table.categories)
            ),
            named=table.named,
            n_features=(len(table.feature_names), *(s.n_features for s in remote)),
            digests=digests,
            classes=self._task.classes,
            parameters=self._task.parameters,
        )
        return half if base is None else extend(base.half, half)

    def _kept_splits(self) -> tuple[int, ...]:
        """How many splits of each owner the model keeps."""
        new = self._ensemble().n_splits
        return tuple(a + b for a, b in zip(self._base_splits, new, strict=True))

    def _checkpoint(self, finished: bool) -> Checkpoint:
        return Checkpoint(
            self._model_id,
            self._seed,
            self._digests,
            self._task.parameters,
            self._partner_bins,
            self._boosted,
            self._task.monitor.history,
            finished,
        )

    def _own_time(self) -> PartyTime:
        return PartyTime(self._clock.phases, time.process_time() - self._cpu_before)


def booster_params(parameters: dict[str, Any]) -> BoosterParams:
    """Pick the booster's parameters out of an estimator's."""
    names = asdict(BoosterParams()).keys()
    return BoosterParams(**{name: parameters[name] for name in names})
