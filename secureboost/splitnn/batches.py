"""Which rows make up which batch: both sides work it out from a seed, so rows travel once.

Every epoch goes through all training rows in a new order. It is drawn by numpy's legacy generator,
whose values are fixed for good; two companies may have different versions.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


class Batches:
    """The batches of all epochs, numbered from 0.

    The rows of an epoch are divided as evenly as they can be, so the smallest batch has nearly as
    many rows as the largest.

    Parameters
    ----------
    n_training : int
        Rows that are trained on, at least 1.
    batch_size : int
        Most rows of a batch, at least 1.
    seed : int
    """

    def __init__(self, n_training: int, batch_size: int, seed: int) -> None:
        self.n_training = n_training
        self.per_epoch = -(-n_training // batch_size)
        self._seed = seed
        self._edges = np.arange(self.per_epoch + 1) * n_training // self.per_epoch
        self._epoch = -1
        self._order = np.empty(0, np.int32)

    @property
    def smallest(self) -> int:
        """Rows of the smallest batch."""
        return self.n_training // self.per_epoch

    def epoch_of(self, number: int) -> int:
        """The epoch of a batch."""
        return number // self.per_epoch

    def begins_epoch(self, number: int) -> bool:
        """Whether a batch is the first of its epoch."""
        return number % self.per_epoch == 0

    def n_rows(self, number: int) -> int:
        """Rows of a batch."""
        place = number % self.per_epoch
        return int(self._edges[place + 1] - self._edges[place])

    def rows(self, number: int) -> NDArray[np.int32]:
        """Positions of a batch's rows among the training rows, in the order of the batch."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._order_of(epoch), epoch
        return self._order[self._edges[place] : self._edges[place + 1]]

    def digest(self) -> bytes:
        """SHA-256 of the first epoch's order and cuts, to see that both sides draw alike."""
        order, edges = self._order_of(0).astype("<i4"), self._edges.astype("<i8")
        return hashlib.sha256(edges.tobytes() + order.tobytes()).digest()

    def _order_of(self, epoch: int) -> NDArray[np.int32]:
        state = np.random.MT19937(np.random.SeedSequence([self._seed, epoch]))
        return np.random.RandomState(state).permutation(self.n_training).astype(np.int32)
