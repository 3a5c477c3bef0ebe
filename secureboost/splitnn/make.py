"""Bottoms made of their heads: to be trained, and to score."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.errors import ModelError
from secureboost.splitnn.codecs import get_codec
from secureboost.splitnn.errors import DivergedError
from secureboost.splitnn.inputs import Inputs
from secureboost.splitnn.learner import Learner
from secureboost.splitnn.model import BottomHead, Tensors
from secureboost.splitnn.network import BottomNetwork, make_module
from secureboost.splitnn.payload import Arrays
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protections import feature_protections
from secureboost.splitnn.randomness import new_seed
from secureboost.splitnn.table import Columns
from secureboost.splitnn.tensors import is_finite


def make_bottom(head: BottomHead, plan: BottomPlan, table: Columns) -> Learner:
    """Make a bottom with its initial weights, ready to be trained.

    Parameters
    ----------
    head : BottomHead
    plan : BottomPlan
    table : Columns
        The table whose columns were prepared.

    Raises
    ------
    secureboost.errors.ConfigError
        If architecture, codec, optimizer or a protection is unknown, or an option does not fit.
    """
    generator = torch.Generator()
    network = _network(head, plan.seed, generator)
    inputs = Inputs(table, head.preparation, head.dtype, keep=True)
    return Learner(network, inputs, plan, generator)


class Scorer:
    """A trained bottom over a table.

    Parameters
    ----------
    head : BottomHead
    weights : dict of str to tensor
        As `Learner.weights` gave them.
    table : Columns

    Attributes
    ----------
    head : BottomHead
    codec : Codec
    inputs : Inputs
        What the network is fed with.

    Raises
    ------
    secureboost.errors.ModelError
        If the weights are of another network.
    secureboost.errors.DataError
        If the table's columns are of other kinds.
    """

    def __init__(self, head: BottomHead, weights: Tensors, table: Columns) -> None:
        self.head = head
        self.codec = get_codec(head.codec)
        self.inputs = Inputs(table, head.preparation, head.dtype)
        self._generator = torch.Generator().manual_seed(new_seed())
        self._network = _network(head, 0, self._generator)
        load_weights(self._network.module, weights, f"model {head.model_id}")
        self._network.module.eval()

    def evaluate(self, rows: NDArray[np.int32]) -> Arrays:
        """What the bottom gives for rows of the table, encoded.

        Raises
        ------
        DivergedError
            If it is not finite.
        """
        out = self._network.evaluate(self.inputs, rows, self._generator)
        if not is_finite(out):
            raise DivergedError(0, self.head.party, "activation", 0.0)
        return self.codec.encode(out)

    def activations(self, rows: NDArray[np.int32]) -> Tensor:
        """What the bottom gives for rows of the table, as another party would read it."""
        return self.codec.decode(self.evaluate(rows), self.head.width, self.head.dtype)


def load_weights(module: torch.nn.Module, weights: Tensors, where: str) -> None:
    """Load weights into a network.

    Raises
    ------
    secureboost.errors.ModelError
        If they are of another one.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{where}: its weights do not fit its network.") from error


def _network(head: BottomHead, seed: int, generator: torch.Generator) -> BottomNetwork:
    module = make_module(
        head.architecture, head.preparation.spec, head.width, head.dtype, seed, generator
    )
    return BottomNetwork(module, feature_protections(head.protections), head.width)
