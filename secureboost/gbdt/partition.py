"""Which rows lie in which node of the tree that is being grown.

All rows stand in one array, grouped by node, ascending inside every node. Splitting a node moves
the rows that go left to the front of its group and keeps their order:

    node 0:   0 1 2 3 4 5 6          goes left:  . x x . . x .
    nodes 1 | 2:   1 2 5 | 0 3 4 6

Nodes may be split in any order, so both growth policies use it. Rows that were not drawn for the
tree are in it as well: their score is needed.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel

ROOT = 0


class RowPartition:
    """Rows grouped by leaf; at first all of them in node 0.

    Parameters
    ----------
    n_rows : int
        Rows of the training set.

    Attributes
    ----------
    order : array of shape (n_rows,), int32
        All rows, grouped by node.
    """

    def __init__(self, n_rows: int) -> None:
        self.order = np.arange(n_rows, dtype=np.int32)
        self._scratch = np.empty(n_rows, dtype=np.int32)
        self._bounds: dict[int, tuple[int, int]] = {ROOT: (0, n_rows)}
        self._parents: dict[int, int] = {}

    @property
    def leaves(self) -> tuple[int, ...]:
        """The nodes that have not been split."""
        return tuple(self._bounds)

    def parent(self, node: int) -> int:
        """The node that `node` came from, -1 for the root."""
        return self._parents.get(node, -1)

    def rows(self, node: int) -> NDArray[np.int32]:
        """Rows of a leaf, ascending: a view that is valid until the node is split.

        Raises
        ------
        KeyError
            If there is no such leaf.
        """
        begin, end = self._bounds[int(node)]
        return self.order[begin:end]

    def bounds(self, nodes: Iterable[int]) -> NDArray[np.int64]:
        """First and behind-last position in `order` of each leaf, shape (n, 2), int64."""
        return np.array([self._bounds[int(node)] for node in nodes], dtype=np.int64).reshape(-1, 2)

    def split(self, node: int, left: int, right: int, goes_left: NDArray[np.bool_]) -> None:
        """Divide a leaf into two.

        Parameters
        ----------
        node, left, right : int
            The leaf, and the numbers of the new ones.
        goes_left : array of shape (len(rows(node)),), bool
            In the order of ``rows(node)``.

        Raises
        ------
        KeyError
            If `node` is not a leaf.
        ValueError
            If `goes_left` has another shape or type, or a new number is in use.
        """
        begin, end = self._bounds[node]
        if goes_left.shape != (end - begin,) or goes_left.dtype != np.bool_:
            raise ValueError(
                f"goes_left has shape {goes_left.shape} and type {goes_left.dtype}, "
                f"node {node} has {end - begin} rows and needs one bool for each"
            )
        if left == right or {left, right} & (self._bounds.keys() | self._parents.keys() | {ROOT}):
            raise ValueError(f"left={left}, right={right}: a new node needs an unused number")
        middle = begin + stable_partition(self.order[begin:end], goes_left, self._scratch)
        del self._bounds[node]
        self._bounds[left], self._bounds[right] = (begin, middle), (middle, end)
        self._parents[left] = self._parents[right] = node

    def node_of_row(self, nodes: Iterable[int] | None = None) -> NDArray[np.int32]:
        """The leaf of each row, shape (n_rows,), int32.

        Parameters
        ----------
        nodes : iterable of int, optional
            Only these leaves; rows elsewhere get -1. All by default.
        """
        node_of_row = np.full(len(self.order), -1, dtype=np.int32)
        for node in self.leaves if nodes is None else nodes:
            node_of_row[self.rows(node)] = node
        return node_of_row


@kernel
def stable_partition(
    rows: NDArray[np.int32], goes_left: NDArray[np.bool_], scratch: NDArray[np.int32]
) -> int:
    """Move the rows that go left to the front, in place; both halves keep their order.

    Returns
    -------
    int
        How many go left.
    """
    n_left = 0
    n_right = 0
    for i in range(len(rows)):
        if goes_left[i]:
            rows[n_left] = rows[i]
            n_left += 1
        else:
            scratch[n_right] = rows[i]
            n_right += 1
    for i in range(n_right):
        rows[n_left + i] = scratch[i]
    return n_left
