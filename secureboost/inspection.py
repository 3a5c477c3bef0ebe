"""A model as a person reads it: trees, importances, settings.

Splits of the label party's own columns are readable. A partner's split is known by its number
alone, unless the partner's half is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secureboost.errors import ModelError
from secureboost.gbdt.joined import check_party_half
from secureboost.gbdt.model import LabelHalf, PartnerSplit, PartyHalf, TreeArrays

_SHOWN_CATEGORIES = 6


@dataclass(frozen=True)
class NodeView:
    """A node of a tree.

    Attributes
    ----------
    node : int
        Its number; the root is 0.
    party : str
        Whose column divides it; empty for the label party's own, and for a leaf.
    column : str or None
        Unknown of a partner whose half is not given.
    split : int or None
        The partner's number of the split.
    threshold : float or None
        Values at most this go left; with neither threshold nor categories every value goes left,
        and missing ones right.
    categories : tuple of str, or None
        Go left.
    missing_left : bool or None
        Where missing values go, and categories that training did not see.
    gain : float or None
        Of the split. The label party keeps none of a partner's: it would tell splits by the same
        column apart.
    cover : float
        Sum of hessians of the node's rows.
    values : tuple of float
        Of a leaf: what it adds to the raw scores of the tree's outputs.
    left, right : int
        Nodes; -1 for a leaf.
    """

    node: int
    party: str
    column: str | None
    split: int | None
    threshold: float | None
    categories: tuple[str, ...] | None
    missing_left: bool | None
    gain: float | None
    cover: float
    values: tuple[float, ...]
    left: int
    right: int

    @property
    def is_leaf(self) -> bool:
        """Whether it has no children."""
        return self.left < 0

    def question(self) -> str:
        """What is asked here; rows of which it is true go left."""
        whose = f"{self.party}: " if self.party else ""
        if self.column is None:
            return f"{whose}split {self.split}"
        if self.categories is not None:
            return f"{whose}{self.column} in {{{_some(self.categories)}}}"
        if self.threshold is None:
            return f"{whose}{self.column} is known"
        return f"{whose}{self.column} <= {number_text(self.threshold)}"


@dataclass(frozen=True)
class TreeView:
    """A tree.

    Attributes
    ----------
    number, round : int
    output : str
        The class that it adds to; empty if there is one output, or it adds to all.
    nodes : tuple of NodeView
    """

    number: int
    round: int
    output: str
    nodes: tuple[NodeView, ...]


@dataclass(frozen=True)
class Importance:
    """How much a column matters.

    Attributes
    ----------
    column : str
        A partner's is ``party/number`` unless its half is given.
    splits : int
    total_gain : float
    share : float
        Of the gain of the whole model.
    """

    column: str
    splits: int
    total_gain: float
    share: float


class ModelView:
    """A label half, and the halves of partners as far as they are given.

    Parameters
    ----------
    half : LabelHalf
    party_halves : sequence of PartyHalf

    Raises
    ------
    secureboost.errors.ModelError
        If a half is not one of this model's.
    """

    def __init__(self, half: LabelHalf, party_halves: Sequence[PartyHalf] = ()) -> None:
        self.half = half
        partners = {partner.name: partner for partner in half.partners}
        self._halves: dict[str, PartyHalf] = {}
        for given in party_halves:
            if given.party not in partners:
                raise ModelError(
                    f"A half of party {given.party!r} was given; the model's parties are: "
                    f"{', '.join(partners) or 'none'}."
                )
            check_party_half(half, partners[given.party], given)
            self._halves[given.party] = given

    @property
    def readable(self) -> tuple[str, ...]:
        """Partners whose splits can be read."""
        return tuple(self._halves)

    @property
    def trees_a_round(self) -> int:
        """Trees of a round: one, or one for each output."""
        trees = self.half.trees
        return len(self.half.base_score) if trees and trees[0].output >= 0 else 1

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs where there are several."""
        if len(self.half.base_score) == 1:
            return ()
        return tuple(map(str, self.half.classes))

    def tree(self, number: int) -> TreeView:
        """One tree.

        Raises
        ------
        secureboost.errors.ModelError
            If there is none of that number.
        """
        trees = self.half.trees
        if not 0 <= number < len(trees):
            raise ModelError(f"There is no tree {number}; they are 0 to {len(trees) - 1}.")
        arrays = trees[number]
        output = self.outputs[arrays.output] if self.outputs and arrays.output >= 0 else ""
        nodes = tuple(self._node(arrays, node) for node in range(len(arrays.owner)))
        return TreeView(number, number // self.trees_a_round, output, nodes)

    def importances(self) -> list[Importance]:
        """The columns that were split by, the one with the most gain first."""
        half = self.half
        found = list(zip(half.feature_names, half.split_counts, half.gains, strict=True))
        for partner in half.partners:
            given = self._halves.get(partner.name)
            names = [
                f"{partner.name}/{i}" if given is None else f"{partner.name}: {name}"
                for i, name in enumerate(
                    range(partner.n_features) if given is None else given.feature_names
                )
            ]
            found += list(zip(names, partner.split_counts, partner.gains, strict=True))
        total = sum(gain for _, _, gain in found) or 1.0
        used = [Importance(name, n, gain, gain / total) for name, n, gain in found if n]
        return sorted(used, key=lambda one: -one.total_gain)

    def constraints(self) -> dict[str, Any]:
        """Parameters that restrict trees, where they are set."""
        neutral = {
            "monotone_constraints": None,
            "interaction_constraints": None,
            "label_party_trees": 0,
            "max_shared_purity": 1.0,
        }
        given = self.half.parameters
        return {
            name: given[name]
            for name, unset in neutral.items()
            if given.get(name) not in (unset, None, {}, [])
        }

    def changed_parameters(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters that differ from `defaults`, without those of `constraints`."""
        shown = self.constraints()
        return {
            name: value
            for name, value in self.half.parameters.items()
            if name not in shown and value != defaults.get(name)
        }

    def _node(self, tree: TreeArrays, node: int) -> NodeView:
        owner = tree.owner[node]
        n_values = len(tree.value) // len(tree.owner)
        leaf = owner < 0
        party = "" if owner < 1 else self.half.partners[owner - 1].name
        split = self._split(tree, node)
        column = categories = None
        if split is not None:
            half = self.half if owner == 0 else self._halves[party]
            column = half.feature_names[split.feature]
            names = half.categories[split.feature]
            if split.codes is not None and names is not None:
                categories = tuple(names[code] for code in split.codes)
        return NodeView(
            node=node,
            party=party,
            column=column,
            split=tree.split[node] if owner > 0 else None,
            threshold=None if split is None else split.threshold,
            categories=categories,
            missing_left=None if split is None else split.missing_left,
            gain=None if owner > 0 else tree.gain[node],
            cover=tree.cover[node],
            values=tree.value[node * n_values : (node + 1) * n_values] if leaf else (),
            left=tree.left[node],
            right=tree.right[node],
        )

    def _split(self, tree: TreeArrays, node: int) -> PartnerSplit | None:
        """What a node's split is, if that is known here."""
        owner = tree.owner[node]
        if owner == 0:
            return PartnerSplit(
                feature=tree.split[node],
                bin=tree.bin[node],
                threshold=tree.threshold[node],
                codes=tree.codes[node],
                missing_left=tree.missing_left[node],
            )
        half = self._halves.get(self.half.partners[owner - 1].name) if owner > 0 else None
        return None if half is None else half.splits[tree.split[node]]


def number_text(value: float) -> str:
    """A threshold in as few digits as name its 32-bit float."""
    single = np.float32(value)
    if single == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(single, trim="-")
    return np.format_float_scientific(single, trim="-")


def _some(categories: Sequence[str]) -> str:
    shown = ", ".join(categories[:_SHOWN_CATEGORIES])
    more = len(categories) - _SHOWN_CATEGORIES
    return f"{shown} and {more} more" if more > 0 else shown
