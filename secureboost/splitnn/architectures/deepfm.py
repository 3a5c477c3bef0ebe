"""DeepFM: a factorisation machine over all parties' columns beside a deep part.

Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", 2017 (arXiv
1703.04247). The machine (Rendle 2010) multiplies every column with every other one::

    w0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j

and the products, those of two parties' columns too, follow from sums over columns::

    sum_{i<j} <v_i, v_j> x_i x_j = 1/2 sum_f ((sum_i v_if x_i)^2 - sum_i (v_if x_i)^2)

A sum over columns is the sum over parties of each party's own. So a party sends, in its part of the
cut, ``[sum of v x (k) | sum of (v x)^2 (k) | sum of w x (1) | deep]``, and the top has the machine
over the joint table without loss: only the order in which numbers are added differs. With the
additions in that order it is equal, bit by bit.

As in the paper, the deep part learns from the same vectors ``v_i x_i``, side by side.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import Architecture, ColumnsSpec
from secureboost.splitnn.architectures.cut import deep_width, one_score, sum_in_order
from secureboost.splitnn.architectures.mlp import MLPTop, dropout_rate, hidden_layers, perceptron
from secureboost.splitnn.architectures.wide_deep import Wide
from secureboost.splitnn.options import Option, Options, number_option

INITIAL_SPREAD = 0.01
"""Standard deviation of the first factors: small, since products of many are added up."""


class DeepFM(Architecture):
    """A factorisation machine over all columns, and layers over each party's own.

    Options of a bottom: ``factors`` (k; the same at all ends), ``hidden``, ``dropout``. Of the top:
    ``factors``, ``hidden``, ``dropout``. The deep part has the asked width; the machine needs
    ``2 k + 1`` numbers besides.
    """

    name = "deepfm"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"factors": 8, "hidden": (64, 64), "dropout": 0.0}
    )
    top_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"factors": 8, "hidden": (64,), "dropout": 0.0}
    )

    def check_options(self, bottom: Options, top: Options, n_outputs: int = 1) -> None:
        """Besides, the factors of bottoms and top must be as many."""
        below, above = n_factors(self.bottom_options(bottom)), n_factors(self.top_options(top))
        if below != above:
            raise ConfigError(
                f"is {below} in the bottoms and {above} in the top of 'deepfm'; set both alike",
                "factors",
            )
        super().check_options(bottom, top, n_outputs)

    def cut_width(self, width: int, options: Options) -> int:
        """The deep part, both sums and the linear part."""
        return width + machine_width(n_factors(self.bottom_options(options)))

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the party's share of the machine and its deep part; see `Architecture`."""
        options = self.bottom_options(options)
        factors = n_factors(options)
        n_numbers, n_codes = len(columns.numbers), columns.n_codes
        return DeepFMBottom(
            Wide(n_numbers, n_codes),
            Factors(n_numbers, n_codes, factors),
            perceptron(
                (n_numbers + len(n_codes)) * factors,
                hidden_layers(options),
                deep_width(self.name, width, machine_width(factors)),
                dropout_rate(options),
                generator,
            ),
        )

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the machine, and layers over the deep parts; see `Architecture`."""
        options = self.top_options(options)
        one_score(self.name, n_outputs)
        factors = n_factors(options)
        deep = sum(deep_width(self.name, width, machine_width(factors)) for width in widths)
        layers = MLPTop(deep, hidden_layers(options), 1, dropout_rate(options), generator)
        return DeepFMTop(factors, layers)


class Factors(nn.Module):
    """A vector of factors for each column of numbers and each category, times its value.

    Parameters
    ----------
    n_numbers : int
    n_codes : sequence of int
        Codes of each column of categories. The vectors of code 0, which may never come up in
        training, begin at 0.
    size : int
        Factors of a vector.
    """

    def __init__(self, n_numbers: int, n_codes: Sequence[int], size: int) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.randn(n_numbers, size) * INITIAL_SPREAD)
        self.tables = nn.ModuleList(
            nn.Embedding(n, size, _weight=_rare_first(torch.randn(n, size) * INITIAL_SPREAD))
            for n in n_codes
        )

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give ``v_i x_i`` of each column, shape (n_rows, n_numbers + n_categories, size)."""
        of_numbers = numbers[:, :, None] * self.numbers
        looked_up = [table(codes[:, column])[:, None] for column, table in enumerate(self.tables)]
        return torch.cat([of_numbers, *looked_up], dim=1)


class DeepFMBottom(nn.Module):
    """A party's share: ``[sum of v x | sum of (v x)^2 | sum of w x | deep]``."""

    fewest_layers = 1  # each of the sums

    def __init__(self, linear: Wide, factors: Factors, deep: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.factors = factors
        self.deep = deep

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, 2 k + 1 + deep)."""
        terms = self.factors(numbers, codes)
        parts = [
            terms.sum(dim=1),
            terms.square().sum(dim=1),
            self.linear(numbers, codes),
            self.deep(terms.flatten(start_dim=1)),
        ]
        return torch.cat(parts, dim=1)


class DeepFMTop(nn.Module):
    """The machine of all parties' sums, and layers over their deep parts, added up."""

    def __init__(self, factors: int, deep: nn.Module) -> None:
        super().__init__()
        self._factors = factors
        self.deep = deep

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, 1)."""
        k = self._factors
        products = interaction(
            [part[:, :k] for part in activations], [part[:, k : 2 * k] for part in activations]
        )
        linear = sum_in_order([part[:, 2 * k : 2 * k + 1] for part in activations])
        deep: Tensor = self.deep([part[:, 2 * k + 1 :] for part in activations])
        return products + linear + deep


def interaction(sums: Sequence[Tensor], squares: Sequence[Tensor]) -> Tensor:
    """Products of all pairs of columns, of one party and of two.

    Parameters
    ----------
    sums, squares : sequence of tensors of shape (n_rows, k)
        Each party's sums of ``v x`` and of ``(v x)^2`` over its columns.

    Returns
    -------
    tensor of shape (n_rows, 1)
        ``1/2 sum_f ((sum over parties of sums)^2 - sum over parties of squares)``.
    """
    of_factors = sum_in_order(sums).square() - sum_in_order(squares)
    return 0.5 * of_factors.sum(dim=1, keepdim=True)


def n_factors(options: Options) -> int:
    """The option ``factors``, checked."""
    return int(number_option(options, "factors", 1, 1024))


def machine_width(factors: int) -> int:
    """Numbers of a party's vector besides the deep part."""
    return 2 * factors + 1


def _rare_first(vectors: Tensor) -> Tensor:
    """The same vectors, but that of code 0 is 0."""
    vectors[0] = 0.0
    return vectors
