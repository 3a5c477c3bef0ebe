"""The seam: a party's bottom as the trainer sees it, wherever it is computed.

Everything that happens to a bottom is a sequence of exchanges, the same for a local and a remote
one. An exchange brings the gradient of the oldest batch in flight and asks for what the bottom
gives for another batch. `remote.RemoteBottom` asks another company for it.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.codecs import Codec
from secureboost.splitnn.errors import DivergedError
from secureboost.splitnn.learner import Learner
from secureboost.splitnn.payload import Arrays


class Pending:
    """An answer that may not be there yet.

    Parameters
    ----------
    get : callable
        Waits for it; called once.
    """

    def __init__(self, get: Callable[[], Tensor]) -> None:
        self._get = get

    def result(self) -> Tensor:
        """Wait for the activations, shape (n_rows, width), without a graph.

        Raises
        ------
        parties.errors.PartyError
            If the party refuses or fails.
        secureboost.errors.IntegrityError
            If what it sent cannot be.
        DivergedError
            If its own numbers are not finite.
        """
        return self._get()


class Evaluated(Pending):
    """Activations of rows that are evaluated, also as they are without a party.

    Parameters
    ----------
    get : callable
        See `Pending`.
    owner : str
        Without whom they are zeros; "" is never missing.
    """

    def __init__(self, get: Callable[[], Tensor], owner: str = "") -> None:
        super().__init__(get)
        self._owner = owner
        self._values = torch.empty(0)

    def result(self) -> Tensor:
        """See `Pending.result`."""
        self._values = super().result()
        return self._values

    def without(self, party: str) -> Tensor:
        """What stands for the activations where this party is missing; called after `result`."""
        return torch.zeros_like(self._values) if party == self._owner else self._values


class Feed(ABC):
    """What gives the top its inputs: a bottom, or several with a body over them (`body`).

    Attributes
    ----------
    width : int
        Numbers that it gives for a row.
    waits : bool
        Whether an exchange comes back before its answer is there. Those are asked first.
    """

    width: int
    waits: bool

    @property
    def widest(self) -> int:
        """Most numbers of a row that travel for it."""
        return self.width

    @abstractmethod
    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """Hand over a gradient and ask for the next batch.

        Parameters
        ----------
        gradient : tensor of shape (n_rows, width), optional
            Of the loss by what the bottom gave for the oldest batch in flight; None while the
            first batches are asked for.
        batch : int, optional
            Number of the next batch to be forwarded (`batches.Batches`); None at the end of an
            epoch, where the answer has no rows.
        """

    @abstractmethod
    def evaluate(self, rows: NDArray[np.int32]) -> Evaluated:
        """Ask for what the bottom gives for these rows, without learning.

        Parameters
        ----------
        rows : array, int32
            Positions among all rows of the training.
        """


def asked_first(bottoms: Sequence[Feed]) -> list[int]:
    """In which order to ask: those that compute elsewhere first, they work while the others do."""
    return sorted(range(len(bottoms)), key=lambda place: not bottoms[place].waits)


class Bottom(Feed):
    """A party's network over its own columns.

    Attributes
    ----------
    owner : str
        The party's name; empty for the label party.
    """

    owner: str

    @abstractmethod
    def keep(self, epoch: int, *, best: bool, durable: bool) -> None:
        """Remember the weights after so many epochs; see `protocol.KeepBottom`."""

    @abstractmethod
    def finish(self, *, keep: bool, best: bool) -> str:
        """End training; returns the digest of the half that its owner kept, in hexadecimal."""


class CutBottom(Bottom):
    """What local and remote bottoms share: gradients are encoded and activations decoded here.

    Parameters
    ----------
    owner : str
    codec : Codec
    width : int
    dtype : str
    """

    def __init__(self, owner: str, codec: Codec, width: int, dtype: str) -> None:
        self.owner = owner
        self.width = width
        self._codec = codec
        self._dtype = dtype
        self._in_flight: deque[int] = deque()
        self._sent: deque[Arrays] = deque()

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        gradient_of, encoded = None, None
        if gradient is not None:
            gradient_of = self._in_flight.popleft()
            encoded = self._codec.encode_gradient(gradient, self._sent.popleft())
        get = self._ask(gradient_of, encoded, batch)
        if batch is None:
            return Pending(lambda: self._nothing(get))
        self._in_flight.append(batch)
        return Pending(lambda: self._take(get))

    def evaluate(self, rows: NDArray[np.int32]) -> Evaluated:
        """See `Feed.evaluate`."""
        get = self._ask_evaluation(rows)
        return Evaluated(lambda: self._decode(get()), self.owner)

    @abstractmethod
    def _ask(
        self, gradient_of: int | None, gradient: Arrays | None, batch: int | None
    ) -> Callable[[], Arrays]:
        """Begin an exchange; the result waits for the activations (no arrays without a batch)."""

    @abstractmethod
    def _ask_evaluation(self, rows: NDArray[np.int32]) -> Callable[[], Arrays]:
        """Begin an evaluation; the result waits for the activations."""

    def _take(self, get: Callable[[], Arrays]) -> Tensor:
        arrays = get()
        self._sent.append(arrays)
        return self._decode(arrays)

    def _nothing(self, get: Callable[[], Arrays]) -> Tensor:
        get()
        return torch.empty((0, self.width))

    def _decode(self, arrays: Arrays) -> Tensor:
        return self._codec.decode(arrays, self.width, self._dtype)


class LocalBottom(CutBottom):
    """A bottom in this process; it computes at once.

    Parameters
    ----------
    owner : str
    learner : Learner
    width : int
    dtype : str
    """

    waits = False

    def __init__(self, owner: str, learner: Learner, width: int, dtype: str) -> None:
        super().__init__(owner, learner.codec, width, dtype)
        self.learner = learner

    def keep(self, epoch: int, *, best: bool, durable: bool) -> None:
        """Remember the best weights; what is durable the label party writes itself."""
        if best:
            self.learner.trainable.remember()

    def finish(self, *, keep: bool, best: bool) -> str:
        """Nothing: the label party keeps the half itself."""
        return ""

    def _ask(
        self, gradient_of: int | None, gradient: Arrays | None, batch: int | None
    ) -> Callable[[], Arrays]:
        with self._named():
            arrays = self.learner.exchange(gradient_of, gradient, batch)
        return lambda: arrays or ()

    def _ask_evaluation(self, rows: NDArray[np.int32]) -> Callable[[], Arrays]:
        with self._named():
            arrays = self.learner.evaluate(rows)
        return lambda: arrays

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say whose numbers are not finite."""
        try:
            yield
        except DivergedError as error:
            raise DivergedError(error.step, self.owner, error.what, error.learning_rate) from error
