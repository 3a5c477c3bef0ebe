"""What is agreed with every partner around the growing of trees: set-up, keeping, the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parties.session import Session
from secureboost.clock import Phase
from secureboost.errors import ConfigError, IntegrityError
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.protocol import (
    FEATURE_PHASES,
    NO_NODE,
    Finish,
    Finished,
    Keep,
    Ready,
    Setup,
)
from secureboost.gbdt.remote import KeyOwner, RemoteColumns
from secureboost.partner import Partner

MAX_FEATURES = 1 << 16
"""A party with more columns would make the label party's histograms larger than its memory."""


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


@dataclass(frozen=True)
class Closing:
    """What a partner says at the end.

    Attributes
    ----------
    time : PartyTime
    digest : str
        Of its half, in hexadecimal; empty if it kept none.
    """

    time: PartyTime
    digest: str


class Agreement:
    """One training with the partners of a session.

    Parameters
    ----------
    session : Session
    partners : sequence of Partner
        In the order of the session.
    model_id : str
    base : str
        A model that it begins with; empty: none. `model_id` itself to go on after a crash.
    """

    def __init__(
        self, session: Session, partners: Sequence[Partner], model_id: str, base: str = ""
    ) -> None:
        self._session = session
        self._partners = partners
        self._model_id = model_id
        self._base = base

    def set_up(
        self,
        key_owner: KeyOwner,
        params: BoosterParams,
        n_training: int,
        n_trees: int,
        n_splits: Sequence[int],
    ) -> list[RemoteColumns]:
        """Tell every partner what is coming; returns their columns.

        Parameters
        ----------
        key_owner : KeyOwner
        params : BoosterParams
        n_training : int
            So many of each partner's rows are trained on; the others ride along.
        n_trees : int
            Trees are numbered below this.
        n_splits : sequence of int
            Splits that each partner has of this model already.
        """
        public_key, packing = key_owner.key.public_key, key_owner.packing
        replies = self._session.ask_all(
            [
                Setup(
                    model_id=self._model_id,
                    base=self._base,
                    first_split=first_split,
                    scheme=public_key.scheme,
                    public_key=public_key.to_bytes(),
                    rows=partner.rows[key_owner.order.rows],
                    n_training=n_training,
                    max_bin=params.max_bin,
                    min_child_samples=params.min_child_samples,
                    min_group=params.least_group,
                    max_cat_to_onehot=params.max_cat_to_onehot,
                    n_trees=n_trees,
                    cell_bits=packing.cell_bits,
                    cells=key_owner.cells,
                    parts=packing.parts,
                )
                for partner, first_split in zip(self._partners, n_splits, strict=True)
            ]
        )
        for peer, reply in zip(self._session.peers, replies, strict=True):
            _check_ready(peer.name, reply, params.max_bin)
        return [
            RemoteColumns(
                peer,
                reply.n_bins,
                reply.categorical.astype(np.bool_),
                reply.monotone,
                params,
                key_owner,
                first_split,
            )
            for peer, reply, first_split in zip(self._session.peers, replies, n_splits, strict=True)
        ]

    def keep(self, n_splits: Sequence[int]) -> None:
        """Have every partner keep its splits so far; returns when all have."""
        self._session.ask_all([Keep(n_splits=count) for count in n_splits])

    def finish(self, n_splits: Sequence[int], keep: bool) -> dict[str, Closing]:
        """End training; the partners keep so many of their splits, or nothing."""
        replies = self._session.ask_all([Finish(n_splits=count, keep=keep) for count in n_splits])
        return {
            peer.name: _closing(peer.name, reply)
            for peer, reply in zip(self._session.peers, replies, strict=True)
        }


def check_frontier(params: BoosterParams) -> None:
    """Refuse trees with more open nodes than a question can name."""
    limits = [2 ** min(params.max_depth, 64), params.max_leaves]
    widest = min(limit for limit in limits if limit > 1)
    if params.grow_policy == "depthwise" and widest >= NO_NODE:
        raise ConfigError(
            f"max_depth={params.max_depth}, max_leaves={params.max_leaves}: with parties a level "
            f"may have fewer than {NO_NODE} nodes; set max_depth to 15 or less, or max_leaves"
        )


def _check_ready(party: str, reply: Ready, max_bin: int) -> None:
    n_bins = reply.n_bins
    if not 0 < len(n_bins) <= MAX_FEATURES or n_bins.min() < 1 or n_bins.max() > max_bin:
        raise IntegrityError(
            party,
            f"says that it has {len(n_bins)} columns, which must be 1..{MAX_FEATURES}, or that one "
            f"has bins outside 1..{max_bin}",
        )
    if not len(reply.categorical) == len(reply.monotone) == len(n_bins):
        raise IntegrityError(party, "describes another number of columns than it has")
    if reply.categorical.max() > 1 or np.abs(reply.monotone.astype(np.int16)).max() > 1:
        raise IntegrityError(party, "describes a column in a way that the protocol does not know")


def _closing(party: str, reply: Finished) -> Closing:
    if not len(reply.seconds) == len(reply.operations) == len(FEATURE_PHASES):
        raise IntegrityError(party, "sent times of other phases than the protocol's")
    phases = {
        name: Phase(float(seconds), int(operations))
        for name, seconds, operations in zip(
            FEATURE_PHASES, reply.seconds, reply.operations, strict=True
        )
    }
    return Closing(PartyTime(phases, reply.cpu_seconds), reply.digest.hex())
