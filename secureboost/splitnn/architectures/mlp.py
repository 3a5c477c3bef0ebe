"""The default: numbers and embeddings of categories through layers of rectified linear units."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.errors import ConfigError
from secureboost.splitnn.architectures.base import Architecture, ColumnsSpec, Dropout
from secureboost.splitnn.options import Option, Options, number_option, sizes_option

MAX_EMBEDDING = 64


class MLP(Architecture):
    """Multi-layer perceptrons at both ends.

    Options of a bottom: ``hidden`` (units of each hidden layer), ``dropout`` (after each),
    ``embedding`` (numbers for a category; 0: by the column's number of categories). Of the top:
    ``hidden``, ``dropout``.
    """

    name = "mlp"
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"hidden": (64, 64), "dropout": 0.0, "embedding": 0}
    )
    top_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType(
        {"hidden": (64,), "dropout": 0.0}
    )

    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make embeddings and hidden layers; see `Architecture.make_bottom`."""
        options = self.bottom_options(options)
        embedding = number_option(options, "embedding", 0, 1024)
        return MLPBottom(
            len(columns.numbers),
            Embeddings(columns.n_codes, None if embedding == 0 else int(embedding)),
            hidden_layers(options),
            width,
            dropout_rate(options),
            generator,
        )

    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make hidden layers over everything side by side; see `Architecture.make_top`."""
        options = self.top_options(options)
        layers = hidden_layers(options)
        return MLPTop(sum(widths), layers, n_outputs, dropout_rate(options), generator)


class Embeddings(nn.Module):
    """A vector for each code of each column, side by side.

    Parameters
    ----------
    n_codes : sequence of int
        Codes of each column.
    size : int, optional
        Length of a vector; by default it grows with the column's number of codes.
    """

    def __init__(self, n_codes: Sequence[int], size: int | None = None) -> None:
        super().__init__()
        sizes = [embedding_size(n) if size is None else size for n in n_codes]
        self.width = sum(sizes)
        self.tables = nn.ModuleList(
            nn.Embedding(n, of_column) for n, of_column in zip(n_codes, sizes, strict=True)
        )

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Look codes of shape (n_rows, n_columns) up; one (n_rows, size) for each column."""
        return [table(codes[:, column]) for column, table in enumerate(self.tables)]


class MLPBottom(nn.Module):
    """Numbers and embedded categories through hidden layers to the cut."""

    def __init__(
        self,
        n_numbers: int,
        embeddings: Embeddings,
        hidden: Sequence[int],
        width: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        n_inputs = n_numbers + embeddings.width
        self.layers = perceptron(n_inputs, hidden, width, dropout, generator)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Give (n_rows, width)."""
        out: Tensor = self.layers(torch.cat([numbers, *self.embeddings(codes)], dim=1))
        return out


class MLPTop(nn.Module):
    """What the bottoms give, side by side, through hidden layers to raw scores."""

    def __init__(
        self,
        n_inputs: int,
        hidden: Sequence[int],
        n_outputs: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        # a bottom ends with a linear layer, so the top begins with a rectifier
        self.layers = nn.Sequential(
            nn.ReLU(), perceptron(n_inputs, hidden, n_outputs, dropout, generator)
        )

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Give (n_rows, n_outputs)."""
        out: Tensor = self.layers(torch.cat(activations, dim=1))
        return out


def perceptron(
    n_inputs: int,
    hidden: Sequence[int],
    n_outputs: int,
    dropout: float,
    generator: torch.Generator,
) -> nn.Sequential:
    """Linear layers with rectifiers (and dropout) between them; the last one is linear."""
    layers: list[nn.Module] = []
    sizes = [n_inputs, *hidden]
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        if dropout:
            layers.append(Dropout(dropout, generator))
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))


def embedding_size(n_codes: int) -> int:
    """Numbers for a category in a column of so many: the usual ``1.6 n^0.56``, at most 64."""
    return min(MAX_EMBEDDING, max(1, math.ceil(1.6 * math.pow(n_codes, 0.56))))


def hidden_layers(options: Options) -> tuple[int, ...]:
    """The option ``hidden``, checked."""
    return sizes_option(options, "hidden", 1, 65_536)


def dropout_rate(options: Options) -> float:
    """The option ``dropout``, checked."""
    rate = number_option(options, "dropout", 0.0, 1.0)
    if rate == 1.0:
        raise ConfigError("is 1.0, which drops everything; it must lie below 1", "dropout")
    return rate
