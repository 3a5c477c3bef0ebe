"""Tables as this trainer sees them: columns, and what a feature party shares with all trainers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secureboost.agreed_rows import KeptTable
from secureboost.dictionary import Categories


class Columns(Protocol):
    """A party's columns.

    Attributes
    ----------
    feature_names : tuple of str
    columns : array of shape (n_features, n_rows), float32
        NaN is missing; columns of categories hold codes.
    categories : Categories
        For each column of categories the names of its codes; None for a column of numbers.
    """

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    @property
    def columns(self) -> NDArray[np.float32]:
        """Their values."""
        ...

    @property
    def categories(self) -> Categories:
        """Their categories."""
        ...


@dataclass(frozen=True, repr=False)
class ColumnTable:
    """Columns of the label party, or of a party in pooled training; see `Columns`."""

    feature_names: tuple[str, ...]
    columns: NDArray[np.float32]
    categories: Categories

    def pick(self, features: Sequence[int]) -> "ColumnTable":
        """Some of the columns, without a copy where they lie side by side."""
        chosen: Any = list(features)
        if chosen and chosen == list(range(chosen[0], chosen[-1] + 1)):
            chosen = slice(chosen[0], chosen[-1] + 1)
        return ColumnTable(
            tuple(self.feature_names[feature] for feature in features),
            self.columns[chosen],
            tuple(self.categories[feature] for feature in features),
        )


class PartyTable(Columns, KeptTable, Protocol):
    """A feature party's table, as all trainers share it.

    Attributes
    ----------
    party : str
    terms : mapping of str to object
        What the party brings for a trainer besides, by the trainer's name.
    """

    @property
    def party(self) -> str:
        """The party's name."""
        ...

    @property
    def terms(self) -> Mapping[str, Any]:
        """Of other trainers too."""
        ...
