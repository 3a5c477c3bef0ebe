"""A network with its optimiser: steps, the best weights so far, and all of its state."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from secureboost.splitnn.optimisers import (
    Stepping,
    load_optimiser,
    make_optimiser,
    optimiser_tensors,
)

Tensors = dict[str, Tensor]


class Trainable:
    """What bottoms and tops in training share.

    Parameters
    ----------
    module : torch.nn.Module
    stepping : Stepping
        Of the optimiser.

    Attributes
    ----------
    module : torch.nn.Module
    parameters : dict of str to torch.nn.Parameter
        The current weights, but for those that somebody froze.
    """

    def __init__(self, module: nn.Module, stepping: Stepping) -> None:
        self.module = module
        self.parameters = {
            name: value for name, value in module.named_parameters() if value.requires_grad
        }
        self._optimiser = make_optimiser(self.parameters.values(), stepping)
        self._max_norm = stepping.max_norm
        self._best: Tensors | None = None

    def step(self) -> None:
        """Go one step along the gradients that the parameters hold, clipped if that is asked."""
        if self._max_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self._max_norm)
        self._optimiser.step()

    def remember(self) -> None:
        """Note the current weights as the best ones."""
        self._best = self.weights()

    def weights(self, *, best: bool = False) -> Tensors:
        """A copy of the current weights and buffers, or of the best ones, by their names."""
        if best and self._best is not None:
            return self._best
        return {name: value.clone() for name, value in self.module.state_dict().items()}

    def state(self) -> Tensors:
        """Everything that is needed to go on: weights, the best ones, the optimiser's memory."""
        parts = {
            "weights": self.weights(),
            "best": self._best or {},
            "optimiser": optimiser_tensors(self._optimiser),
        }
        return join_parts(parts)

    def restore(self, state: Tensors) -> None:
        """Go on where `state` was taken.

        Raises
        ------
        ValueError
            If it is of another network.
        """
        parts = split_parts(state, ("weights", "best", "optimiser"))
        try:
            self.module.load_state_dict(parts["weights"])
        except RuntimeError as error:
            raise ValueError("the weights are of another network") from error
        self._best = parts["best"] or None
        load_optimiser(self._optimiser, parts["optimiser"])


def join_parts(parts: Mapping[str, Tensors]) -> Tensors:
    """Tensors of several things in one mapping: ``"<part>/<name>"``."""
    return {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}


def split_parts(tensors: Tensors, names: Sequence[str]) -> dict[str, Tensors]:
    """Undo `join_parts`; parts without a tensor are empty.

    Raises
    ------
    ValueError
        If a tensor belongs to no part.
    """
    parts: dict[str, Tensors] = {name: {} for name in names}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        if part not in parts:
            raise ValueError("there is a tensor that belongs to nothing")
        parts[part][name] = tensor
    return parts
