"""U-shaped networks: a party computes the body of the top, the label party keeps head and loss.

Vepakomma et al., "Split learning for health: Distributed deep learning without sharing raw patient
data", 2018 (arXiv 1812.00564), the U-shaped configuration. What the bottoms give goes through the
label party to the body; what the body gives goes through the head, a single layer, to scores and
loss; gradients go back the same way. To the trainer, bottoms with a body over them are one thing
that gives activations (`BodiedBottoms`).

A batch goes through the body and back before the next one does, however many are in flight in the
bottoms: so its weights are never old ones.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.batches import Batches
from secureboost.splitnn.bottoms import Evaluated, Feed, Pending, asked_first
from secureboost.splitnn.errors import DivergedError, TurnError
from secureboost.splitnn.model import BodyHead
from secureboost.splitnn.network import in_slices
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.randomness import BODY, INITIAL, TRAINING, derive, seeded
from secureboost.splitnn.tensors import DTYPES, is_finite
from secureboost.splitnn.trainable import Tensors, Trainable


class Body(ABC):
    """The body of the top, wherever it is computed.

    Attributes
    ----------
    owner : str
        Whoever computes it.
    width : int
        Numbers that it gives for a row.
    """

    owner: str
    width: int

    @abstractmethod
    def forward(self, number: int, activations: Sequence[Tensor]) -> Tensor:
        """What the body gives for a batch, shape (n_rows, width), without a graph.

        Parameters
        ----------
        number : int
            Of the batch; the next one.
        activations : sequence of tensors of shape (n_rows, width)
            What each bottom gave.
        """

    @abstractmethod
    def backward(self, number: int, gradient: Tensor) -> list[Tensor]:
        """Learn from the gradient of the loss by what the body gave for that batch.

        Returns
        -------
        list of tensors of shape (n_rows, width)
            The gradient by what each bottom gave.
        """

    @abstractmethod
    def evaluate(self, activations: Sequence[Tensor]) -> Tensor:
        """What the body gives, without learning."""


class BodiedBottoms(Feed):
    """Bottoms and the body over them, as one to the trainer.

    Parameters
    ----------
    bottoms : sequence of Feed
    body : Body
    """

    waits = False

    def __init__(self, bottoms: Sequence[Feed], body: Body) -> None:
        self.width = body.width
        self._bottoms = bottoms
        self._body = body
        self._forwarded = -1

    @property
    def widest(self) -> int:
        """See `Feed.widest`."""
        return max(self.width, *(bottom.widest for bottom in self._bottoms))

    def exchange(self, gradient: Tensor | None, batch: int | None) -> Pending:
        """See `Feed.exchange`."""
        gradients: Sequence[Tensor | None] = [None] * len(self._bottoms)
        if gradient is not None:
            gradients = self._body.backward(self._forwarded, gradient)
        asked = {
            place: self._bottoms[place].exchange(gradients[place], batch)
            for place in asked_first(self._bottoms)
        }
        answers = [asked[place] for place in range(len(self._bottoms))]
        return Pending(lambda: self._through(batch, [answer.result() for answer in answers]))

    def evaluate(self, rows: NDArray[np.int32]) -> Evaluated:
        """See `Feed.evaluate`."""
        asked = {place: self._bottoms[place].evaluate(rows) for place in asked_first(self._bottoms)}
        return _EvaluatedBody([asked[place] for place in range(len(self._bottoms))], self._body)

    def _through(self, batch: int | None, activations: list[Tensor]) -> Tensor:
        if batch is None:
            return torch.empty((0, self.width))
        self._forwarded = batch
        return self._body.forward(batch, activations)


class _EvaluatedBody(Evaluated):
    """What the body gives for what the bottoms give."""

    def __init__(self, bottoms: Sequence[Evaluated], body: Body) -> None:
        super().__init__(lambda: body.evaluate([bottom.result() for bottom in bottoms]))
        self._bottoms = bottoms
        self._body = body

    def without(self, party: str) -> Tensor:
        """See `Evaluated.without`."""
        return self._body.evaluate([bottom.without(party) for bottom in self._bottoms])


@dataclass(frozen=True, repr=False)
class _Waiting:
    """A batch that waits for its gradient."""

    number: int
    leaves: list[Tensor]
    out: Tensor


class LocalBody(Body):
    """A body in this process; the party that computes one for others has one, too.

    Parameters
    ----------
    owner : str
    head : BodyHead
    plan : BottomPlan
        Of its owner's bottom: batches, optimiser and seed are the same.
    """

    def __init__(self, owner: str, head: BodyHead, plan: BottomPlan) -> None:
        self.owner = owner
        self.width = head.width
        self.batches = Batches(plan.n_training, plan.batch_size, plan.batch_seed)
        self._plan = plan
        self._seed = derive(plan.seed, BODY)
        self._generator = torch.Generator()
        self._module = make_body(head, self._seed, self._generator)
        self.trainable = Trainable(self._module, plan)
        self._waiting: _Waiting | None = None
        self._next = 0

    def forward(self, number: int, activations: Sequence[Tensor]) -> Tensor:
        """See `Body.forward`.

        Raises
        ------
        TurnError
            If it is another batch's turn.
        DivergedError
            If what it gives is not finite.
        """
        if self._waiting is not None or number != self._next:
            raise TurnError(f"batch {number} is not the body's next one, which is {self._next}")
        if self.batches.begins_epoch(number):
            epoch = self.batches.epoch_of(number)
            self._generator.manual_seed(derive(self._seed, TRAINING, epoch))
        leaves = [values.detach().requires_grad_() for values in activations]
        out: Tensor = self._module(leaves)
        self._check_finite(out)
        self._waiting = _Waiting(number, leaves, out)
        self._next = number + 1
        return out.detach()

    def backward(self, number: int, gradient: Tensor) -> list[Tensor]:
        """See `Body.backward`.

        Raises
        ------
        TurnError
            If another batch waits for its gradient, or none does.
        """
        waiting = self.check_due(number)
        self._waiting = None
        self._step(waiting.out, gradient)
        gradients = [_gradient_of(leaf) for leaf in waiting.leaves]
        inputs = [leaf.detach() for leaf in waiting.leaves]
        for _ in range(self._plan.local_steps - 1):
            self._step(self._module(inputs), gradient)
        return gradients

    def evaluate(self, activations: Sequence[Tensor]) -> Tensor:
        """See `Body.evaluate`.

        Raises
        ------
        DivergedError
            If what it gives is not finite.
        """
        out = evaluate_body(self._module, activations)
        self._check_finite(out)
        return out

    def check_due(self, number: int) -> _Waiting:
        """The batch that waits for its gradient.

        Raises
        ------
        TurnError
            If it is another one, or none waits.
        """
        if self._waiting is None or self._waiting.number != number:
            raise TurnError(f"no gradient of batch {number} is due")
        return self._waiting

    @property
    def resting(self) -> bool:
        """Whether no batch waits for its gradient."""
        return self._waiting is None

    def restore(self, state: Tensors, epoch: int) -> None:
        """Go on where the network's state was taken, after so many epochs.

        Raises
        ------
        ValueError
            If it is of another network.
        """
        self.trainable.restore(state)
        self._next = epoch * self.batches.per_epoch

    def _step(self, out: Tensor, gradient: Tensor) -> None:
        for parameter in self.trainable.parameters.values():
            parameter.grad = None
        torch.autograd.backward(out, gradient)
        self.trainable.step()

    def _check_finite(self, out: Tensor) -> None:
        if not is_finite(out):
            raise DivergedError(
                self._next, self.owner, "output of the body", self._plan.learning_rate
            )


def make_body(head: BodyHead, seed: int, generator: torch.Generator) -> nn.Module:
    """Make a body's network with its initial weights.

    Raises
    ------
    secureboost.errors.ConfigError
        If the architecture is unknown, or an option does not fit.
    """
    kind = get_architecture(head.architecture.name)
    with seeded(seed, INITIAL):
        module = kind.make_top(head.widths, head.width, head.architecture.options, generator)
    return module.to(DTYPES[head.dtype])


def evaluate_body(module: nn.Module, activations: Sequence[Tensor]) -> Tensor:
    """What a body gives, without learning."""
    module.eval()
    with torch.no_grad():
        out = in_slices(
            lambda some: module([values[some] for values in activations]), len(activations[0])
        )
    module.train()
    return out


def _gradient_of(leaf: Tensor) -> Tensor:
    """Of what a bottom gave; 0 where the body does not look at it."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
