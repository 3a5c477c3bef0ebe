"""A bottom as it computes: network, protections, codec. Training and prediction use the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.architectures.base import ColumnsSpec, n_layers
from secureboost.splitnn.architectures.modules import Drawing
from secureboost.splitnn.inputs import Inputs
from secureboost.splitnn.options import Choice
from secureboost.splitnn.protections import FeatureProtection
from secureboost.splitnn.randomness import INITIAL, seeded
from secureboost.splitnn.tensors import DTYPES

Weights = Mapping[str, Tensor]

EVALUATED_ROWS = 4096
"""Rows that go through a network at a time where nothing is learnt, however many are asked for."""


class BottomNetwork:
    """From inputs to what may leave.

    Parameters
    ----------
    module : torch.nn.Module
        See `Architecture.make_bottom`.
    protections : sequence of FeatureProtection
        Applied one after the other.
    width : int
    """

    def __init__(
        self, module: nn.Module, protections: Sequence[FeatureProtection], width: int
    ) -> None:
        self.module = module
        self.protections = protections
        self.width = width

    def forward(
        self, inputs: tuple[Tensor, Tensor], generator: torch.Generator, weights: Weights | None
    ) -> Tensor:
        """Compute what leaves, with the graph if there is one.

        Parameters
        ----------
        inputs : tuple of tensors
            Numbers and codes, see `inputs.Inputs.batch`.
        generator : torch.Generator
            From which protections draw.
        weights : mapping of str to tensor, optional
            Instead of the module's own parameters.

        Returns
        -------
        tensor of shape (n_rows, width)

        Raises
        ------
        ValueError
            If the module gives another shape.
        """
        out: Tensor
        if weights is None:
            out = self.module(*inputs)
        else:
            out = functional_call(self.module, dict(weights), inputs)
        expected = (len(inputs[0]), self.width)
        if out.shape != expected:
            raise ValueError(
                f"the bottom gives numbers of shape {tuple(out.shape)}, and the cut takes "
                f"{expected}"
            )
        for protection in self.protections:
            out = protection.activations(out, generator)
        return out

    def evaluate(
        self, inputs: Inputs, rows: NDArray[np.int32], generator: torch.Generator
    ) -> Tensor:
        """Compute what leaves for any number of rows, some at a time, without the graph.

        Parameters
        ----------
        inputs : Inputs
        rows : array of shape (n_rows,), int32
            Positions in the table.
        generator : torch.Generator
            From which protections draw.

        Returns
        -------
        tensor of shape (n_rows, width)
        """
        with torch.no_grad():
            return in_slices(
                lambda some: self.forward(inputs.batch(rows[some]), generator, None), len(rows)
            )


def in_slices(compute: Callable[[slice], Tensor], n_rows: int) -> Tensor:
    """Compute at most `EVALUATED_ROWS` rows at a time, and put the results below each other.

    Slices are as even as they can be: products over a single row may round in another way.
    """
    n_slices = max(1, -(-n_rows // EVALUATED_ROWS))
    edges = [n_rows * number // n_slices for number in range(n_slices + 1)]
    parts = [compute(slice(*ends)) for ends in pairwise(edges)]
    return parts[0] if n_slices == 1 else torch.cat(parts)


def make_module(
    architecture: Choice,
    columns: ColumnsSpec,
    width: int,
    dtype: str,
    seed: int,
    generator: torch.Generator,
) -> nn.Module:
    """Make a bottom's network with its initial weights.

    Raises
    ------
    secureboost.errors.ConfigError
        If the architecture is unknown, or an option does not fit.
    """
    kind = get_architecture(architecture.name)
    with seeded(seed, INITIAL):
        module = kind.make_bottom(columns, width, architecture.options, generator)
    return module.to(DTYPES[dtype])


@dataclass(frozen=True)
class Size:
    """How large a network is.

    Attributes
    ----------
    parameters : int
        Numbers that it learns.
    layers : int
        See `base.n_layers`.
    units : int
        Numbers that it makes of a row, see `count_units`.
    """

    parameters: int
    layers: int
    units: int


def measure(architecture: Choice, columns: ColumnsSpec, width: int) -> Size:
    """Measure a bottom without making its numbers.

    Raises
    ------
    secureboost.errors.ConfigError
        If the architecture is unknown, or an option does not fit.
    """
    kind = get_architecture(architecture.name)
    with torch.device("meta"):
        module = kind.make_bottom(columns, width, architecture.options, torch.Generator())
        parameters = sum(parameter.numel() for parameter in module.parameters())
        units = count_units(module, lambda n_rows: module(*_inputs(columns, n_rows)), width)
    return Size(parameters, n_layers(module), units)


def count_units(module: nn.Module, run: Callable[[int], object], width: int) -> int:
    """How many numbers a pass makes of a row: inputs, everything between, and what is given.

    No number is computed. A module of somebody's own that cannot do without counts as what it
    gives: whoever made it here answers for it.

    Parameters
    ----------
    module : torch.nn.Module
        Of the device "meta".
    run : callable
        Makes inputs of so many rows on that device and sends them through the module.
    width : int
        Numbers that it gives.

    Raises
    ------
    secureboost.errors.ConfigError
        If it takes no such inputs.
    """
    counts = []
    module.eval()  # dropout draws, which that device does not
    try:
        for n_rows in (2, 3):  # what does not grow with the rows drops out
            with torch.no_grad(), _Counting() as counting:
                run(n_rows)
            counts.append(counting.total)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(module, Drawing):
            return width
        raise ConfigError("the network cannot be measured", "architecture") from error
    return counts[1] - counts[0]


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers of all tensors that are made; views are none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if not any(given.alias_info for given in func._schema.returns):
            tensors = made if isinstance(made, tuple | list) else [made]
            self.total += sum(part.numel() for part in tensors if isinstance(part, Tensor))
        return made


def _inputs(columns: ColumnsSpec, n_rows: int) -> tuple[Tensor, Tensor]:
    numbers = torch.empty((n_rows, len(columns.numbers)), device="meta")
    codes = torch.empty((n_rows, len(columns.categories)), dtype=torch.int64, device="meta")
    return numbers, codes
