"""Where the grower meets the data: sums by bin, and which rows go left.

A tree grower needs two things of a column: *the histogram of these gradients by bin, per node*,
and *which of these rows go left*. `Columns` is that, and the grower sees a list of them. Whether
the columns lie in this process (`local.LocalColumns`) or with a company that answers under
encryption (`remote.RemoteColumns`) it does not know.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from secureboost.gbdt.partition import RowPartition


@dataclass(frozen=True, repr=False)
class Gradients:
    """The integers of one boosting round.

    Attributes
    ----------
    values : array of shape (n_rows, 2), int64
        Quantised gradient and hessian of each row; zero where `active` is false.
    active : array of shape (n_rows,), bool
        Rows drawn for this tree. The others travel down the tree (their score is needed) without
        counting anywhere.
    fraction_bits : int
        The real numbers are ``values * 2.0**-fraction_bits``.
    """

    values: NDArray[np.int64]
    active: NDArray[np.bool_]
    fraction_bits: int


@dataclass(frozen=True)
class Frontier:
    """The nodes whose best split is wanted now.

    Attributes
    ----------
    partition : RowPartition
        Which rows lie in which node.
    nodes : array of shape (k,), int32
        The nodes to be split: the root, or siblings next to each other as left, right, left, ...
    asked : array of shape (m,), int32
        The subset of `nodes` whose sums are wanted: the root, or one of each pair of siblings.
        The grower gets the other by subtraction.
    """

    partition: "RowPartition"
    nodes: NDArray[np.int32]
    asked: NDArray[np.int32]


@dataclass(frozen=True, repr=False)
class NodeHistograms:
    """Sums by bin.

    Attributes
    ----------
    sums : array of shape (len(asked), n_tree_features, max_bin + 1, 2), int64
        Sum of gradient and hessian over the active rows. Index ``max_bin`` is the missing bin;
        bins a feature does not have are zero.
    allowed : array of shape (len(nodes), n_tree_features, max_bin, 2), bool, or None
        Whether the cut after that bin, with missing values right (0) or left (1), leaves at least
        ``min_child_samples`` active rows on both sides. None: every cut is allowed.
    """

    sums: NDArray[np.int64]
    allowed: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Split:
    """A node's winning split, as its owner is told of it.

    Attributes
    ----------
    node : int
    feature : int
        Column number within its owner (not within the tree's sample of columns).
    bin : int
        Rows whose bin is at most this go left.
    missing_left : bool
        Where rows without a value go.
    """

    node: int
    feature: int
    bin: int
    missing_left: bool


class Columns(ABC):
    """The columns of one owner, binned, over the rows of the training set.

    Attributes
    ----------
    owner : str
        Name of the party; the empty string for the label party itself.
    n_bins : array of shape (n_features,), int32
        Bins of each feature without the missing bin. A constant column has one.
    """

    owner: str
    n_bins: NDArray[np.int32]

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.n_bins)

    @abstractmethod
    def begin_tree(self, tree: int, gradients: Gradients, features: NDArray[np.int32]) -> None:
        """Start a tree over these rows' gradients and these of the own columns (ascending)."""

    @abstractmethod
    def histograms(self, frontier: Frontier) -> Callable[[], NodeHistograms]:
        """Ask for the sums of `frontier`; the work may start now, calling the result ends it.

        The grower asks every source first and collects afterwards, so that all work side by side.
        """

    @abstractmethod
    def divide(
        self, partition: "RowPartition", splits: Sequence[Split]
    ) -> Callable[[], list[NDArray[np.bool_]]]:
        """Ask which rows of each split's node go left, in the order of ``partition.rows(node)``."""
