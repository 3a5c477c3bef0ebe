"""A bottom as it computes: network, protections, codec. Training and prediction use the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.architectures.base import ColumnsSpec, n_layers
from secureboost.splitnn.options import Choice
from secureboost.splitnn.protections import FeatureProtection
from secureboost.splitnn.randomness import INITIAL, seeded
from secureboost.splitnn.tensors import DTYPES

Weights = Mapping[str, Tensor]


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
    """

    parameters: int
    layers: int


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
    return Size(sum(parameter.numel() for parameter in module.parameters()), n_layers(module))
