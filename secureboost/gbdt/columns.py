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

ACTIVE, WEIGHTED = 1, 2
"""What a row stands for where rows are counted (`Gradients.standing`)."""


@dataclass(frozen=True, repr=False)
class Gradients:
    """The integers of one boosting round.

    Attributes
    ----------
    values : array of shape (n_rows, 2 * n_outputs), int64
        Quantised gradient and hessian of each row, output after output (g0, h0, g1, h1, ...);
        zero where `active` is false. A tree with one output has two columns.
    active : array of shape (n_rows,), bool
        Training rows drawn for this tree. The others travel down the tree (their score is needed)
        without counting anywhere; rows for evaluation are never active.
    gradient_bits, hessian_bits : int
        The real numbers are ``values[:, 0::2] * 2.0**-gradient_bits`` and
        ``values[:, 1::2] * 2.0**-hessian_bits``.
    weighted : array of shape (n_rows,), bool, optional
        Rows of positive weight; all by default. The label party knows them and counts no others
        where a number of rows matters. A feature party cannot tell them, and counts all that are
        active.
    """

    values: NDArray[np.int64]
    active: NDArray[np.bool_]
    gradient_bits: int
    hessian_bits: int
    weighted: NDArray[np.bool_] | None = None

    @property
    def standing(self) -> NDArray[np.uint8]:
        """Of each row: 0 not active, `ACTIVE`, or `WEIGHTED`: active and of positive weight."""
        standing = self.active.astype(np.uint8)
        standing[self.active if self.weighted is None else self.active & self.weighted] = WEIGHTED
        return standing

    @property
    def n_outputs(self) -> int:
        """Outputs of the tree."""
        return int(self.values.shape[1]) // 2


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
    sums : array of shape (len(asked), n_tree_features, max_bin + 1, 2 * n_outputs), int64
        Sum of gradient and hessian over the active rows, output after output. Index ``max_bin``
        is the missing bin; bins a feature does not have are zero.
    allowed : array of shape (len(nodes), n_tree_features, max_bin, 2), bool, or None
        Of a column of numbers: whether the cut after that bin, with missing values right (0) or
        left (1), leaves at least ``min_child_samples`` active rows on both sides. Of a column of
        categories: whether that code has enough active rows in the node (`counts.group_floors`)
        (both entries alike). None: every cut is allowed, and the tree has no categories.
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
        Rows whose bin is at most this go left; -1 in a split by categories.
    missing_left : bool
        Where rows without a value go.
    codes : tuple of int
        In a split by categories the codes (bins) that go left, ascending, at least one; empty in
        a split of numbers.
    """

    node: int
    feature: int
    bin: int
    missing_left: bool
    codes: tuple[int, ...] = ()


class Columns(ABC):
    """The columns of one owner, binned, over the rows of the training set.

    Attributes
    ----------
    owner : str
        Name of the party; the empty string for the label party itself.
    n_bins : array of shape (n_features,), int32
        Bins of each feature without the missing bin. A constant column has one. The bins of a
        column of categories are its codes.
    categorical : array of shape (n_features,), bool
        Columns of categories: their bins have no order.
    monotone : array of shape (n_features,), int8
        What predictions must do as the feature grows: 1 not fall, -1 not rise, 0 anything.
    """

    owner: str
    n_bins: NDArray[np.int32]
    categorical: NDArray[np.bool_]
    monotone: NDArray[np.int8]

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.n_bins)

    @abstractmethod
    def begin_tree(self, tree: int, gradients: Gradients, features: NDArray[np.int32]) -> None:
        """Start a tree over these rows' gradients and these of the own columns (ascending).

        A source without a column in the tree is not started.
        """

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
