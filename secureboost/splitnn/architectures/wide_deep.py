"""Wide & Deep: a linear model that remembers beside a deep one that generalises.

Cheng et al., "Wide & Deep Learning for Recommender Systems", 2016 (arXiv 1606.07792), equation 3:
``P(y = 1 | x) = sigmoid(w_wide . [x, phi(x)] + w_deep . a + b)``, where ``phi`` are products of
categories. A linear model is a sum over columns, so each party adds up its own share: its part of
the cut is ``[wide (1) | deep]``, and the top adds up the shares. Only products of columns of two
parties are out of reach: nobody has both columns.

The paper learns the wide part by FTRL; here a whole network has one optimiser.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import Architecture, ColumnsError, ColumnsSpec
from secureboost.splitnn.architectures.cut import deep_width, one_score, sum_in_order
from secureboost.splitnn.architectures.mlp import MLP
from secureboost.splitnn.architectures.names import names_option, position_of
from secureboost.splitnn.options import Option, Options

MAX_CELLS = 1 << 20
"""Most combinations in one product of columns; each has a weight."""

_DEEP = MLP()


class WideDeep(Architecture):
    """A linear part and a multi-layer perceptron at each party.

    Options of a bottom: those of `MLP`, and ``crosses``: products of columns of categories, such as
    ``"job*marital, job*housing"``. Of the top: those of `MLP`. The deep part has the asked width;
    the wide part is one number more.
    """

    name = "wide_deep"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {**MLP.bottom_defaults, "crosses": ""}
    )
    top_defaults: ClassVar[Mapping[str, Option]] = MLP.top_defaults

    def cut_width(self, width: int, options: Options) -> int:
        """The deep part and one number."""
        return width + 1

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make both parts; see `Architecture.make_bottom`."""
        options = self.bottom_options(options)
        deep = {name: options[name] for name in MLP.bottom_defaults}
        return WideDeepBottom(
            Wide(len(columns.numbers), columns.n_codes, find_crosses(options, columns)),
            MLP().make_bottom(columns, deep_width(self.name, width, 1), deep, generator),
        )

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make the sum of the wide parts, and layers over the deep ones."""
        one_score(self.name, n_outputs)
        deep = [deep_width(self.name, width, 1) for width in widths]
        return WideDeepTop(MLP().make_top(deep, 1, self.top_options(options), generator))


class Wide(nn.Module):
    """A weighted sum of numbers, of categories, and of combinations of categories.

    All weights begin at 0, so what training never shows (a category, a combination) counts nothing.

    Parameters
    ----------
    n_numbers : int
    n_codes : sequence of int
        Codes of each column of categories.
    crosses : sequence of sequence of int
        For each product the positions of its columns of categories.
    """

    def __init__(
        self, n_numbers: int, n_codes: Sequence[int], crosses: Sequence[Sequence[int]] = ()
    ) -> None:
        super().__init__()
        self._crosses = crosses
        self._n_codes = n_codes
        cells = [*n_codes, *(math.prod(n_codes[column] for column in cross) for cross in crosses)]
        self.numbers = nn.Parameter(torch.zeros(n_numbers))
        self.tables = nn.ModuleList(nn.Embedding(n, 1, _weight=torch.zeros(n, 1)) for n in cells)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, 1)."""
        combined = [self._combination(codes, cross) for cross in self._crosses]
        cells = [*codes.unbind(1), *combined]
        total = (numbers @ self.numbers)[:, None]
        for table, of_rows in zip(self.tables, cells, strict=True):
            total = total + table(of_rows)
        return total

    def _combination(self, codes: Tensor, cross: Sequence[int]) -> Tensor:
        """Number the combination of codes in each row: digits of a number with mixed bases."""
        cell = codes[:, cross[0]]
        for column in cross[1:]:
            cell = cell * self._n_codes[column] + codes[:, column]
        return cell


class WideDeepBottom(nn.Module):
    """A party's share of the linear part, then its deep part."""

    fewest_layers = 1  # the linear part

    def __init__(self, wide: Wide, deep: nn.Module) -> None:
        super().__init__()
        self.wide = wide
        self.deep = deep

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, 1 + deep)."""
        return torch.cat([self.wide(numbers, codes), self.deep(numbers, codes)], dim=1)


class WideDeepTop(nn.Module):
    """The shares of the linear part, and what comes of the deep parts, added up."""

    def __init__(self, deep: nn.Module) -> None:
        super().__init__()
        self.deep = deep

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, 1)."""
        wide = sum_in_order([part[:, :1] for part in activations])
        deep: Tensor = self.deep([part[:, 1:] for part in activations])
        return wide + deep


def find_crosses(options: Options, columns: ColumnsSpec) -> list[list[int]]:
    """Positions of the columns of each product in the option ``crosses``.

    Raises
    ------
    secureboost.errors.ConfigError
        If a product has one column, or one twice.
    ColumnsError
        If one is not of categories here, or a product has too many combinations.
    """
    crosses = []
    for text in names_option(options, "crosses"):
        names = [name.strip() for name in text.split("*")]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(
                f"has {text!r}; a product has two or more different columns, as in 'a*b'", "crosses"
            )
        kind = "column of categories"
        cross = [position_of(name, columns.categories, "crosses", kind) for name in names]
        cells = math.prod(columns.n_codes[column] for column in cross)
        if cells > MAX_CELLS:
            raise ColumnsError(
                f"has {text!r} with {cells:,} combinations, and a product at most {MAX_CELLS:,}. "
                "Leave it out, or make categories fewer.",
                "crosses",
            )
        crosses.append(cross)
    return crosses
