"""Slower partners do not stall the rest: a batch waits so long for a party, and no longer.

What has not come by then counts as dropped (`party_dropout`): zeros stand for it at the top, and
the party learns nothing from that batch. While it still owes an answer to a batch that has gone on
without it, it is not asked for further ones, so that it does not fall behind more and more: it
comes back in with the batch whose turn it then is. Batches that it gave too late are given up, by
number, so nothing that was sent for them is needed, whatever the codec.

At the end of an epoch everybody is waited for: evaluation and checkpoints are of all parties.
Which answers come in time is the clock's doing, so such a run cannot be repeated exactly.
"""

import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

import torch
from torch import Tensor

from parties.peer import Peer
from secureboost.errors import MissingPartyWarning
from secureboost.splitnn.bottoms import Pending
from secureboost.splitnn.payload import Arrays
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protocol import NO_BATCH, Activations
from secureboost.splitnn.remote import RemoteBottom
from secureboost.splitnn.tensors import DTYPES


class Patience:
    """How long each batch is waited for, by all parties together.

    Parameters
    ----------
    seconds : float
        Counted from when the batch is waited for first.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._batch = -1
        self._until = 0.0

    def left(self, batch: int) -> float:
        """Seconds that a batch may still be waited for."""
        now = time.monotonic()
        if batch != self._batch:
            self._batch, self._until = batch, now + self._seconds
        return max(0.0, self._until - now)


@dataclass(repr=False)
class _Asked:
    """A batch that the partner was asked for, and whose gradient it has not been sent.

    `sent` is there if the answer came in time.
    """

    number: int
    answer: Future[Activations]
    sent: Arrays | None = None


class PunctualBottom(RemoteBottom):
    """A partner's bottom that is left out of a batch if its answer comes too late.

    Parameters
    ----------
    peer : Peer
        Which has answered `remote.setup_message` of the same plan.
    plan : BottomPlan
        Of a training in which batches may be left out.
    patience : Patience
        Shared by all partners.
    late : int
        Batches that it was left out of before.

    Attributes
    ----------
    late : int
        Batches that it was left out of so far.
    """

    def __init__(self, peer: Peer, plan: BottomPlan, patience: Patience, late: int = 0) -> None:
        super().__init__(peer, plan)
        self._patience = patience
        self._asked: deque[_Asked] = deque()
        self.late = late

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        number = NO_BATCH if gradient is None else self._in_flight.popleft()
        due = [asked for asked in self._asked if asked.number <= number]
        owes = not all(asked.answer.done() for asked in due)
        if batch is None:
            last = None if owes or not due else self._send_due(due, gradient, None)
            return Pending(lambda: self._settled(last))
        self._in_flight.append(batch)
        if owes:
            return Pending(lambda: self._too_late(batch))
        asked = _Asked(batch, self._send_due(due, gradient, batch))
        self._asked.append(asked)
        return Pending(lambda: self._in_time(asked))

    def _send_due(
        self, due: Sequence[_Asked], gradient: Tensor | None, batch: int | None
    ) -> Future[Activations]:
        """Answer for all batches that have gone on, and ask for the next one.

        Only the newest of them can have come in time: whoever came in time is answered at once.
        """
        gradient_of, encoded = None, None
        for asked in due:
            gradient_of = asked.number
            if asked.sent is None:
                self._read_of(asked)
            elif gradient is not None:
                encoded = self._codec.encode_gradient(gradient, asked.sent)
            self._asked.popleft()
        return self._send(gradient_of, encoded, batch)

    def _in_time(self, asked: _Asked) -> Tensor:
        """What the partner gave, or zeros."""
        wait([asked.answer], self._patience.left(asked.number))
        if not asked.answer.done():
            return self._too_late(asked.number)
        asked.sent = self._read_of(asked)
        return self._decode(asked.sent)

    def _too_late(self, batch: int) -> Tensor:
        self.late += 1
        return torch.zeros((self._batches.n_rows(batch), self.width), dtype=DTYPES[self._dtype])

    def _settled(self, last: Future[Activations] | None) -> Tensor:
        """Wait for everything that is owed at the end of an epoch, and give it up.

        What goes wrong at the party with the last gradients is told here.
        """
        if last is not None:
            last.result()
        if self._asked:
            wait([asked.answer for asked in self._asked])
            self._send_due(list(self._asked), None, None).result()
        return torch.empty((0, self.width))

    def _read_of(self, asked: _Asked) -> Arrays:
        return self._read(asked.answer, self._batches.n_rows(asked.number), asked.number)


def warn_of_late(late: Mapping[str, int], n_batches: int, max_wait: float) -> None:
    """Say which parties were left out of how many batches.

    Parameters
    ----------
    late : mapping of str to int
        Batches by party.
    n_batches : int
        Of the whole training.
    max_wait : float
        Seconds.
    """
    for party, number in late.items():
        if number:
            warnings.warn(
                f"{party!r} was left out of {number} of {n_batches} batches, since its answers did "
                f"not come within max_wait={max_wait:g} seconds. Raise max_wait, or in_flight so "
                "that it is asked earlier, if that is much. The run cannot be repeated exactly.",
                MissingPartyWarning,
                stacklevel=3,
            )
