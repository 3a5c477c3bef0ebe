"""The label party's network: from what the bottoms give to raw scores, and the loss over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secureboost.objectives import Objective
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.errors import DivergedError
from secureboost.splitnn.params import NetParams
from secureboost.splitnn.protections import CutContext, LabelProtection
from secureboost.splitnn.randomness import INITIAL, TRAINING, derive, seeded
from secureboost.splitnn.tensors import DTYPES, from_array, is_finite
from secureboost.splitnn.trainable import Trainable

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Target:
    """What is learnt.

    Attributes
    ----------
    objective : Objective
        Its gradients by the raw scores are where the backward pass begins.
    y, weight : arrays of shape (n_training,), float64
        Labels are the protected ones, if a protection changes them.
    offset : array of shape (n_outputs,), float64
    scale : float
        Raw scores are ``offset + scale * output``, so that the network's own outputs are of size 1
        whatever the label is measured in.
    """

    objective: Objective
    y: Floats
    weight: Floats
    offset: Floats
    scale: float


def make_target(objective: Objective, y: Floats, weight: Floats) -> Target:
    """Find the offset, the best constant, and the scale: the deviation of labels of any sign.

    Raises
    ------
    ValueError
        If there is no best constant, as where all labels are of one class.
    """
    scale = 1.0
    if objective.predicts == "real":
        mean = np.average(y, weights=weight)
        scale = float(np.sqrt(np.average(np.square(y - mean), weights=weight))) or 1.0
    return Target(objective, y, weight, objective.base_score(y, weight), scale)


class TopNetwork:
    """The top as it computes.

    Parameters
    ----------
    module : torch.nn.Module
        See `Architecture.make_top`.
    offset : array of shape (n_outputs,), float64
    scale : float
    """

    def __init__(self, module: nn.Module, offset: Floats, scale: float) -> None:
        self.module = module
        self._offset = offset
        self._scale = scale

    def outputs(self, activations: Sequence[Tensor]) -> Tensor:
        """The network's outputs, with the graph if there is one.

        Raises
        ------
        ValueError
            If they are of another shape than (n_rows, n_outputs).
        """
        out: Tensor = self.module(list(activations))
        expected = (len(activations[0]), len(self._offset))
        if out.shape != expected:
            raise ValueError(
                f"the top gives scores of shape {tuple(out.shape)}, and the objective takes "
                f"{expected}"
            )
        return out

    def raw(self, outputs: Tensor) -> Floats:
        """Raw scores of shape (n_rows,) or (n_rows, n_outputs), float64."""
        raw = self._offset + self._scale * outputs.detach().numpy().astype(np.float64)
        return np.asarray(raw[:, 0] if len(self._offset) == 1 else raw)

    def score(self, activations: Sequence[Tensor]) -> Floats:
        """Raw scores without learning."""
        self.module.eval()
        with torch.no_grad():
            raw = self.raw(self.outputs(activations))
        self.module.train()
        return raw


def make_top(
    params: NetParams,
    widths: Sequence[int],
    n_outputs: int,
    seed: int,
    generator: torch.Generator,
) -> nn.Module:
    """Make the top's network with its initial weights.

    Raises
    ------
    secureboost.errors.ConfigError
        If the architecture is unknown, or an option does not fit.
    """
    choice = params.top_choice
    with seeded(seed, INITIAL):
        module = get_architecture(choice.name).make_top(
            widths, n_outputs, choice.options, generator
        )
    return module.to(DTYPES[params.dtype])


class TopLearner:
    """Trains the top.

    Parameters
    ----------
    network : TopNetwork
        Freshly made.
    target : Target
    params : NetParams
    protections : sequence of LabelProtection
    owners : sequence of str
        Of the bottoms; whose gradient is not finite is named.
    seed : int
    generator : torch.Generator
        That the network's module draws from; set here at the start of every epoch.
    """

    def __init__(
        self,
        network: TopNetwork,
        target: Target,
        params: NetParams,
        protections: Sequence[LabelProtection],
        owners: Sequence[str],
        seed: int,
        generator: torch.Generator,
    ) -> None:
        self.network = network
        self._target = target
        self._params = params
        self._protections = protections
        self._owners = owners
        self._seed = seed
        self._generator = generator
        self._mean_weight = float(target.weight.mean())
        self.trainable = Trainable(network.module, params)

    def begin(self, epoch: int) -> None:
        """Go to the start of an epoch."""
        self._generator.manual_seed(derive(self._seed, TRAINING, epoch))

    def gradients(
        self, activations: Sequence[Tensor], rows: NDArray[np.int32], number: int
    ) -> tuple[float, list[Tensor]]:
        """Find which way a batch leads; `learn` goes there.

        Parameters
        ----------
        activations : sequence of tensors of shape (n_rows, width)
            What each bottom gave.
        rows : array of shape (n_rows,), int32
            The batch's rows, as positions in the target.
        number : int
            Of the batch, for errors.

        Returns
        -------
        loss : float
            Mean loss of the rows, by their weights; NaN of a function as objective.
        gradients : list of tensors of shape (n_rows, width)
            For each bottom that of the batch's loss by what it gave; for other parties' protected.

        Raises
        ------
        DivergedError
            If the loss or a gradient is not finite.
        """
        leaves = [values.detach().requires_grad_() for values in activations]
        loss = self._backward(leaves, rows, number)
        gradients = []
        for owner, leaf in zip(self._owners, leaves, strict=True):
            gradient = self._cut(owner, leaf, rows)
            gradients.append(gradient)
            if not is_finite(gradient):
                raise self._diverged(number, owner, "gradient at the cut")
        return loss, gradients

    def learn(self, activations: Sequence[Tensor], rows: NDArray[np.int32], number: int) -> None:
        """Take the step of these `gradients`, then the further local steps on the same activations.

        Raises
        ------
        DivergedError
        """
        self.trainable.step()
        for _ in range(self._params.local_steps - 1):
            self._backward(activations, rows, number)
            self.trainable.step()

    def _backward(
        self, activations: Sequence[Tensor], rows: NDArray[np.int32], number: int
    ) -> float:
        """Compute gradients of weights and of activations; returns the loss."""
        target = self._target
        y, weight = target.y[rows], target.weight[rows]
        for parameter in self.trainable.parameters.values():
            parameter.grad = None
        outputs = self.network.outputs(activations)
        raw = self.network.raw(outputs)
        if not np.isfinite(raw).all():
            raise self._diverged(number, "", "loss")
        gradient, _ = target.objective.gradients(raw, y, weight)
        # of the mean loss by the outputs, in units of scale^2 where labels have units
        gradient = gradient / (target.scale * self._mean_weight * len(rows))
        begins = from_array(gradient.reshape(outputs.shape), self._params.dtype)
        torch.autograd.backward(outputs, begins)
        return self._loss(raw, y, weight)

    def _loss(self, raw: Floats, y: Floats, weight: Floats) -> float:
        """The rows' mean loss; NaN of a function, which gives derivatives only."""
        return self._target.objective.loss(raw, y, weight) if weight.any() else 0.0

    def _cut(self, owner: str, leaf: Tensor, rows: NDArray[np.int32]) -> Tensor:
        """What a bottom is told of the gradient by what it gave; the own one is told all."""
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        if not owner:
            return gradient
        values = leaf.detach()
        target = self._target
        context = CutContext(target.y[rows], target.weight[rows], values, self._generator)
        for protection in self._protections:
            gradient = protection.gradient(gradient, context)
        return gradient

    def _diverged(self, number: int, owner: str, what: str) -> DivergedError:
        return DivergedError(number, owner, what, self._params.learning_rate)
