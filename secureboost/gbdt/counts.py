"""How many sampled rows a cut leaves on each side, and how many a category has.

Whoever holds the rows counts them: the label party for its own columns and each feature party for
its, so counts never travel. What travels is one bit per cut and side of the missing values, and one
per category.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.columns import ACTIVE


class NodeCounts:
    """Counts one owner's rows by bin, node after node of a tree.

    Parameters
    ----------
    binned : array of shape (n_features, n_rows), uint8
    max_bin : int
        Index of the missing bin.
    min_child_samples : int
        Fewest active rows a child may have.
    categorical : array of shape (n_features,), bool
        Columns of categories.
    min_group : int, or array of shape (n_features,)
        Fewest active rows of a category that may go left; see `group_floors`.
    least : int, or array of shape (n_features,)
        What a row must stand for to count: `columns.ACTIVE` or `columns.WEIGHTED`.
    """

    def __init__(
        self,
        binned: NDArray[np.uint8],
        max_bin: int,
        min_child_samples: int,
        categorical: NDArray[np.bool_],
        min_group: int | NDArray[np.int64],
        least: int | NDArray[np.uint8] = ACTIVE,
    ) -> None:
        self._binned = binned
        self._least = np.broadcast_to(np.asarray(least, dtype=np.uint8), len(categorical)).copy()
        self._max_bin = max_bin
        self._min_child_samples = min_child_samples
        self._categorical = categorical
        self._floors = np.broadcast_to(np.asarray(min_group), len(categorical))
        self._floors_of_groups = np.empty(0, dtype=np.int64)
        self._n_features = 0
        self._groups = np.empty(0, dtype=np.intp)  # the tree's columns of categories
        self._counted = np.empty(0, dtype=np.int32)
        self._standing = np.empty(0, dtype=np.uint8)
        self._kept: dict[int, NDArray[np.int32]] = {}

    def begin_tree(self, standing: NDArray[np.uint8], features: NDArray[np.int32]) -> None:
        """Start a tree over these columns.

        Parameters
        ----------
        standing : array of shape (n_rows,), uint8
            Of each row (`columns.Gradients.standing`); those that stand for less than a column's
            `least` do not count in it.
        features : array, int32
        """
        self._standing = standing
        self._n_features = len(features)
        self._groups = np.flatnonzero(self._categorical[features])
        self._floors_of_groups = self._floors[features[self._groups]]
        self._counted = features if self._min_child_samples > 1 else features[self._groups]
        self._kept = {}

    def allowed(
        self,
        nodes: Sequence[int],
        rows: Sequence[NDArray[np.int32]],
        parents: Sequence[int] | None = None,
    ) -> NDArray[np.bool_] | None:
        """Which cuts leave enough active rows on both sides, and which categories have enough.

        Parameters
        ----------
        nodes : sequence of int
            The root, or siblings next to each other.
        rows : sequence of arrays, int32
            Rows of each node.
        parents : sequence of int, optional
            The node each came from, -1 if none. Where the parent was counted before, only the
            smaller sibling is counted. Without it every node is counted and nothing is kept.

        Returns
        -------
        array of shape (len(nodes), n_tree_features, max_bin, 2), bool, or None
            As in `columns.NodeHistograms`. If `min_child_samples` is 1 every cut is allowed, since
            an empty child has no gain; None if the tree has no categories either.
        """
        if len(self._counted) == 0:
            return None
        if parents is None:
            counts = np.stack([self._count(node_rows) for node_rows in rows])
        else:
            counts = self._count_family(rows, parents)
            for parent in set(parents):
                self._kept.pop(parent, None)
            self._kept.update(zip(map(int, nodes), counts, strict=True))
        if self._min_child_samples > 1:
            allowed = allowed_cuts(counts, self._min_child_samples)
            counts = counts[:, self._groups]
        else:
            allowed = np.ones((len(rows), self._n_features, self._max_bin, 2), dtype=np.bool_)
        enough = counts[..., :-1] >= self._floors_of_groups[:, None]
        allowed[:, self._groups] = enough[..., None]
        return allowed

    def _count_family(
        self, rows: Sequence[NDArray[np.int32]], parents: Sequence[int]
    ) -> NDArray[np.int32]:
        shape = (len(rows), len(self._counted), self._max_bin + 1)
        counts = np.empty(shape, dtype=np.int32)
        node = 0
        while node < len(rows):
            parent = self._kept.get(parents[node])
            if parent is None or node + 1 == len(rows) or parents[node] != parents[node + 1]:
                counts[node] = self._count(rows[node])
                node += 1
                continue
            small, large = (
                (node, node + 1)
                if len(rows[node]) <= len(rows[node + 1])
                else (
                    node + 1,
                    node,
                )
            )
            counts[small] = self._count(rows[small])
            np.subtract(parent, counts[small], out=counts[large])
            node += 2
        return counts

    def _count(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        counts = np.zeros((len(self._counted), self._max_bin + 1), dtype=np.int32)
        least = self._least[self._counted]
        count_bins(self._binned, self._counted, rows, self._standing, least, counts)
        return counts


def group_floors(
    n_bins: NDArray[np.int32], max_cat_to_onehot: int, min_child_samples: int, min_group: int
) -> NDArray[np.int64]:
    """Fewest rows of a category that may go left, for each column.

    Where one category goes left alone, a child's least number of rows is enough; sets of them,
    found by trying many, need more to be believed.

    Parameters
    ----------
    n_bins : array of shape (n_features,), int32
        Categories of each column.
    max_cat_to_onehot : int
        Columns of up to so many are split into one category and the others.
    min_child_samples, min_group : int
    """
    return np.where(n_bins <= max_cat_to_onehot, min_child_samples, min_group).astype(np.int64)


def allowed_cuts(counts: NDArray[np.int32], min_child_samples: int) -> NDArray[np.bool_]:
    """Which cuts leave at least `min_child_samples` rows on both sides.

    Parameters
    ----------
    counts : array of shape (n_nodes, n_features, max_bin + 1), int32
        Rows by bin, the missing bin last.
    min_child_samples : int

    Returns
    -------
    array of shape (n_nodes, n_features, max_bin, 2), bool
        After each bin, with missing values right (0) and left (1).
    """
    left = np.cumsum(counts[..., :-1], axis=-1, dtype=np.int32)
    missing = counts[..., -1:]
    total = left[..., -1:] + missing
    both_sides = np.stack([left, left + missing], axis=-1)
    enough_left: NDArray[np.bool_] = both_sides >= min_child_samples
    return enough_left & (total[..., None] - both_sides >= min_child_samples)


@kernel
def count_bins(
    binned: NDArray[np.uint8],
    features: NDArray[np.int32],
    rows: NDArray[np.int32],
    standing: NDArray[np.uint8],
    least: NDArray[np.uint8],
    counts: NDArray[np.int32],
) -> None:
    """Add the rows that count by bin to `counts`, shape (len(features), max_bin + 1).

    Parameters
    ----------
    binned : array of shape (n_features, n_rows), uint8
    features : array of shape (f,), int32
    rows : array, int32
    standing : array of shape (n_rows,), uint8
    least : array of shape (f,), uint8
        Rows count in a column if they stand for at least this.
    counts : array of shape (f, max_bin + 1), int32
    """
    for f in range(len(features)):
        column = binned[features[f]]
        for row in rows:
            if standing[row] >= least[f]:
                counts[f, column[row]] += 1
