"""Notes what crosses the cuts of a network that is trained in one process: what attacks work on."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from secureboost.errors import ConfigError, DataError
from secureboost.splitnn.attacks import Recording
from secureboost.splitnn.attacks.base import Floats
from secureboost.splitnn.bottoms import LocalBottom, Pending
from secureboost.splitnn.codecs import MASKED_SUM


@dataclass(repr=False)
class _Epoch:
    """What crossed a cut in one epoch, by training row."""

    gradients: NDArray[np.float32]
    activations: NDArray[np.float32]
    batch: NDArray[np.int64]


@dataclass(repr=False)
class Notes:
    """What crossed the cut of one feature party.

    Attributes
    ----------
    n_training, width : int
    """

    n_training: int
    width: int
    _epochs: list[_Epoch] = field(default_factory=list)

    @property
    def recording(self) -> Recording:
        """What attacks are given.

        Raises
        ------
        secureboost.errors.DataError
            If nothing has been trained.
        """
        return Recording(
            np.stack([epoch.gradients for epoch in self._noted]).astype(np.float64),
            self._noted[-1].activations.astype(np.float64),
            np.stack([epoch.batch for epoch in self._noted]),
        )

    @property
    def mean_activations(self) -> Floats:
        """What the bottom gave for each training row, in the mean over the later half of epochs.

        Noise that is new in each epoch is less there.
        """
        later = self._noted[len(self._noted) // 2 :]
        return np.mean([epoch.activations for epoch in later], axis=0, dtype=np.float64)

    @property
    def _noted(self) -> list[_Epoch]:
        if not self._epochs:
            raise DataError("nothing has crossed the cut: no epoch was trained")
        return self._epochs

    def begin(self) -> None:
        """An epoch begins."""
        shape = (self.n_training, self.width)
        none = np.zeros(self.n_training, np.int64)
        self._epochs.append(_Epoch(np.zeros(shape, np.float32), np.zeros(shape, np.float32), none))

    def note_gradient(self, rows: NDArray[np.int32], batch: int, gradient: Tensor) -> None:
        """Note what the feature party read."""
        self._epochs[-1].gradients[rows] = gradient.numpy()
        self._epochs[-1].batch[rows] = batch

    def note_activations(self, rows: NDArray[np.int32], activations: Tensor) -> None:
        """Note what the label party read."""
        self._epochs[-1].activations[rows] = activations.detach().numpy()


class Recorder:
    """Makes the bottoms of a pooled training, and notes what crosses them.

    Attributes
    ----------
    notes : dict of str to Notes
        By feature party. Rows are those of the table that is trained on.
    """

    def __init__(self) -> None:
        self.notes: dict[str, Notes] = {}

    def make_bottom(self, owner: str, *arguments: Any) -> LocalBottom:
        """A bottom as `LocalBottom` is made; that of the label party has no cut to watch.

        Raises
        ------
        secureboost.errors.ConfigError
            If nothing of one party can be read at its cut.
        """
        if not owner:
            return LocalBottom(owner, *arguments)
        bottom = _RecordedBottom(owner, *arguments)
        if bottom.learner.codec.name == MASKED_SUM:
            raise ConfigError(
                f"is {MASKED_SUM!r}: the label party reads no party's activations but the sum of "
                "all, and attacks work on one party's. Audit with codec='identity' to see what "
                "one party's would tell, and what gradients do",
                "codec",
            )
        self.notes[owner] = bottom.notes
        return bottom


class _RecordedBottom(LocalBottom):
    """A bottom of a party in this process that notes what both sides of its cut read."""

    def __init__(self, owner: str, *arguments: Any) -> None:
        super().__init__(owner, *arguments)
        self.notes = Notes(self.learner.batches.n_training, self.width)

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        if gradient is not None:
            number, sent = self._in_flight[0], self._sent[0]
            encoded = self._codec.encode_gradient(gradient, sent)
            read = self._codec.decode_gradient(encoded, sent, self.width, self._dtype)
            self.notes.note_gradient(self.learner.table_rows(number), number, read)
        if batch is not None and self.learner.batches.begins_epoch(batch):
            self.notes.begin()
        pending = super().exchange(gradient, batch)
        return pending if batch is None else Pending(lambda: self._noted(batch, pending))

    def _noted(self, batch: int, pending: Pending) -> Tensor:
        activations = pending.result()
        self.notes.note_activations(self.learner.table_rows(batch), activations)
        return activations
