"""The training loop: exchanges with the bottoms, steps of the top, and what happens after an epoch.

The trainer sees a list of bottoms and does not know which of them are in other companies. In an
epoch `in_flight` batches are forwarded before the first gradient goes back; then each exchange
brings the gradient of the oldest and asks for the next. At the end of an epoch nothing is in
flight: evaluation rows are scored by the weights that the epoch ended with, and checkpoints hold
those.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.batches import Batches
from secureboost.splitnn.bottoms import Evaluated, Feed, Pending, asked_first
from secureboost.splitnn.params import NetParams
from secureboost.splitnn.top import TopLearner

EVALUATED_BYTES = 8 << 20
"""Rows are evaluated so many at a time that a bottom's answer stays below this."""

Asked = TypeVar("Asked")


@dataclass(frozen=True)
class EpochEnd:
    """What the trainer tells after an epoch.

    Attributes
    ----------
    epoch : int
        Its number, from 0.
    loss : float
        Mean loss of the training rows over the epoch, each at its own step.
    """

    epoch: int
    loss: float


class Trainer:
    """Trains a top over bottoms.

    Parameters
    ----------
    bottoms : sequence of Feed
        In the order of the top's inputs.
    top : TopLearner
    batches : Batches
    params : NetParams
    """

    def __init__(
        self, bottoms: Sequence[Feed], top: TopLearner, batches: Batches, params: NetParams
    ) -> None:
        self._bottoms = bottoms
        self._top = top
        self._batches = batches
        self._params = params
        self._order = asked_first(bottoms)

    def fit(self, first_epoch: int, after_epoch: Callable[[EpochEnd], bool]) -> None:
        """Train until all epochs are through.

        Parameters
        ----------
        first_epoch : int
            Epochs that are done already.
        after_epoch : callable
            Called after each epoch; True ends training.

        Raises
        ------
        DivergedError
            If numbers are not finite any more.
        parties.errors.PartyError
            If a party refuses or fails.
        secureboost.errors.IntegrityError
            If a party sends what cannot be.
        """
        for epoch in range(first_epoch, self._params.n_epochs):
            loss = self._epoch(epoch)
            if after_epoch(EpochEnd(epoch, loss)):
                return

    def score(
        self, rows: NDArray[np.int32], parties: Sequence[str] = ()
    ) -> list[NDArray[np.float64]]:
        """Raw scores of rows as the weights are now; then, for each party, those without it.

        Parameters
        ----------
        rows : array, int32
            Positions among all rows of the training.
        parties : sequence of str
            Each is missing in turn; bottoms are asked once all the same.

        Returns
        -------
        list of arrays of shape (n_rows,) or (n_rows, n_outputs), float64
        """
        widths = [bottom.widest for bottom in self._bottoms]
        network = self._top.network

        def score(answers: list[Evaluated]) -> NDArray[np.float64]:
            inputs = [[answer.result() for answer in answers]]
            inputs += [[answer.without(party) for answer in answers] for party in parties]
            return np.stack([network.score(of_all) for of_all in inputs], axis=1)

        return list(np.moveaxis(score_rows(score, widths, rows, self._evaluate), 1, 0))

    def _epoch(self, epoch: int) -> float:
        """One pass over the training rows; returns the mean loss."""
        self._top.begin(epoch)
        batches = self._batches
        numbers = deque(range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch))
        flights: deque[tuple[int, list[Pending]]] = deque()
        ends: list[Pending] = []
        total = 0.0
        while numbers and len(flights) < self._params.in_flight:
            number = numbers.popleft()
            flights.append((number, self._exchange(None, number)))
        while flights:
            number, pending = flights.popleft()
            rows = batches.rows(number)
            activations = [answer.result() for answer in pending]
            loss, gradients = self._top.gradients(activations, rows, number)
            total += loss * len(rows)
            upcoming = numbers.popleft() if numbers else None
            answers = self._exchange(gradients, upcoming)
            if upcoming is None:
                ends += answers
            else:
                flights.append((upcoming, answers))
            # the partners are at work by now
            self._top.learn(activations, rows, number)
        for answer in ends:
            answer.result()
        return total / batches.n_training

    def _exchange(self, gradients: Sequence[Tensor] | None, batch: int | None) -> list[Pending]:
        """Exchange with every bottom; the answers in their order."""
        answers: dict[int, Pending] = {}
        for place in self._order:
            gradient = None if gradients is None else gradients[place]
            answers[place] = self._bottoms[place].exchange(gradient, batch)
        return [answers[place] for place in range(len(self._bottoms))]

    def _evaluate(self, rows: NDArray[np.int32]) -> list[Evaluated]:
        answers = {place: self._bottoms[place].evaluate(rows) for place in self._order}
        return [answers[place] for place in range(len(self._bottoms))]


def score_rows(
    score: Callable[[Asked], NDArray[np.float64]],
    widths: Sequence[int],
    rows: NDArray[np.int32],
    evaluate: Callable[[NDArray[np.int32]], Asked],
) -> NDArray[np.float64]:
    """Score rows, so many at a time; the next ones are on their way.

    Parameters
    ----------
    score : callable
        Waits for what was asked for and scores it.
    widths : sequence of int
        Of the bottoms.
    rows : array of shape (n_rows,), int32
    evaluate : callable
        Asks every bottom for some of the rows.

    Returns
    -------
    array of shape (n_rows, ...), float64
        What `score` gives, of all rows.
    """
    step = max(1, EVALUATED_BYTES // (8 * max(widths)))
    parts = []
    asked = evaluate(rows[:step])
    for behind in range(step, len(rows), step):
        upcoming = evaluate(rows[behind : behind + step])
        parts.append(score(asked))
        asked = upcoming
    parts.append(score(asked))
    return np.concatenate(parts)
