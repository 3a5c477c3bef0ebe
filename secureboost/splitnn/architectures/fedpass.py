"""FedPass: layers whose scale and bias follow from private passports (arXiv 2301.12623).

Gu et al. 2023, "FedPass: privacy-preserving vertical federated deep learning with adaptive
obfuscation": a linear layer ``W x`` becomes ``gamma * (W x) + beta`` with ::

    gamma = mean_k D(E(W s_k)),   beta = mean_k D(E(W t_k))

where ``s_k, t_k`` are passports that the party keeps to itself and E, D are a small autoencoder.
Passports are drawn anew for each batch from normal distributions whose means are private, too. Who
does not have them cannot compute the function that the other side has learnt with.

What that is worth, measured on credit cards (``tests/splitnn/test_protections.py``): columns are
reconstructed worse from what leaves in training, where scale and bias change with each batch. From
what leaves in evaluation, where they stand still, they are reconstructed as well as without
passports: a regression learns scale and bias with the rest. Labels are read off gradients as well
as without.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.splitnn.architectures.base import Architecture, ColumnsSpec, n_layers
from secureboost.splitnn.architectures.mlp import MLP
from secureboost.splitnn.options import Option, Options, number_option

_PASSPORTS: Mapping[str, Option] = MappingProxyType(
    {"passports": 1, "passport_range": 10.0, "passport_deviation": 5.0}
)


class FedPass(Architecture):
    """A multi-layer perceptron at each end, with a passport layer next to the cut on both sides.

    Options of bottom and top: those of `MLP`, and ``passports`` (how many are averaged over),
    ``passport_range`` (their means lie between minus this and 0), ``passport_deviation``.
    """

    name = "fedpass"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {**MLP.bottom_defaults, **_PASSPORTS}
    )
    top_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {**MLP.top_defaults, **_PASSPORTS}
    )

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make a perceptron that ends in a passport layer; see `Architecture.make_bottom`."""
        options = self.bottom_options(options)
        inner = {name: options[name] for name in MLP.bottom_defaults}
        perceptron = MLP().make_bottom(columns, width, inner, generator)
        return FedPassBottom(perceptron, passport_layer(width, width, options, generator))

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make a perceptron that begins with a passport layer; see `Architecture.make_top`."""
        options = self.top_options(options)
        inner = {name: options[name] for name in MLP.top_defaults}
        width = sum(widths)
        layer = passport_layer(width, width, options, generator)
        return FedPassTop(layer, MLP().make_top([width], n_outputs, inner, generator))


class PassportLayer(nn.Module):
    """A linear layer with scale and bias of passports.

    In training a passport is drawn for each batch; in evaluation it is its mean, so that the same
    row gives the same numbers.

    Parameters
    ----------
    n_inputs, n_outputs : int
    n_passports : int
    reach : float
        Means lie between -`reach` and 0.
    deviation : float
    generator : torch.Generator
        To draw from in `forward`.
    """

    means: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        n_passports: int,
        reach: float,
        deviation: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs, bias=False)
        hidden = max(1, n_outputs // 4)
        self.autoencoder = nn.Sequential(
            nn.Linear(n_outputs, hidden, bias=False),
            nn.LeakyReLU(),
            nn.Linear(hidden, n_outputs, bias=False),
        )
        # of scale and bias; a buffer: it is kept with the weights, and not learnt
        self.register_buffer("means", -reach * torch.rand(2, n_passports, n_inputs))
        self._deviation = deviation
        self._generator = generator

    def forward(self, values: Tensor) -> Tensor:
        """Give (n_rows, n_outputs) of (n_rows, n_inputs)."""
        passports = self.means
        if self.training:
            drawn = torch.empty_like(passports).normal_(generator=self._generator)
            passports = passports + self._deviation * drawn
        scale, bias = self.autoencoder(self.linear(passports)).mean(dim=1)
        out: Tensor = scale * self.linear(values) + bias
        return out


class FedPassBottom(nn.Module):
    """A bottom, and a passport layer over what it gives."""

    def __init__(self, bottom: nn.Module, layer: PassportLayer) -> None:
        super().__init__()
        self.bottom = bottom
        self.layer = layer
        self.fewest_layers = n_layers(bottom) + 1  # the autoencoder is not on the way

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, width)."""
        out: Tensor = self.layer(torch.relu(self.bottom(numbers, codes)))
        return out


class FedPassTop(nn.Module):
    """A passport layer over everything side by side, and a top over what it gives."""

    def __init__(self, layer: PassportLayer, top: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.top = top

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, n_outputs)."""
        out: Tensor = self.top([self.layer(torch.relu(torch.cat(activations, dim=1)))])
        return out


def passport_layer(
    n_inputs: int, n_outputs: int, options: Options, generator: torch.Generator
) -> PassportLayer:
    """Make a layer as the options say.

    Raises
    ------
    secureboost.errors.ConfigError
        If one is out of its limits.
    """
    return PassportLayer(
        n_inputs,
        n_outputs,
        int(number_option(options, "passports", 1, 1000)),
        number_option(options, "passport_range", 0.0, 1e6),
        number_option(options, "passport_deviation", 0.0, 1e6),
        generator,
    )
