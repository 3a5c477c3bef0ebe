"""The label party's role in training: asks feature parties, grows the trees.

Training without feature parties runs the very same code over own columns alone: that is the
plaintext twin with which a federated model is compared.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.fixed_point import FixedPoint
from crypto.packing import GradientPacking
from crypto.scheme import PrivateKey
from parties.session import Session
from parties.traffic import Traffic
from secureboost.binning import BinMapper
from secureboost.clock import Clock, Phase
from secureboost.errors import IntegrityError
from secureboost.gbdt.booster import Booster, OnTree
from secureboost.gbdt.columns import Columns
from secureboost.gbdt.grower import InconsistentDivisionError
from secureboost.gbdt.halves import make_label_half
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.model import LabelHalf, new_model_id
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partner import LABEL_PARTY, Partner, open_session
from secureboost.gbdt.precision import ROUNDING_ERROR
from secureboost.gbdt.protocol import FEATURE_PHASES, NO_NODE, Finish, Finished, Ready, Setup
from secureboost.gbdt.remote import KeyOwner, RemoteColumns
from secureboost.objectives import Objective

MAX_FEATURES = 1 << 16
"""A party with more columns would make the label party's histograms larger than its memory."""


@dataclass(frozen=True, repr=False)
class TrainingTable:
    """What the label party trains on.

    Attributes
    ----------
    X : array of shape (n_rows, n_features), float32
        Own columns; NaN is missing.
    y : array of shape (n_rows,), float64
    weight : array of shape (n_rows,), float64
    feature_names : tuple of str
    named : bool
        The names are the table's own, not made up for an array.
    """

    X: NDArray[np.float32]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    feature_names: tuple[str, ...]
    named: bool


@dataclass(frozen=True)
class PartyTime:
    """Where one party's time went.

    Attributes
    ----------
    phases : mapping of str to Phase
    cpu_seconds : float
        Processor time of its process, all threads together. Parties in one process count for each
        other.
    """

    phases: Mapping[str, Phase]
    cpu_seconds: float


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
    params: BoosterParams,
    objective: Objective,
    *,
    make_key: Callable[[], PrivateKey],
    classes: tuple[bool | int | float | str, ...],
    parameters: dict[str, Any],
    n_jobs: int = 1,
    on_tree: OnTree | None = None,
) -> Trained:
    """Train a model over own columns and those of the partners.

    Parameters
    ----------
    table : TrainingTable
    partners : sequence of Partner
        Their order numbers the columns, behind the label party's own.
    params : BoosterParams
    objective : Objective
    make_key : callable
        Makes the private key of this session; called only if there are partners.
    classes : tuple
        The two classes, the positive one last; to be kept with the model.
    parameters : dict
        Constructor parameters, to be kept with the model.
    n_jobs : int
        Threads.
    on_tree : callable, optional
        See `Booster.fit`.

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
    """
    clock, cpu_before = Clock(), time.process_time()
    with clock.phase("bin", table.X.size):
        mapper = BinMapper.fit(table.X, params.max_bin, n_jobs=n_jobs)
        binned = mapper.transform(table.X, n_jobs=n_jobs)
    own = LocalColumns(
        "", binned, mapper.n_bins, params.max_bin, params.min_child_samples, n_jobs, clock
    )
    model_id = new_model_id()
    heaviest = float(table.weight.max())
    gradient_bound = objective.max_abs_gradient * heaviest
    hessian_bound = objective.max_hessian * heaviest
    encoding = FixedPoint.for_bound(
        max(gradient_bound, hessian_bound), len(table.y), ROUNDING_ERROR
    )
    booster = Booster(params, objective, encoding, clock)

    def finish(sources: Sequence[Columns], publish: Any = None) -> LabelHalf:
        ensemble = booster.fit(sources, table.y, table.weight, publish=publish, on_tree=on_tree)
        return make_label_half(
            ensemble.with_thresholds(mapper.edges),
            model_id=model_id,
            objective=objective.name,
            feature_names=table.feature_names,
            named=table.named,
            n_features=tuple(source.n_features for source in sources),
            classes=classes,
            parameters=parameters,
        )

    def own_time() -> PartyTime:
        return PartyTime(clock.phases, time.process_time() - cpu_before)

    if not partners:
        return Trained(finish([own]), {}, {LABEL_PARTY: own_time()}, {})
    _check_frontier(params)
    packing = GradientPacking(
        len(table.y), encoding.max_integer(gradient_bound), encoding.max_integer(hessian_bound)
    )
    key_owner = KeyOwner(make_key(), packing, n_jobs, clock)
    with open_session(partners) as session, key_owner.working_ahead(params):
        remote = _set_up(session, partners, params, key_owner)
        try:
            half = finish(
                [own, *remote],
                lambda tree, gradients: key_owner.publish(session.peers, tree, gradients),
            )
        except InconsistentDivisionError as error:
            raise IntegrityError(error.owner, error.problem) from error
        finished = session.ask_all([Finish(model_id=model_id)] * len(partners))
    times = {
        peer.name: _party_time(peer.name, reply)
        for peer, reply in zip(session.peers, finished, strict=True)
    }
    return Trained(
        half,
        session.traffic,
        {LABEL_PARTY: own_time(), **times},
        {columns.owner: tuple(columns.n_bins.tolist()) for columns in remote},
    )


def _set_up(
    session: Session, partners: Sequence[Partner], params: BoosterParams, key_owner: KeyOwner
) -> list[RemoteColumns]:
    public_key = key_owner.key.public_key
    replies = session.ask_all(
        [
            Setup(
                scheme=public_key.scheme,
                public_key=public_key.to_bytes(),
                rows=partner.rows,
                max_bin=params.max_bin,
                min_child_samples=params.min_child_samples,
                n_trees=params.n_estimators,
                cell_bits=key_owner.packing.cell_bits,
                cells=key_owner.cells,
            )
            for partner in partners
        ]
    )
    for peer, reply in zip(session.peers, replies, strict=True):
        _check_bins(peer.name, reply, params.max_bin)
    return [
        RemoteColumns(peer, reply.n_bins, params.max_bin, params.min_child_samples, key_owner)
        for peer, reply in zip(session.peers, replies, strict=True)
    ]


def _check_frontier(params: BoosterParams) -> None:
    """Refuse trees with more open nodes than a question can name."""
    limits = [2 ** min(params.max_depth, 64), params.max_leaves]
    widest = min(limit for limit in limits if limit > 1)
    if params.grow_policy == "depthwise" and widest >= NO_NODE:
        raise ValueError(
            f"max_depth={params.max_depth}, max_leaves={params.max_leaves}: with parties a level "
            f"may have fewer than {NO_NODE} nodes; set max_depth to 15 or less, or max_leaves"
        )


def _party_time(party: str, reply: Finished) -> PartyTime:
    if not len(reply.seconds) == len(reply.operations) == len(FEATURE_PHASES):
        raise IntegrityError(party, "sent times of other phases than the protocol's")
    return PartyTime(
        {
            name: Phase(float(seconds), int(operations))
            for name, seconds, operations in zip(
                FEATURE_PHASES, reply.seconds, reply.operations, strict=True
            )
        },
        reply.cpu_seconds,
    )


def _check_bins(party: str, reply: Ready, max_bin: int) -> None:
    n_bins = reply.n_bins
    if not 0 < len(n_bins) <= MAX_FEATURES or n_bins.min() < 1 or n_bins.max() > max_bin:
        raise IntegrityError(
            party,
            f"says that it has {len(n_bins)} columns, which must be 1..{MAX_FEATURES}, or that one "
            f"has bins outside 1..{max_bin}",
        )


def booster_params(parameters: dict[str, Any]) -> BoosterParams:
    """Pick the booster's parameters out of an estimator's."""
    names = asdict(BoosterParams()).keys()
    return BoosterParams(**{name: parameters[name] for name in names})
