"""A model whose halves are all in one place: what an export is made from and checked against."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import ModelError
from secureboost.gbdt.feature_routes import sides_of_rows
from secureboost.gbdt.halves import make_ensemble
from secureboost.gbdt.joined import halves_of, own_split
from secureboost.gbdt.model import LabelHalf, PartnerSplit, PartyHalf, TreeArrays
from secureboost.gbdt.tree import Ensemble, Tree

_NOT_IN_XGBOOST = re.compile(r"[\[\]<]")  # its feature names must not hold these


@dataclass(frozen=True)
class Column:
    """A column of an exported model.

    Attributes
    ----------
    name : str
        In the file: an own column's name, a partner's as ``bureau.income``.
    party : str
        Its owner; empty for the label party.
    column : str
        What its owner calls it.
    categories : tuple of str, or None
        The names of its codes; None for a column of numbers.
    """

    name: str
    party: str
    column: str
    categories: tuple[str, ...] | None


@dataclass(frozen=True, repr=False)
class Whole:
    """The label party's half with those of all partners.

    Attributes
    ----------
    label : LabelHalf
    halves : tuple of PartyHalf
        In the order of ``label.partners``.

    Raises
    ------
    secureboost.errors.ModelError
        If a partner's half is absent or does not belong to the label party's, or the last round is
        not complete.
    """

    label: LabelHalf
    halves: tuple[PartyHalf, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "halves", tuple(halves_of(self.label, self.halves)))
        if len(self.label.trees) % self.ensemble.trees_per_round:
            raise ModelError("The model's last round is not complete, so it cannot be taken out.")

    @cached_property
    def ensemble(self) -> Ensemble:
        """What predicts."""
        return make_ensemble(self.label)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Own columns, then each partner's; their names differ and suit XGBoost."""
        taken: set[str] = set()
        own = zip(self.label.feature_names, self.label.categories, strict=True)
        columns = [Column(_free_name(name, taken), "", name, names) for name, names in own]
        for half in self.halves:
            columns += [
                Column(_free_name(f"{half.party}.{name}", taken), half.party, name, names)
                for name, names in zip(half.feature_names, half.categories, strict=True)
            ]
        return tuple(columns)

    def splits(self, tree: TreeArrays) -> Iterator[tuple[int, int, PartnerSplit]]:
        """Node, column (a position in `columns`) and split of a tree's inner nodes."""
        names = [self.label.feature_names, *(half.feature_names for half in self.halves)]
        first = np.cumsum([0, *map(len, names)])
        for node, owner in enumerate(tree.owner):
            if owner >= 0:
                split = (
                    self.halves[owner - 1].splits[tree.split[node]]
                    if owner
                    else own_split(tree, node)
                )
                yield node, int(first[owner]) + split.feature, split

    def raw_scores(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of rows, by the code that predicts.

        Parameters
        ----------
        values : array of shape (n_rows, n_columns), float32
            NaN is missing; categories are codes, those that the model does not know are NaN.

        Returns
        -------
        array of shape (n_rows, n_outputs), float64
        """
        scores = self.ensemble.raw_scores(*self._tables(values))
        return scores.reshape(len(values), self.ensemble.n_outputs)

    def leaves(self, values: NDArray[np.float32]) -> NDArray[np.int32]:
        """The leaf that each row reaches in each round, by the code that predicts.

        Parameters
        ----------
        values
            See `raw_scores`.

        Returns
        -------
        array of shape (n_rows, n_rounds, n_outputs), int32
            Node numbers. A tree with several outputs stands there for each of them.
        """
        numbered = replace(
            self.ensemble,
            trees=tuple(map(_with_node_numbers, self.ensemble.trees)),
            base_score=(0.0,) * self.ensemble.n_outputs,
        )
        shape = (numbered.n_rounds + 1, len(values), numbered.n_outputs)
        sums = np.zeros(shape, np.float64)  # of whole numbers, so exact
        for number, scores in enumerate(numbered.staged_raw_scores(*self._tables(values)), start=1):
            sums[number] = scores.reshape(shape[1:])
        return np.diff(sums, axis=0).transpose(1, 0, 2).astype(np.int32)

    def _tables(
        self, values: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8] | None]:
        """Own columns, and the sides that the partners would answer with."""
        own = values[:, : len(self.label.feature_names)]
        rows = np.arange(len(values), dtype=np.int32)
        first, sides = own.shape[1], []
        for half in self.halves:
            behind = first + len(half.feature_names)
            columns = np.ascontiguousarray(values[:, first:behind].T)
            sides.append(sides_of_rows(half.splits, columns, rows, same_codes(half)))
            first = behind
        return own, np.concatenate(sides) if sides else None


def same_codes(half: PartyHalf) -> list[NDArray[np.int32] | None]:
    """Lookups for `sides_of_rows` of a table whose codes are the model's own."""
    return [
        None if names is None else np.arange(len(names), dtype=np.int32)
        for names in half.categories
    ]


def _with_node_numbers(tree: Tree) -> Tree:
    numbered = tree.copy()
    numbers = np.arange(len(tree), dtype=np.float64)
    numbered["value"] = numbers.reshape(-1, *[1] * (numbered["value"].ndim - 1))
    return numbered


def _free_name(name: str, taken: set[str]) -> str:
    """A name that XGBoost takes and that is not taken; it is then."""
    wanted = free = _NOT_IN_XGBOOST.sub("_", name)
    number = 1
    while free in taken:
        number += 1
        free = f"{wanted}_{number}"
    taken.add(free)
    return free
