"""What a kind of network is: bottoms over columns, a top over what the bottoms give.

`make_bottom` and `make_top` are called while torch's global generator stands at the party's own
seed (`randomness.seeded`), so ordinary initialisation of layers is the same wherever it runs.
What draws later, in `forward`, must draw from the `generator` it was given (`Dropout` does): the
trainer sets that one at the start of every epoch, so that a run that goes on draws the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from secureboost.errors import ConfigError
from secureboost.splitnn.options import Option, Options, read_options


def missing_name(column: str) -> str:
    """Name of the number that says where a column of numbers has gaps."""
    return f"{column} is missing"


@dataclass(frozen=True)
class ColumnsSpec:
    """What a bottom is fed with: a party's columns as tensors.

    Attributes
    ----------
    numbers : tuple of str
        Name of each number of a row: the columns of numbers, then `missing_name` of those that have
        missing values among the training rows.
    categories : tuple of str
        Names of the columns of categories.
    n_codes : tuple of int
        For each of `categories` its number of codes. Code 0 is a missing value or a category that
        the training rows do not have.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    n_codes: tuple[int, ...]


class ColumnsError(ConfigError):
    """An option does not fit a party's columns. The text tells of them: it is for their owner."""


class Architecture(ABC):
    """A kind of network.

    Attributes
    ----------
    name : str
    bottom_defaults, top_defaults : mapping of str to option
        The options that it knows, with their defaults; the type of a default is the option's type.
        Each party may choose its own for its bottom.
    """

    name: str
    bottom_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType({})
    top_defaults: ClassVar[Mapping[str, Option]] = MappingProxyType({})

    def bottom_options(self, options: Options) -> dict[str, Option]:
        """All options of a bottom; ConfigError for unknown ones and for wrong types."""
        return read_options(options, self.bottom_defaults, f"bottom of {self.name!r}")

    def top_options(self, options: Options) -> dict[str, Option]:
        """All options of the top; ConfigError for unknown ones and for wrong types."""
        return read_options(options, self.top_defaults, f"top of {self.name!r}")

    def check_options(self, bottom: Options, top: Options, n_outputs: int = 1) -> None:
        """Check the options of bottoms and top as far as that can be done without columns.

        Raises
        ------
        secureboost.errors.ConfigError
        """
        self.check_bottom(bottom)
        with torch.device("meta"):  # nothing is allocated, however large
            self.make_top([self.cut_width(1, bottom)], n_outputs, top, torch.Generator())

    def check_bottom(self, options: Options) -> None:
        """Check the options of a bottom as far as that can be done without columns.

        Raises
        ------
        secureboost.errors.ConfigError
        """
        columns, width = ColumnsSpec(("x",), (), ()), self.cut_width(1, options)
        with torch.device("meta"), suppress(ColumnsError):
            self.make_bottom(columns, width, options, torch.Generator())

    def cut_width(self, width: int, options: Options) -> int:
        """Numbers that a bottom gives for a row; `width` itself, unless its parts have meanings."""
        return width

    def own_width(self, columns: ColumnsSpec, width: int, options: Options) -> int:
        """Numbers that the label party's own bottom gives: those that are wanted, if it can."""
        return width

    @abstractmethod
    def make_bottom(
        self, columns: ColumnsSpec, width: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make a network ``(numbers, codes) -> (n_rows, width)``.

        Parameters
        ----------
        columns : ColumnsSpec
        width : int
            What `cut_width` said.
        options : mapping of str to option
        generator : torch.Generator
            To draw from in `forward`.

        Returns
        -------
        torch.nn.Module
            Its `forward` takes ``numbers``, a float tensor of shape (n_rows, n_numbers), and
            ``codes``, an int64 tensor of shape (n_rows, n_categories).

        Raises
        ------
        secureboost.errors.ConfigError
            If an option is out of its limits; `ColumnsError` if it does not fit the columns.
        """

    @abstractmethod
    def make_top(
        self, widths: Sequence[int], n_outputs: int, options: Options, generator: torch.Generator
    ) -> nn.Module:
        """Make a network ``list of (n_rows, width) -> (n_rows, n_outputs)``.

        Parameters
        ----------
        widths : sequence of int
            Of each bottom, in the order of the parties; the label party's own first, if it has
            columns.
        n_outputs : int
            Raw scores of a row.
        options : mapping of str to option
        generator : torch.Generator
            To draw from in `forward`.
        """


class Dropout(nn.Module):
    """Dropout that draws from a given generator; `torch.nn.Dropout` draws from the global one.

    Parameters
    ----------
    rate : float
        Share of the numbers that become 0 in training; the others are divided by ``1 - rate``.
    generator : torch.Generator
    """

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.rate = rate
        self._generator = generator

    def forward(self, values: Tensor) -> Tensor:
        """Drop numbers in training; in evaluation do nothing."""
        if not self.training or self.rate == 0.0:
            return values
        kept = torch.empty_like(values).bernoulli_(1.0 - self.rate, generator=self._generator)
        return values * kept / (1.0 - self.rate)


def n_layers(module: nn.Module) -> int:
    """How many layers with weights lie between a column and the cut; embeddings do not count.

    All that are found, one after the other; a module with a shorter way says so: its attribute
    ``fewest_layers`` counts.
    """
    fewest = getattr(module, "fewest_layers", None)
    if isinstance(fewest, int):
        return fewest
    return sum(
        any(parameter.ndim >= 2 for parameter in part.parameters(recurse=False))
        and not isinstance(part, nn.Embedding | nn.EmbeddingBag)
        for part in module.modules()
    )
