"""Columns that lie in this process."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from secureboost.clock import Clock
from secureboost.compiling import kernel
from secureboost.gbdt.codes import left_bins
from secureboost.gbdt.columns import (
    ACTIVE,
    WEIGHTED,
    Columns,
    Frontier,
    Gradients,
    NodeHistograms,
    Split,
)
from secureboost.gbdt.counts import NodeCounts
from secureboost.gbdt.partition import RowPartition

# Below so many (row, column) pairs a thread costs more than it saves.
_WORTH_A_THREAD = 100_000


class LocalColumns(Columns):
    """One owner's columns, binned, in memory.

    Parameters
    ----------
    owner : str
        Name of the party; the empty string for the label party itself.
    binned : array of shape (n_features, n_rows), uint8
        Bins, one contiguous row per column, as `binning.BinMapper.transform` gives them.
    n_bins : array of shape (n_features,), int32
        Bins of each column without the missing bin.
    max_bin : int
        Index of the missing bin.
    min_child_samples : int
        Fewest active rows a child may have.
    n_jobs : int
        Threads.
    clock : Clock, optional
        Phase ``histogram`` counts (row, column) pairs.
    categorical : array of shape (n_features,), bool, optional
        Columns of categories; none by default.
    monotone : array of shape (n_features,), int8, optional
        As in `columns.Columns`; all 0 by default.
    min_group : int, or array of shape (n_features,)
        Fewest active rows of a category that may go left (`counts.group_floors`).
    own : array of shape (n_features,), bool, optional
        Columns of an owner who knows which rows have weight, and counts no others; all by default.
        In pooled training not those that would be a partner's.
    """

    def __init__(
        self,
        owner: str,
        binned: NDArray[np.uint8],
        n_bins: NDArray[np.int32],
        max_bin: int,
        min_child_samples: int = 1,
        n_jobs: int = 1,
        clock: Clock | None = None,
        *,
        categorical: NDArray[np.bool_] | None = None,
        monotone: NDArray[np.int8] | None = None,
        min_group: int | NDArray[np.int64] = 1,
        own: NDArray[np.bool_] | None = None,
    ) -> None:
        none = np.zeros(len(n_bins), dtype=np.bool_)
        self.owner = owner
        self.n_bins = n_bins
        self.categorical = none if categorical is None else categorical
        self.monotone = none.astype(np.int8) if monotone is None else monotone
        self._binned = binned
        self._max_bin = max_bin
        self._n_jobs = n_jobs
        self._clock = clock or Clock()
        self._pool = ThreadPoolExecutor(n_jobs) if n_jobs > 1 else None
        least = np.where(~none if own is None else own, WEIGHTED, ACTIVE).astype(np.uint8)
        self._counts = NodeCounts(
            binned, max_bin, min_child_samples, self.categorical, min_group, least
        )
        self._values = np.empty((0, 2), dtype=np.int64)
        self._features = np.empty(0, dtype=np.int32)

    def begin_tree(self, tree: int, gradients: Gradients, features: NDArray[np.int32]) -> None:
        """Start a tree over these rows' gradients and these of the own columns."""
        self._values = np.ascontiguousarray(gradients.values)
        self._features = np.ascontiguousarray(features, dtype=np.int32)
        self._counts.begin_tree(gradients.standing, self._features)

    def histograms(self, frontier: Frontier) -> Callable[[], NodeHistograms]:
        """Ask for the sums of `frontier`: all but the first share of the columns starts now."""
        partition, features = frontier.partition, self._features
        bounds = partition.bounds(frontier.asked)
        width = self._values.shape[1]
        sums = np.zeros((len(bounds), len(features), self._max_bin + 1, width), dtype=np.int64)
        add = sum_bins if width == 2 else sum_wide_bins

        def fill(first: int, behind: int) -> None:
            add(self._binned, features, first, behind, partition.order, bounds, self._values, sums)

        n_rows = int((bounds[:, 1] - bounds[:, 0]).sum())
        shares = self._shares(n_rows * width // 2)
        pending = [self._pool.submit(fill, *share) for share in shares[1:]] if self._pool else []

        def collect() -> NodeHistograms:
            with self._clock.phase("histogram", n_rows * len(features)):
                fill(*shares[0])
                nodes = frontier.nodes.tolist()
                allowed = self._counts.allowed(
                    nodes,
                    [partition.rows(node) for node in nodes],
                    [partition.parent(node) for node in nodes],
                )
                for future in pending:
                    future.result()
            return NodeHistograms(sums, allowed)

        return collect

    def divide(
        self, partition: RowPartition, splits: Sequence[Split]
    ) -> Callable[[], list[NDArray[np.bool_]]]:
        """Ask which rows of each split's node go left."""

        def collect() -> list[NDArray[np.bool_]]:
            return [self._goes_left(partition.rows(split.node), split) for split in splits]

        return collect

    def _goes_left(self, rows: NDArray[np.int32], split: Split) -> NDArray[np.bool_]:
        goes_left = np.empty(len(rows), dtype=np.bool_)
        column = self._binned[split.feature]
        if split.codes:
            left = left_bins(split.codes, self._max_bin, split.missing_left)
            divide_rows_by_codes(column, rows, left, goes_left)
        else:
            missing_bin = self._max_bin if split.missing_left else -1
            divide_rows(column, rows, split.bin, missing_bin, goes_left)
        return goes_left

    def _shares(self, work_per_column: int) -> list[tuple[int, int]]:
        """Ranges of columns, one for each thread that is worth it."""
        n_features = len(self._features)
        work = work_per_column * n_features
        shares = max(1, min(self._n_jobs, n_features, 1 + work // _WORTH_A_THREAD))
        edges = [n_features * i // shares for i in range(shares + 1)]
        return list(pairwise(edges))


_BLOCK = 2048  # rows whose gradients and bins stay in the first-level cache


@kernel
def sum_bins(
    binned: NDArray[np.uint8],
    features: NDArray[np.int32],
    first: int,
    behind: int,
    order: NDArray[np.int32],
    bounds: NDArray[np.int64],
    values: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Add gradient and hessian of each node's rows, by column and bin, to `out`: one output.

    Parameters
    ----------
    binned : array of shape (n_features, n_rows), uint8
    features : array of shape (f,), int32
        The tree's columns.
    first, behind : int
        Sum by the columns ``features[first:behind]``.
    order : array of shape (n_rows,), int32
        Rows grouped by node.
    bounds : array of shape (m, 2), int64
        First and behind-last position in `order` of each node.
    values : array of shape (n_rows, 2), int64
    out : array of shape (m, f, max_bin + 1, 2), int64
    """
    block = np.empty((_BLOCK, 2), dtype=np.int64)
    for node in range(len(bounds)):
        for start in range(bounds[node, 0], bounds[node, 1], _BLOCK):
            rows = order[start : min(start + _BLOCK, bounds[node, 1])]
            for i in range(len(rows)):
                block[i, 0] = values[rows[i], 0]
                block[i, 1] = values[rows[i], 1]
            for f in range(first, behind):
                column = binned[features[f]]
                sums = out[node, f]
                for i in range(len(rows)):
                    b = column[rows[i]]
                    sums[b, 0] += block[i, 0]
                    sums[b, 1] += block[i, 1]


@kernel
def sum_wide_bins(
    binned: NDArray[np.uint8],
    features: NDArray[np.int32],
    first: int,
    behind: int,
    order: NDArray[np.int32],
    bounds: NDArray[np.int64],
    values: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Do as `sum_bins` with any number of outputs: last axis of `values` and `out`."""
    width = values.shape[1]
    block_rows = max(1, 2 * _BLOCK // width)
    block = np.empty((block_rows, width), dtype=np.int64)
    for node in range(len(bounds)):
        for start in range(bounds[node, 0], bounds[node, 1], block_rows):
            rows = order[start : min(start + block_rows, bounds[node, 1])]
            for i in range(len(rows)):
                for j in range(width):
                    block[i, j] = values[rows[i], j]
            for f in range(first, behind):
                column = binned[features[f]]
                sums = out[node, f]
                for i in range(len(rows)):
                    b = column[rows[i]]
                    for j in range(width):
                        sums[b, j] += block[i, j]


@kernel
def divide_rows(
    column: NDArray[np.uint8],
    rows: NDArray[np.int32],
    cut: int,
    missing_bin: int,
    goes_left: NDArray[np.bool_],
) -> None:
    """Write into `goes_left` which rows lie in bin `cut`, below it, or in `missing_bin`."""
    for i in range(len(rows)):
        b = column[rows[i]]
        goes_left[i] = b <= cut or b == missing_bin


@kernel
def divide_rows_by_codes(
    column: NDArray[np.uint8],
    rows: NDArray[np.int32],
    left: NDArray[np.bool_],
    goes_left: NDArray[np.bool_],
) -> None:
    """Write into `goes_left` what `left` says of each row's bin."""
    for i in range(len(rows)):
        goes_left[i] = left[column[rows[i]]]
