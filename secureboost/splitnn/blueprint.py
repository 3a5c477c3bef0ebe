"""What follows from hyperparameters and the run's seed: order of rows, batches, plans, heads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secureboost.splitnn.batches import Batches
from secureboost.splitnn.inputs import prepare
from secureboost.splitnn.model import BodyHead, BottomHead
from secureboost.splitnn.options import Choice
from secureboost.splitnn.params import NetParams
from secureboost.splitnn.party_dropout import DroppedRows
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.randomness import ABSENCE, BATCHES, derive, named_order
from secureboost.splitnn.table import ColumnTable


@dataclass(frozen=True, repr=False)
class Blueprint:
    """A network before anything of it is made; the same in split and in pooled training.

    Attributes
    ----------
    params : NetParams
    seed : int
        Of the run.
    model_id : str
    owners : tuple of str
        The feature parties; their places number their draws.
    n_training, n_rows : int
        Rows that are trained on, and all.
    """

    params: NetParams
    seed: int
    model_id: str
    owners: tuple[str, ...]
    n_training: int
    n_rows: int

    @cached_property
    def order(self) -> NDArray[np.int32]:
        """Which of the table's rows each of the named ones is, see `randomness.named_order`."""
        return named_order(self.seed, self.n_training, self.n_rows)

    @property
    def of_training(self) -> NDArray[np.int32]:
        """The part of `order` that is trained on."""
        return self.order[: self.n_training]

    @cached_property
    def batches(self) -> Batches:
        """The batches of all epochs."""
        return Batches(self.n_training, self.params.batch_size, derive(self.seed, BATCHES))

    def plan(self, rows: NDArray[np.int32], owner: str, width: int) -> BottomPlan:
        """What an owner's bottom must know to be trained; the label party is the empty name.

        Parameters
        ----------
        rows : array of shape (n_rows,), int32
            Its positions of the named rows.
        owner : str
        width : int
        """
        params = self.params
        return BottomPlan(
            rows=rows,
            n_training=self.n_training,
            batch_size=params.batch_size,
            batch_seed=derive(self.seed, BATCHES),
            in_flight=params.in_flight,
            skips=params.may_be_late(owner),
            local_steps=params.local_steps,
            width=width,
            dtype=params.dtype,
            architecture=params.bottom_of(owner),
            optimizer=params.optimizer,
            learning_rate=params.learning_rate,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            max_norm=params.max_norm,
            codec=params.codec_of(owner),
            protections=params.protections_of(owner),
            seed=derive(self.seed, self._number(owner)),
        )

    def bottom_head(self, owner: str, columns: ColumnTable) -> BottomHead:
        """What is kept of a bottom in this process, besides its weights."""
        params = self.params
        preparation = prepare(columns, self.of_training)
        return BottomHead(
            model_id=self.model_id,
            party=owner,
            architecture=params.bottom_of(owner),
            width=params.cut_width if owner else params.own_width(preparation.spec),
            dtype=params.dtype,
            codec=params.codec_of(owner),
            protections=params.protections_of(owner),
            preparation=preparation,
        )

    def body_head(self, widths: Sequence[int]) -> BodyHead | None:
        """What is kept of the body, if a party computes one, over inputs of these widths."""
        params = self.params
        if params.body is None:
            return None
        return BodyHead(
            widths=tuple(widths),
            width=params.body_width,
            architecture=Choice(params.architecture, dict(params.top)),
            dtype=params.dtype,
        )

    def dropped_rows(self, owner: str) -> DroppedRows | None:
        """The rows out of which a party is left in training; None if it never is."""
        rate = self.params.party_dropout
        if not owner or not rate:
            return None
        return DroppedRows(rate, self.batches, derive(self.seed, ABSENCE, self._number(owner)))

    def _number(self, owner: str) -> int:
        return ["", *self.owners].index(owner)
