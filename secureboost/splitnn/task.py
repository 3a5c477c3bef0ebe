"""What training takes at the label party, and what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parties.peer import Peer
from secureboost.monitor import Monitor
from secureboost.objectives import Objective
from secureboost.splitnn.params import NetParams
from secureboost.splitnn.table import ColumnTable


@dataclass(frozen=True, repr=False)
class TrainingTable:
    """What the label party trains on.

    Attributes
    ----------
    columns : ColumnTable
        Own columns, and those of all parties in pooled training; perhaps none. The first
        ``len(y)`` rows are trained on, the others only evaluated.
    column_owner : dict of str to list of str
        In pooled training the columns of each party.
    named : bool
        The names are the table's own, not made up for an array.
    n_rows : int
    y, weight : arrays of shape (n_training,), float64
    row_digest : str
        Of the rows' ids in their order.
    """

    columns: ColumnTable
    column_owner: dict[str, list[str]]
    named: bool
    n_rows: int
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    row_digest: str

    @property
    def parts(self) -> dict[str, ColumnTable]:
        """See `parts_of`."""
        return parts_of(self.columns, self.column_owner)


def parts_of(
    columns: ColumnTable, column_owner: Mapping[str, Sequence[str]]
) -> dict[str, ColumnTable]:
    """The columns of each owner that has some; the label party is the empty name, and first."""
    places = {name: place for place, name in enumerate(columns.feature_names)}
    of_parties = {owner: [places[name] for name in names] for owner, names in column_owner.items()}
    taken = {place for owned in of_parties.values() for place in owned}
    own = [place for place in places.values() if place not in taken]
    owned = {"": own} | of_parties
    return {owner: columns.pick(some) for owner, some in owned.items() if some}


@dataclass(frozen=True, repr=False)
class NetPartner:
    """A feature party in an open session.

    Attributes
    ----------
    peer : Peer
    rows : array of shape (n_rows,), int32
        For each row of the label party's table its position in the rows that both sides count in;
        in prediction `alignment.ABSENT` for one that the party does not have.
    padding : array of shape (n_padding,), int32
        In prediction, positions that are asked about only to hide which are wanted.
    goes_with : array of shape (n_padding,), int64
        For each the row of the label party's table with which it is asked about.
    """

    peer: Peer
    rows: NDArray[np.int32]
    padding: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    goes_with: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, repr=False)
class Task:
    """What is to be learnt from a table, and how.

    Attributes
    ----------
    params : NetParams
    objective : Objective
    monitor : Monitor
    classes : tuple
        To be kept with the model; empty for a regression.
    parameters : dict
        Constructor parameters, to be kept with the model.
    random_state : int or None
        The seed; None draws a secret one.
    evaluated : array, int32
        Positions of the rows that `monitor` looks at, each once.
    losses : list of float
        Filled as training goes on: the mean loss of the training rows after each epoch.
    """

    params: NetParams
    objective: Objective
    monitor: Monitor
    classes: tuple[bool | int | float | str, ...]
    parameters: dict[str, Any]
    random_state: int | None
    evaluated: NDArray[np.int32]
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Trained:
    """What training leaves at the label party.

    Attributes
    ----------
    half : bytes
        File of the label party's half (`model`).
    losses : list of float
        Mean loss of the training rows, after each epoch.
    seconds : dict of str to float
        How long each partner computed, and the whole training ("").
    late : dict of str to int
        With ``max_wait`` how many batches each partner was left out of.
    """

    half: bytes
    losses: list[float]
    seconds: dict[str, float]
    late: dict[str, int]
