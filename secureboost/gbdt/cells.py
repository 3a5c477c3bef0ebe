"""The order of histogram cells on the wire, shared by the party that sums and the one that reads.

A cell is one (asked node, feature, bin). Cells run over the asked nodes, within a node over the
tree's features, within a feature over its bins, the missing bin last::

    node 3                                      node 5
    feature 0            feature 4              feature 0            feature 4
    [b0 b1 b2 missing]   [b0 b1 missing]        [b0 b1 b2 missing]   [b0 b1 missing]
"""

from dataclasses import dataclass

import numpy as np
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
        cells : array of shape (n_nodes * cells_per_node, n_sums), int64
        n_nodes : int

        Returns
        -------
        array of shape (n_nodes, n_tree_features, max_bin + 1, n_sums), int64
        """
        n_features = len(self.n_bins)
        n_sums = cells.shape[1]
        dense = np.zeros((n_nodes, n_features * (self.max_bin + 1), n_sums), np.int64)
        dense[:, self.dense_positions] = cells.reshape(n_nodes, self.cells_per_node, n_sums)
        return dense.reshape(n_nodes, n_features, self.max_bin + 1, n_sums)
