"""A bottom in training: the same code wherever it is, at the label party or in another company.

A batch in flight has been forwarded and waits for its gradient. Its backward pass must belong to
the weights of its forward pass, so each batch in flight keeps those (weight stashing, PipeDream,
Narayanan et al. 2019); what it gives is applied to the current weights.

With several local steps (FedBCD, Liu et al. 2019) a bottom goes on with the same gradient at the
cut: it computes its activations anew with its current weights and takes a step more.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.splitnn.batches import Batches
from secureboost.splitnn.codecs import Codec, get_codec
from secureboost.splitnn.errors import DivergedError, PayloadError, TurnError
from secureboost.splitnn.inputs import Inputs
from secureboost.splitnn.network import BottomNetwork, Weights
from secureboost.splitnn.payload import Arrays
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.randomness import EVALUATION, TRAINING, derive
from secureboost.splitnn.tensors import is_finite
from secureboost.splitnn.trainable import Tensors, Trainable


@dataclass(frozen=True, repr=False)
class _Flight:
    """A batch that was forwarded.

    `out` has the graph, whose leaves are `weights`; `sent` is what was encoded of it.
    """

    number: int
    weights: Weights
    inputs: tuple[Tensor, Tensor]
    out: Tensor
    sent: Arrays


class Learner:
    """Trains one bottom.

    Parameters
    ----------
    network : BottomNetwork
        Freshly made.
    inputs : Inputs
    plan : BottomPlan
    generator : torch.Generator
        That the network's module draws from; set here at the start of every epoch.

    Attributes
    ----------
    batches : Batches
    codec : Codec
    trainable : Trainable
        The network's weights, now and at their best, and its optimiser.
    """

    def __init__(
        self, network: BottomNetwork, inputs: Inputs, plan: BottomPlan, generator: torch.Generator
    ) -> None:
        self.batches = Batches(plan.n_training, plan.batch_size, plan.batch_seed)
        self.codec: Codec = get_codec(plan.codec)
        self._network = network
        self._inputs = inputs
        self._plan = plan
        self._generator = generator
        self._evaluation = torch.Generator()
        self.trainable = Trainable(network.module, plan)
        self._own: Weights = self.trainable.parameters
        self._flights: deque[_Flight] = deque()
        self._next = 0
        self._drawn_for = -1
        self._stash: Weights | None = None

    def exchange(
        self, gradient_of: int | None, gradient: Arrays | None, forward: int | None
    ) -> Arrays | None:
        """Learn from a gradient, forward a batch; either may be left out.

        Parameters
        ----------
        gradient_of : int or None
            The oldest batch in flight; with ``plan.skips`` a later one, too, and those before it
            are given up.
        gradient : tuple of arrays, or None
            Of what was sent for that batch, encoded by `codec`. Without one it is given up, too.
        forward : int or None
            The next batch; with ``plan.skips`` a later one, too.

        Returns
        -------
        tuple of arrays or None
            What the bottom gives for the next batch, encoded.

        Raises
        ------
        TurnError
            If it is another batch's turn. Nothing has changed.
        PayloadError
            If the gradient cannot be read or is not finite. Nothing has changed.
        DivergedError
            If the bottom's own numbers are not finite.
        """
        return self.proceed(gradient_of, self.read(gradient_of, gradient, forward), forward)

    def read(
        self, gradient_of: int | None, gradient: Arrays | None, forward: int | None
    ) -> Tensor | None:
        """Check all of an exchange that can be checked before anything changes.

        Parameters
        ----------
        gradient_of, gradient, forward
            See `exchange`.

        Returns
        -------
        tensor or None
            The gradient, decoded.

        Raises
        ------
        TurnError, PayloadError
            See `exchange`.
        """
        self.check_turn(gradient_of, forward)
        if gradient_of is None or gradient is None:
            return None
        return self._read(self._in_flight(gradient_of), gradient)

    def proceed(
        self, gradient_of: int | None, gradient: Tensor | None, forward: int | None
    ) -> Arrays | None:
        """The exchange whose gradient was `read`.

        Raises
        ------
        DivergedError
            If the bottom's own numbers are not finite.
        """
        if gradient_of is not None:
            due = self._in_flight(gradient_of)
            while self._flights.popleft() is not due:
                pass
            if gradient is not None:
                self._learn(due, gradient)
        return None if forward is None else self._forward(forward)

    def evaluate(self, rows: NDArray[np.int32]) -> Arrays:
        """What the bottom gives for rows of the training, encoded; nothing is learnt.

        Raises
        ------
        DivergedError
            If it is not finite.
        """
        self._network.module.eval()
        out = self._network.evaluate(self._inputs, self._plan.rows[rows], self._evaluation)
        self._network.module.train()
        self._check_finite(out)
        return self.codec.encode(out)

    def table_rows(self, number: int) -> NDArray[np.int32]:
        """Positions of a batch's rows in the table."""
        return self._plan.rows[self.batches.rows(number)]

    @property
    def resting(self) -> bool:
        """Whether no batch is in flight, and as many epochs as were begun are through."""
        through = self._plan.skips or self.batches.begins_epoch(self._next)
        return not self._flights and through

    @property
    def epoch(self) -> int:
        """Epochs that were begun; they are through, if it is `resting`."""
        return -(-self._next // self.batches.per_epoch)

    def restore(self, state: Tensors, epoch: int) -> None:
        """Go on where the network's state was taken, after so many epochs.

        Raises
        ------
        ValueError
            If it is of another network.
        """
        self.trainable.restore(state)
        self._next = epoch * self.batches.per_epoch

    def check_turn(self, gradient_of: int | None, forward: int | None) -> None:
        """Check that an exchange is in turn.

        Raises
        ------
        TurnError
        """
        left = [flight.number for flight in self._flights]
        if gradient_of is not None:
            due = left if self._plan.skips else left[:1]
            if gradient_of not in due:
                oldest = left[0] if left else None
                raise TurnError(
                    f"gradient_of={gradient_of}, and the oldest batch in flight is {oldest}"
                )
            left = [number for number in left if number > gradient_of]
        if forward is not None:
            if forward != self._next and not self._may_skip_to(forward):
                raise TurnError(f"forward={forward}, and the next batch is {self._next}")
            if len(left) >= self._plan.in_flight:
                raise TurnError(f"{len(left)} batches are in flight, and in_flight is no more")
            if left and self.batches.epoch_of(forward) != self.batches.epoch_of(left[-1]):
                raise TurnError(f"batch {forward} begins an epoch, and {len(left)} are in flight")
        elif gradient_of is None:
            raise TurnError("neither a gradient nor a batch is named")

    def _may_skip_to(self, forward: int) -> bool:
        """Whether the batches before this one may be left out: it must be of the epoch, or next."""
        first_of_next = self.epoch * self.batches.per_epoch
        return self._plan.skips and self._next < forward <= first_of_next

    def _in_flight(self, number: int) -> _Flight:
        return next(flight for flight in self._flights if flight.number == number)

    def _read(self, flight: _Flight, gradient: Arrays) -> Tensor:
        plan = self._plan
        decoded = self.codec.decode_gradient(gradient, flight.sent, plan.width, plan.dtype)
        if not is_finite(decoded):
            raise PayloadError(f"the gradient of batch {flight.number} is not finite")
        return decoded

    def _forward(self, number: int) -> Arrays:
        epoch = self.batches.epoch_of(number)
        if epoch != self._drawn_for:
            self._draw_anew(epoch)
        inputs = self._inputs.batch(self.table_rows(number))
        weights = self._weights_to_use()
        own = weights is self._own
        out = self._network.forward(inputs, self._generator, None if own else weights)
        self._check_finite(out)
        sent = self.codec.encode(out.detach(), self._generator)
        self._flights.append(_Flight(number, weights, inputs, out, sent))
        self._next = number + 1
        return sent

    def _weights_to_use(self) -> Weights:
        """The parameters themselves if they stay as they are until the gradient comes."""
        if self._plan.in_flight == 1:
            return self._own
        if self._stash is None:
            self._stash = {
                name: value.detach().clone().requires_grad_() for name, value in self._own.items()
            }
        return self._stash

    def _learn(self, flight: _Flight, gradient: Tensor) -> None:
        self._step(flight, flight.out, flight.weights, gradient)
        for _ in range(self._plan.local_steps - 1):
            out = self._network.forward(flight.inputs, self._generator, None)
            self._step(flight, out, self._own, gradient)
        self._stash = None

    def _step(self, flight: _Flight, out: Tensor, weights: Weights, gradient: Tensor) -> None:
        """One step of the optimiser, along the gradient of what `weights` gave."""
        roots, ends = [out], [gradient]
        for protection in self._network.protections:
            term = protection.loss(*flight.inputs, out)
            if term is not None:
                roots.append(term)
                ends.append(torch.ones_like(term))
        gradients = torch.autograd.grad(roots, list(weights.values()), ends, allow_unused=True)
        for own, value in zip(self._own.values(), gradients, strict=True):
            own.grad = value
        self.trainable.step()

    def _draw_anew(self, epoch: int) -> None:
        self._drawn_for = epoch
        self._generator.manual_seed(derive(self._plan.seed, TRAINING, epoch))
        self._evaluation.manual_seed(derive(self._plan.seed, EVALUATION, epoch))

    def _check_finite(self, out: Tensor) -> None:
        if not is_finite(out):
            raise DivergedError(self._next, "", "activation", self._plan.learning_rate)
