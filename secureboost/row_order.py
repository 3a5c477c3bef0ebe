"""The order in which rows are named to partners, which says nothing of the label party's own.

A table may be sorted by what nobody else must know, as by the label. So rows go out in the order in
which both sides count them, those trained on before the others. Within the label party they stay
where they are: draws, sums of real numbers and the order of scores are those of its table.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, repr=False)
class RowOrder:
    """A permutation of a session's rows.

    Attributes
    ----------
    rows : array of shape (n_rows,), int64
        Which of the label party's rows each of the named ones is.
    """

    rows: NDArray[np.int64]

    @classmethod
    def by_position(cls, positions: NDArray[np.int32], n_training: int) -> "RowOrder":
        """Order rows by where they are counted.

        Parameters
        ----------
        positions : array of shape (n_rows,), int32
            Of the label party's rows in its order.
        n_training : int
            The first so many are trained on; they stay before the others.
        """
        training = np.argsort(positions[:n_training], kind="stable")
        others = np.argsort(positions[n_training:], kind="stable")
        return cls(np.concatenate([training, n_training + others]))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """As which each of the label party's rows is named, shape (n_rows,)."""
        places = np.empty_like(self.rows)
        places[self.rows] = np.arange(len(self.rows))
        return places
