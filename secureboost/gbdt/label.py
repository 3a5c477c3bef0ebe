"""The label party's role: asks feature parties, trains the trees, scores rows.

Training without feature parties runs the very same code over own columns alone: that is the
plaintext twin with which a federated model is compared.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crypto.fixed_point import FixedPoint
from crypto.packing import GradientPacking
from crypto.scheme import PrivateKey
from parties.peer import Peer
from parties.rows import match_rows
from parties.session import Session
from parties.traffic import Traffic
from secureboost._version import __version__
from secureboost.binning import BinMapper
from secureboost.errors import IntegrityError
from secureboost.gbdt.booster import Booster, OnTree
from secureboost.gbdt.columns import Columns
from secureboost.gbdt.grower import InconsistentDivisionError
from secureboost.gbdt.halves import make_ensemble, make_label_half
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.model import LabelHalf, new_model_id
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.protocol import TRAINER, Finish, Ready, Route, Routes, Setup
from secureboost.gbdt.remote import KeyOwner, RemoteColumns
from secureboost.objectives import Objective

LABEL_PARTY = "label-party"
ROUTE_BYTES = 32 * 2**20
"""Prediction asks for so many rows at a time that a party's answer stays about this large."""


@dataclass(frozen=True, repr=False)
class Partner:
    """A feature party and the rows of it that are wanted.

    Attributes
    ----------
    name : str
    connect : callable
        Opens a connection to it, for one session.
    ids : sequence of str
        All rows that both sides hold, in the agreed order.
    rows : array of shape (n_rows,), int32
        For each row of the label party's table its position in `ids`.
    """

    name: str
    connect: Callable[[], Peer]
    ids: Sequence[str]
    rows: NDArray[np.int32]


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


@dataclass(frozen=True, repr=False)
class Trained:
    """What training leaves at the label party.

    Attributes
    ----------
    half : LabelHalf
    traffic : dict
        What crossed, by partner and request type.
    """

    half: LabelHalf
    traffic: dict[str, dict[str, Traffic]]


def open_session(partners: Sequence[Partner]) -> Session:
    """Connect to all partners, greet them and prove to each other that the rows agree.

    Raises
    ------
    parties.errors.PartyError
        If a partner cannot be reached, is of another version, serves another trainer or holds
        other rows. Those that were reached are released.
    """
    with ExitStack() as on_error:
        peers = []
        for partner in partners:
            peer = partner.connect()
            on_error.callback(peer.abort)
            peers.append(peer)
        session = Session(peers)
        session.greet(trainer=TRAINER, party=LABEL_PARTY, software_version=__version__)
        session.ask_all([match_rows(partner.ids) for partner in partners])
        on_error.pop_all()
    return session


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
    mapper = BinMapper.fit(table.X, params.max_bin, n_jobs=n_jobs)
    own = LocalColumns(
        "",
        mapper.transform(table.X, n_jobs=n_jobs),
        mapper.n_bins,
        params.max_bin,
        params.min_child_samples,
        n_jobs,
    )
    model_id = new_model_id()
    heaviest = float(table.weight.max())
    gradient_bound = objective.max_abs_gradient * heaviest
    hessian_bound = objective.max_hessian * heaviest
    encoding = FixedPoint.for_bound(max(gradient_bound, hessian_bound), len(table.y))
    booster = Booster(params, objective, encoding)

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

    if not partners:
        return Trained(finish([own]), {})
    packing = GradientPacking(
        len(table.y), encoding.max_integer(gradient_bound), encoding.max_integer(hessian_bound)
    )
    key_owner = KeyOwner(make_key(), packing, n_jobs)
    with open_session(partners) as session:
        remote = _set_up(session, partners, params, key_owner)
        try:
            half = finish(
                [own, *remote],
                lambda tree, gradients: key_owner.publish(session.peers, tree, gradients),
            )
        except InconsistentDivisionError as error:
            raise IntegrityError(error.owner, error.problem) from error
        session.ask_all([Finish(model_id=model_id)] * len(partners))
    return Trained(half, session.traffic)


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


def _check_bins(party: str, reply: Ready, max_bin: int) -> None:
    n_bins = reply.n_bins
    if len(n_bins) == 0 or n_bins.min() < 1 or n_bins.max() > max_bin:
        raise IntegrityError(
            party, f"says that its columns have bins outside 1..{max_bin}, or none"
        )


def raw_scores(
    half: LabelHalf, X: NDArray[np.float32], partners: Sequence[Partner], *, n_jobs: int = 1
) -> NDArray[np.float64]:
    """Score rows: one round trip a partner for the whole ensemble, in chunks of rows.

    Parameters
    ----------
    half : LabelHalf
    X : array of shape (n_rows, n_features), float32
        Own columns.
    partners : sequence of Partner
        In the order of ``half.partners``.
    n_jobs : int
        Threads.

    Returns
    -------
    array of shape (n_rows,), float64
        Raw scores (log odds).
    """
    scores = np.empty(len(X), np.float64)
    ensemble = make_ensemble(half)
    for first, behind, sides in _sides(half, partners, len(X)):
        scores[first:behind] = ensemble.raw_scores(X[first:behind], sides, n_jobs=n_jobs)
    return scores


def staged_raw_scores(
    half: LabelHalf, X: NDArray[np.float32], partners: Sequence[Partner]
) -> NDArray[np.float64]:
    """Scores after each tree, shape (n_trees, n_rows); see `raw_scores`."""
    ensemble = make_ensemble(half)
    stages = np.empty((len(half.trees), len(X)), np.float64)
    for first, behind, sides in _sides(half, partners, len(X)):
        for tree, scores in enumerate(ensemble.staged_raw_scores(X[first:behind], sides)):
            stages[tree, first:behind] = scores
    return stages


def _sides(
    half: LabelHalf, partners: Sequence[Partner], n_rows: int
) -> Iterator[tuple[int, int, NDArray[np.uint8] | None]]:
    """Chunks of rows with the sides of all partners' splits; the next chunk is on its way."""
    n_splits = {partner.name: partner.n_splits for partner in half.partners}
    if not any(n_splits.values()):
        yield 0, n_rows, None
        return
    wanted = [partner for partner in partners if n_splits[partner.name]]
    widest = max(n_splits.values())
    step = max(8, min(n_rows, ROUTE_BYTES * 8 // widest) // 8 * 8)
    with open_session(wanted) as session:

        def ask(first: int) -> list[Future[Routes]]:
            return [
                peer.submit(Route(model_id=half.model_id, rows=partner.rows[first : first + step]))
                for peer, partner in zip(session.peers, wanted, strict=True)
            ]

        pending = ask(0)
        for first in range(0, n_rows, step):
            behind = min(first + step, n_rows)
            upcoming = ask(behind) if behind < n_rows else []
            sides = []
            for partner, future in zip(wanted, pending, strict=True):
                bits = future.result().goes_left
                expected = (n_splits[partner.name], (behind - first + 7) // 8)
                if bits.shape != expected:
                    raise IntegrityError(
                        partner.name,
                        f"sent sides of shape {bits.shape}, not {expected}; its half of model "
                        f"{half.model_id} is not the one that was trained",
                    )
                sides.append(bits)
            yield first, behind, np.concatenate(sides)
            pending = upcoming


def booster_params(parameters: dict[str, Any]) -> BoosterParams:
    """Pick the booster's parameters out of an estimator's."""
    names = asdict(BoosterParams()).keys()
    return BoosterParams(**{name: parameters[name] for name in names})
