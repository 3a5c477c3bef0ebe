"""What a feature party knows of the tree that is being grown, and what it therefore can check.

It sees the rows of every node it is asked about. So it can hold the label party to its word: nodes
part an earlier node completely, or are a side of a split it made itself, and neither they nor what
could be had by subtraction is below the floor that both agreed on.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal, SessionCode
from secureboost.compiling import kernel
from secureboost.gbdt.protocol import NO_NODE, Code


class FeatureTree:
    """Rows, ciphertexts and nodes of one tree.

    Parameters
    ----------
    tree : int
        Its number.
    n_rows : int
        Rows that travel down the tree.
    n_training : int
        The first of them, which alone may have gradients.
    min_child_samples : int
        No node and no side of a split may have fewer active rows.

    Attributes
    ----------
    active : array of shape (n_rows,), bool
        Rows whose gradients came.
    rows_of_node : dict of int to array, int32
        Ascending rows of each node that was shown and not parted since, by whomever.
    features : array, int32, or None
        The tree's columns, once the first question has named them.
    """

    def __init__(self, tree: int, n_rows: int, n_training: int, min_child_samples: int) -> None:
        self.tree = tree
        self.active = np.zeros(n_rows, np.bool_)
        self.features: NDArray[np.int32] | None = None
        self.rows_of_node: dict[int, NDArray[np.int32]] = {}
        self._n_training = n_training
        self._min_child_samples = min_child_samples
        self._next_row = 0
        # rows with the same number were last seen in one node, on one side of our own split
        self._group = np.zeros(n_rows, np.int32)
        self._group_sizes = [n_rows]

    def activate(self, rows: NDArray[np.int32]) -> None:
        """Take note that the gradients of these rows came.

        Raises
        ------
        Refusal
            If they are not ascending, repeat earlier ones or exceed the training set, or come
            after the first question: sums before and after would differ by single rows.
        """
        if self.features is not None:
            raise Refusal(Code.TREE, f"tree {self.tree} grows already; its rows cannot change")
        if len(rows) == 0 or rows[0] < self._next_row or rows[-1] >= self._n_training:
            raise Refusal(
                SessionCode.ROWS_REFUSED,
                f"a block's rows must lie in {self._next_row}..{self._n_training - 1}",
            )
        if np.any(np.diff(rows) <= 0):
            raise Refusal(SessionCode.ROWS_REFUSED, "the rows of a block must ascend")
        self.active[rows] = True
        self._next_row = int(rows[-1]) + 1

    def check_features(self, features: NDArray[np.int32], n_features: int) -> None:
        """Check the tree's columns; they stay the same throughout a tree.

        Raises
        ------
        Refusal
            If they do not ascend, do not exist or have changed.
        """
        ascending = len(features) > 0 and features[0] >= 0 and features[-1] < n_features
        if not ascending or np.any(np.diff(features) <= 0):
            raise Refusal(Code.FEATURES, f"columns must ascend within 0..{n_features - 1}")
        if self.features is not None and not np.array_equal(self.features, features):
            raise Refusal(Code.FEATURES, "the columns of a tree cannot change while it grows")

    def check_frontier(
        self, nodes: NDArray[np.int32], node_of_row: NDArray[np.uint16]
    ) -> list[NDArray[np.int32]]:
        """Check a frontier against all that was seen before.

        Returns
        -------
        list of arrays, int32
            Rows of each node, ascending.

        Raises
        ------
        Refusal
            If nodes repeat, a node mixes rows that were apart before or is below the floor, or
            an earlier node is not parted completely.
        """
        if not 0 < len(nodes) < NO_NODE or len(np.unique(nodes)) != len(nodes):
            raise Refusal(Code.NODES, f"ask for 1 to {NO_NODE - 1} distinct nodes")
        if len(node_of_row) != len(self.active):
            raise Refusal(
                Code.NODES, f"{len(node_of_row)} rows are placed, there are {len(self.active)}"
            )
        if np.any((node_of_row >= len(nodes)) & (node_of_row != NO_NODE)):
            raise Refusal(Code.NODES, f"a row is placed beyond the {len(nodes)} nodes")
        rows_of_nodes = rows_by_node(node_of_row, len(nodes))
        placed: Counter[int] = Counter()
        for node, rows in zip(nodes, rows_of_nodes, strict=True):
            self._check_size(rows, int(node))
            if not self._together(rows):
                raise Refusal(Code.NODES, f"node {node} mixes rows of different earlier nodes")
            placed[int(self._group[rows[0]])] += len(rows)
        if any(count < self._group_sizes[group] for group, count in placed.items()):
            raise Refusal(Code.NODES, "the nodes leave out rows of an earlier node that they part")
        return rows_of_nodes

    def show(
        self,
        features: NDArray[np.int32],
        nodes: NDArray[np.int32],
        rows_of_nodes: Sequence[NDArray[np.int32]],
    ) -> None:
        """Remember columns and a frontier that passed their checks."""
        self.features = features.copy()
        parted = {int(self._group[rows[0]]) for rows in rows_of_nodes}
        self.rows_of_node = {
            node: rows
            for node, rows in self.rows_of_node.items()
            if int(self._group[rows[0]]) not in parted
        }
        for node, rows in zip(nodes.tolist(), rows_of_nodes, strict=True):
            self._regroup(rows)
            self.rows_of_node[node] = rows

    def check_division(self, node: int, goes_left: NDArray[np.bool_]) -> None:
        """Check a division of a node.

        Raises
        ------
        Refusal
            If a side is below the floor.
        """
        rows = self.rows_of_node[node]
        for side in (rows[goes_left], rows[~goes_left]):
            self._check_size(side, node)

    def divide(self, node: int, goes_left: NDArray[np.bool_]) -> None:
        """Divide a node as checked; later nodes must lie on one side of it."""
        rows = self.rows_of_node.pop(node)
        self._regroup(rows[goes_left])
        self._regroup(rows[~goes_left])

    def _check_size(self, rows: NDArray[np.int32], node: int) -> None:
        if np.count_nonzero(self.active[rows]) < self._min_child_samples:
            raise Refusal(
                Code.NODES,
                f"node {node} or a side of its split has fewer than "
                f"min_child_samples={self._min_child_samples} rows",
            )

    def _together(self, rows: NDArray[np.int32]) -> bool:
        """Whether no node that was shown so far parts these rows."""
        groups = self._group[rows]
        return bool(np.all(groups == groups[0]))

    def _regroup(self, rows: NDArray[np.int32]) -> None:
        self._group[rows] = len(self._group_sizes)
        self._group_sizes.append(len(rows))


def rows_by_node(node_of_row: NDArray[np.uint16], n_nodes: int) -> list[NDArray[np.int32]]:
    """List the rows of each node, ascending; rows of no node are left out.

    Each list has memory of its own: that of a node that is not parted outlives the others.
    """
    rows, starts = placed_rows(node_of_row, n_nodes)
    return [rows[begin:end].copy() for begin, end in pairwise(starts)]


@kernel
def placed_rows(
    node_of_row: NDArray[np.uint16], n_nodes: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Rows in nodes below `n_nodes`, node after node, and where each node's begin and end."""
    starts = np.zeros(n_nodes + 1, np.int64)
    for node in node_of_row:
        if node < n_nodes:
            starts[node + 1] += 1
    for node in range(n_nodes):
        starts[node + 1] += starts[node]
    cursor = starts[:-1].copy()
    rows = np.empty(starts[n_nodes], np.int32)
    for row in range(len(node_of_row)):
        node = node_of_row[row]
        if node < n_nodes:
            rows[cursor[node]] = row
            cursor[node] += 1
    return rows, starts


def rows_left(
    bins: NDArray[np.uint8], cut: int, missing_bin: int, missing_left: bool
) -> NDArray[np.bool_]:
    """Which binned values go left of a cut.

    Parameters
    ----------
    bins : array of shape (n,), uint8
    cut : int
        Values up to this bin go left.
    missing_bin : int
    missing_left : bool
    """
    left: NDArray[np.bool_] = bins <= cut
    if missing_left:
        left |= bins == missing_bin
    return left


_BLOCK = 1024  # rows whose values stay in the cache while all splits look at them


@kernel
def route_bits(
    columns: NDArray[np.float32],
    rows: NDArray[np.int32],
    features: NDArray[np.int32],
    thresholds: NDArray[np.float32],
    missing_left: NDArray[np.bool_],
    out: NDArray[np.uint8],
) -> None:
    """Write one bit per split of numbers and row, lowest bit first.

    Row ``8 b + k`` of a block is kept as ``block[feature, k, b]``, so that comparing eight of them
    to make a byte is the same work for neighbouring bytes: the compiler makes vectors of it.

    Parameters
    ----------
    columns : array of shape (n_features, n_all_rows), float32
    rows : array of shape (n,), int32
        A negative one is a row of missing values.
    features, thresholds, missing_left : arrays of shape (n_splits,)
        Values at most the threshold go left; an infinite one sends every present value left.
        Splits with a negative feature are left out.
    out : array of shape (n_splits, ceil(n / 8)), uint8
        Overwritten where there is a feature; the bits behind the last row are zero.
    """
    block = np.zeros((len(columns), 8, _BLOCK // 8), np.float32)
    for begin in range(0, len(rows), _BLOCK):
        count = min(_BLOCK, len(rows) - begin)
        for feature in range(len(columns)):
            column = columns[feature]
            for i in range(count):
                row = rows[begin + i]
                block[feature, i & 7, i >> 3] = column[row] if row >= 0 else np.float32(np.nan)
        n_bytes = (count + 7) >> 3
        last = np.uint8(0xFF >> (8 * n_bytes - count))
        for split in range(len(features)):
            feature = features[split]
            if feature >= 0:
                line = out[split, begin >> 3 : (begin >> 3) + n_bytes]
                compare(block[feature], thresholds[split], missing_left[split], line)
                line[n_bytes - 1] &= last


@kernel
def compare(
    values: NDArray[np.float32], threshold: float, missing_left: bool, line: NDArray[np.uint8]
) -> None:
    """Write into bit k of byte b of `line` whether ``values[k, b]`` goes left."""
    for b in range(len(line)):
        byte = np.uint8(0)
        if missing_left:
            for k in range(8):
                byte |= np.uint8(not values[k, b] > threshold) << np.uint8(k)
        else:
            for k in range(8):
                byte |= np.uint8(values[k, b] <= threshold) << np.uint8(k)
        line[b] = byte
