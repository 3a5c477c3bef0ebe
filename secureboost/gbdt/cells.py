"""The order of histogram cells on the wire, shared by the party that sums and the one that reads.

A cell is one (asked node, feature, bin). Cells run over the asked nodes, within a node over the
tree's features, within a feature over its bins, the missing bin last::

    node 3                                      node 5
    feature 0            feature 4              feature 0            feature 4
    [b0 b1 b2 missing]   [b0 b1 missing]        [b0 b1 b2 missing]   [b0 b1 missing]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True)
class CellLayout:
    """Where the cells of each feature lie within a node's run of cells.

    Attributes
    ----------
    n_bins : array of shape (n_tree_features,), int32
        Bins of each of the tree's features, without the missing bin.
    max_bin : int
        Index of the missing bin in binned values and in dense histograms.
    """

    n_bins: NDArray[np.int32]
    max_bin: int

    @property
    def cells_per_node(self) -> int:
        """Cells of one node over all of the tree's features."""
        return int(self.n_bins.sum()) + len(self.n_bins)

    @property
    def dense_positions(self) -> NDArray[np.int64]:
        """Position of each cell in a flattened ``(n_tree_features, max_bin + 1)`` histogram."""
        runs = [
            np.append(np.arange(bins), self.max_bin) + feature * (self.max_bin + 1)
            for feature, bins in enumerate(self.n_bins)
        ]
        return np.concatenate(runs).astype(np.int64) if runs else np.zeros(0, np.int64)

    def to_dense(self, cells: NDArray[np.int64], n_nodes: int) -> NDArray[np.int64]:
        """Spread cells into histograms as the grower wants them.

        Parameters
        ----------
        cells : array of shape (n_nodes * cells_per_node, 2), int64
        n_nodes : int

        Returns
        -------
        array of shape (n_nodes, n_tree_features, max_bin + 1, 2), int64
        """
        n_features = len(self.n_bins)
        dense = np.zeros((n_nodes, n_features * (self.max_bin + 1), 2), np.int64)
        dense[:, self.dense_positions] = cells.reshape(n_nodes, self.cells_per_node, 2)
        return dense.reshape(n_nodes, n_features, self.max_bin + 1, 2)


def bucket_rows(
    binned: NDArray[np.uint8],
    rows_of_nodes: Sequence[NDArray[np.int32]],
    features: NDArray[np.int32],
    layout: CellLayout,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort the rows of each node by bin, feature by feature.

    Parameters
    ----------
    binned : array of shape (n_features, n_rows), uint8
    rows_of_nodes : sequence of arrays, int32
        The rows whose ciphertexts count, one array per asked node.
    features : array of shape (n_tree_features,), int32
        Rows of `binned` that take part in the tree.
    layout : CellLayout

    Returns
    -------
    rows : array of shape (sum(len(rows_of_nodes)) * n_tree_features,), int64
        The rows of the first cell, then those of the second, and so on.
    starts : array of shape (n_cells + 1,), int64
        Where each cell's rows begin in `rows`.
    """
    total = sum(map(len, rows_of_nodes)) * len(features)
    order = np.empty(total, np.int64)
    starts = np.zeros(len(rows_of_nodes) * layout.cells_per_node + 1, np.int64)
    cell = done = 0
    for rows in rows_of_nodes:
        for feature, bins in zip(features, layout.n_bins, strict=True):
            _counting_sort(
                binned[feature],
                rows,
                int(bins),
                layout.max_bin,
                order[done : done + len(rows)],
                starts[cell : cell + bins + 2],
            )
            starts[cell + 1 : cell + bins + 2] += done
            cell += int(bins) + 1
            done += len(rows)
    return order, starts


@njit(cache=True, nogil=True)
def _counting_sort(
    bins_of_row: NDArray[np.uint8],
    rows: NDArray[np.int32],
    n_bins: int,
    missing_bin: int,
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    """Write `rows` sorted by bin to `order` and where each cell ends to ``ends[1:]``."""
    cursor = np.zeros(n_bins + 2, np.int64)
    for row in rows:
        value = bins_of_row[row]
        cursor[(n_bins if value == missing_bin else value) + 1] += 1
    for cell in range(1, n_bins + 2):
        cursor[cell] += cursor[cell - 1]
        ends[cell] = cursor[cell]
    for row in rows:
        value = bins_of_row[row]
        cell = n_bins if value == missing_bin else value
        order[cursor[cell]] = row
        cursor[cell] += 1
