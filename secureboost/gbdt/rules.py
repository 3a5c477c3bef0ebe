"""Which columns a node may be split by, beyond what the tree has drawn.

Four things narrow the tree's columns: the draws for the node's level and for the node
(`colsample_bylevel`, `colsample_bynode`), interaction constraints, and protection: the first
`label_party_trees` trees and nodes purer than `max_shared_purity` belong to the label party alone.
All of it is decided by the label party, so a feature party computes the same histograms either way
or is not asked at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.sampling import draw_columns


@dataclass(frozen=True, repr=False)
class Rules:
    """What restricts the columns of a model. Columns are numbered with all sources side by side.

    Attributes
    ----------
    own : array of shape (n_columns,), bool
        The label party's columns. In pooled training those that would be its own.
    interactions : tuple of frozenset of int
        Groups of columns that may occur together on a path; empty, no constraint. As in XGBoost a
        column outside all groups may stand alone on a path.
    classes : array of shape (n_rows,), int32, or None
        Class of each training row of positive weight and -1 for the others; None where the purity
        of nodes does not matter.
    """

    own: NDArray[np.bool_]
    interactions: tuple[frozenset[int], ...] = ()
    classes: NDArray[np.int32] | None = None

    def purity(self, rows: NDArray[np.int32]) -> float:
        """Share of the most frequent class among these rows; 1 without training rows."""
        if self.classes is None:
            raise ValueError("the purity of nodes needs the rows' classes")
        classes = self.classes[rows]
        counts = np.bincount(classes[classes >= 0])
        return float(counts.max() / counts.sum()) if counts.any() else 1.0


class TreeRules:
    """The columns of the nodes of one tree.

    Parameters
    ----------
    rules : Rules
    params : BoosterParams
    columns : array of shape (f,), int64
        The tree's columns.
    draws : Generator
        Of the round.
    """

    def __init__(
        self,
        rules: Rules,
        params: BoosterParams,
        columns: NDArray[np.int64],
        draws: np.random.Generator,
    ) -> None:
        self._rules = rules
        self._params = params
        self._columns = columns
        self._own = rules.own[columns]
        self._draws = draws
        self._of_level: dict[int, NDArray[np.int64]] = {}

    def candidates(
        self, depths: Sequence[int], paths: Sequence[frozenset[int]], withheld: Sequence[bool]
    ) -> NDArray[np.bool_] | None:
        """Which of the tree's columns may split each node.

        Parameters
        ----------
        depths : sequence of int
            Of each node.
        paths : sequence of frozenset of int
            Columns that split the nodes above it.
        withheld : sequence of bool
            The node is the label party's alone.

        Returns
        -------
        array of shape (n_nodes, f), bool, or None
            None: all of them, everywhere.
        """
        params = self._params
        sampled = params.colsample_bylevel < 1.0 or params.colsample_bynode < 1.0
        if not (sampled or self._rules.interactions or any(withheld)):
            return None
        mask = np.ones((len(depths), len(self._columns)), dtype=np.bool_)
        for node, (depth, path) in enumerate(zip(depths, paths, strict=True)):
            if sampled:
                mask[node] = np.isin(np.arange(len(self._columns)), self._draw(depth))
            if self._rules.interactions and path:
                mask[node] &= np.isin(self._columns, sorted(self._together(path)))
            if withheld[node]:
                mask[node] &= self._own
        return mask

    def _draw(self, depth: int) -> NDArray[np.int64]:
        """Positions among the tree's columns: those of the level are drawn once."""
        if depth not in self._of_level:
            everything = np.arange(len(self._columns))
            self._of_level[depth] = draw_columns(
                self._draws, everything, self._params.colsample_bylevel
            )
        return draw_columns(self._draws, self._of_level[depth], self._params.colsample_bynode)

    def _together(self, path: frozenset[int]) -> frozenset[int]:
        """Columns that may join these on a path."""
        return path.union(*(group for group in self._rules.interactions if path <= group))
