"""Party dropout: in training a party is missing in some rows, so that the model can do without it.

As dropout of units (Srivastava et al. 2014), but of all that a party gives for a row: what its
bottom gave becomes 0 at the top, and its gradient there is 0. Nothing is scaled, since zeros are
also what stands for a party that is missing in prediction. The label party drops; it does not drop
its own bottom.
"""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.batches import Batches
from secureboost.splitnn.bottoms import Bottom, Evaluated, Feed, Pending


class DroppedRows:
    """In which rows of each batch a party is missing: drawn for each row by itself.

    The draws follow from the batch's number alone, so a run that goes on draws the same.

    Parameters
    ----------
    rate : float
        Probability of being missing; above 0, below 1.
    batches : Batches
    seed : int
        The party's own.
    """

    def __init__(self, rate: float, batches: Batches, seed: int) -> None:
        self._rate = rate
        self._batches = batches
        self._seed = seed

    def kept(self, number: int) -> Tensor:
        """Whether the party is there, for each row of a batch; shape (n_rows, 1), bool."""
        bits = np.random.MT19937(np.random.SeedSequence([self._seed, number]))
        drawn = np.random.RandomState(bits).random_sample(self._batches.n_rows(number))
        kept: NDArray[np.bool_] = drawn >= self._rate
        return torch.from_numpy(kept)[:, None]


class DroppingFeed(Feed):
    """A bottom as the top sees it if it is missing in some rows.

    Parameters
    ----------
    bottom : Bottom
    dropped : DroppedRows
    """

    def __init__(self, bottom: Bottom, dropped: DroppedRows) -> None:
        self.width = bottom.width
        self.waits = bottom.waits
        self._bottom = bottom
        self._dropped = dropped
        self._in_flight: deque[Tensor] = deque()

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        if gradient is not None:
            gradient = _only(self._in_flight.popleft(), gradient)
        answer = self._bottom.exchange(gradient, batch)
        if batch is None:
            return answer
        kept = self._dropped.kept(batch)
        self._in_flight.append(kept)
        return Pending(lambda: _only(kept, answer.result()))

    def evaluate(self, rows: NDArray[np.int32]) -> Evaluated:
        """See `Feed.evaluate`: nothing is dropped."""
        return self._bottom.evaluate(rows)


def _only(kept: Tensor, values: Tensor) -> Tensor:
    """The values of some rows, and zeros for the others."""
    return torch.where(kept, values, 0.0)
