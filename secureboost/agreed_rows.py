"""The rows of a feature party's table, in the order in which both sides count them in a session.

Either both sides hold the same ids in the same order, or they have agreed on an order of rows
before (`secureboost.align`). The table stays as it is: positions are looked up here. Every trainer
counts in these rows.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from parties.messages import MatchRows, Refusal, SessionCode, UseAlignment
from parties.rows import check_alignment, check_rows
from secureboost.alignment import ABSENT, Alignment, AlignmentStore
from secureboost.errors import AlignmentError

log = logging.getLogger(__name__)


class KeptTable(Protocol):
    """A feature party's table, as far as its rows go.

    Attributes
    ----------
    ids : sequence of str
        Row ids, in order.
    columns : array of shape (n_features, n_rows), float32
    alignments : AlignmentStore
        Orders of rows that were agreed on with a label party.
    key_digest : callable
        Gives `alignment.keys_digest` of the table.
    """

    @property
    def ids(self) -> Sequence[str]:
        """Row ids."""
        ...

    @property
    def columns(self) -> NDArray[np.float32]:
        """Values."""
        ...

    @property
    def alignments(self) -> AlignmentStore:
        """Agreed orders of rows."""
        ...

    @property
    def key_digest(self) -> Callable[[], bytes]:
        """Names the table's keys."""
        ...


@dataclass(frozen=True, repr=False)
class AgreedRows:
    """Rows of a table in the agreed order.

    Attributes
    ----------
    rows : array of shape (n_agreed,), int32
        For each of them its position in the table; `alignment.ABSENT` where the table has none: all
        of its columns are missing there.
    """

    rows: NDArray[np.int32]

    def at(self, positions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Positions in the table of rows that the label party names.

        Parameters
        ----------
        positions : array of shape (n,), int32
            In the agreed order.

        Returns
        -------
        array of shape (n,), int32
            One position may stand there twice, where rows of the label party share a row.

        Raises
        ------
        Refusal
            If there are none, one does not exist, or one is named twice.
        """
        n = len(self.rows)
        if len(positions) == 0 or positions.min() < 0 or positions.max() >= n:
            raise Refusal(
                SessionCode.ROWS_REFUSED, f"rows must be positions in 0..{n - 1}, and at least one"
            )
        if len(np.unique(positions)) != len(positions):
            raise Refusal(SessionCode.ROWS_REFUSED, "a row is named twice; rows must be distinct")
        return self.rows[positions]


def matched_rows(request: MatchRows, table: KeptTable) -> AgreedRows:
    """All rows of the table in its own order, if the label party holds the same.

    Raises
    ------
    Refusal
    """
    check_rows(request, table.ids)
    return AgreedRows(np.arange(len(table.ids), dtype=np.int32))


def aligned_rows(request: UseAlignment, table: KeptTable) -> AgreedRows:
    """The rows of an alignment that this party has kept.

    Raises
    ------
    Refusal
        If it has none of that name, one that cannot be read or has another number of rows, or the
        table has changed since.
    """
    try:
        alignment = table.alignments.load(request.alignment)
        if alignment is not None:
            alignment.check_table(table.key_digest())
            if alignment.rows.max(initial=ABSENT) >= table.columns.shape[1]:
                raise AlignmentError("The keys are those of a longer table than the columns.")
    except AlignmentError as error:
        log.warning("%s", error)
        raise Refusal(
            SessionCode.UNKNOWN_ALIGNMENT,
            f"alignment {request.alignment.hex()[:8]} cannot be used with this party's table, "
            "which has changed since, or is damaged; align again",
        ) from error
    check_alignment(request, None if alignment is None else len(alignment))
    return AgreedRows(cast(Alignment, alignment).rows)  # there is one, or it was refused
