"""Grow one tree over columns that lie here or elsewhere.

    best cut of each open node  ->  owners divide its rows  ->  sums of the children  ->  ...

A whole level (depthwise) or one node (lossguide) at a time. Every source is asked before the
first answer is collected, so that all work side by side. Of two siblings the one with fewer
active rows is asked for, the left one in a tie; the other is parent minus sibling, in integers,
for all sources at once. A node's own totals are the label party's sums over its rows.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from secureboost.clock import Clock
from secureboost.compiling import kernel
from secureboost.gbdt.columns import Columns, Frontier, Gradients, NodeHistograms, Split
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partition import ROOT, RowPartition
from secureboost.gbdt.splitter import best_splits, leaf_value
from secureboost.gbdt.tree import NODE, Tree


class InconsistentDivisionError(RuntimeError):
    """An owner's division of a node's rows does not fit the sums by bin it gave before.

    Attributes
    ----------
    owner : str
        Name of the party; the empty string for the label party itself.
    problem : str
        The text without the party.
    """

    def __init__(self, owner: str, split: Split) -> None:
        self.owner = owner
        self.problem = (
            f"divided node {split.node} by column {owner}/{split.feature} so that the rows on its "
            "left side do not have the sums of gradient and hessian that its histogram promised; "
            "its bins or rows changed during training, or it is faulty"
        )
        super().__init__(f"party {owner!r} {self.problem}")


@dataclass(frozen=True, repr=False)
class GrownTree:
    """A tree and where the training rows ended up.

    Attributes
    ----------
    nodes : record array, `tree.NODE`
        With feature and bin for every owner, without thresholds.
    partition : RowPartition
        Its leaves are the tree's.
    """

    nodes: Tree
    partition: RowPartition


class Grower:
    """Grows trees over the columns of these sources.

    Numbers the splits of owner 1, 2, ... through all trees in the order in which they are divided
    (`tree.NODE`, ``split_id``), as each owner counts them on its side.

    Parameters
    ----------
    sources : sequence of Columns
        The label party's first. Their order numbers the columns.
    params : BoosterParams
    clock : Clock, optional
        Phases ``split`` (nodes searched for their best cut) and ``divide`` (nodes whose rows were
        divided, partners' answers included).
    """

    def __init__(
        self, sources: Sequence[Columns], params: BoosterParams, clock: Clock | None = None
    ) -> None:
        self._sources = sources
        self._params = params
        self._clock = clock or Clock()
        self._n_splits = [0] * len(sources)

    def grow(
        self, tree: int, gradients: Gradients, features: Sequence[NDArray[np.int32]]
    ) -> GrownTree:
        """Grow one tree.

        Parameters
        ----------
        tree : int
            Number of the tree.
        gradients : Gradients
        features : sequence of arrays, int32
            For each source which of its columns the tree may use, ascending.

        Raises
        ------
        InconsistentDivisionError
            If an owner contradicts itself.
        """
        for source, own in zip(self._sources, features, strict=True):
            source.begin_tree(tree, gradients, own)
        growth = _Growth(
            self._sources, features, gradients, self._params, self._n_splits, self._clock
        )
        growth.run()
        return GrownTree(growth.nodes(), growth.partition)


@dataclass(repr=False)
class _Node:
    """A node of the tree that is being grown; sums are integers."""

    number: int
    depth: int
    gradient: int
    hessian: int
    n_active: int
    gain: float = 0.0
    owner: int = -1
    split: Split | None = None
    left_sums: tuple[int, int] = (0, 0)
    split_id: int = -1
    left: int = -1
    right: int = -1


class _Growth:
    """The state of one tree."""

    def __init__(
        self,
        sources: Sequence[Columns],
        features: Sequence[NDArray[np.int32]],
        gradients: Gradients,
        params: BoosterParams,
        n_splits: list[int],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.partition = RowPartition(len(gradients.values))
        self._sources = sources
        self._params = params
        self._gradients = gradients
        self._n_splits = n_splits
        self._scale = 2.0**-gradients.fraction_bits
        # the tree's columns side by side: whose, which of theirs, how many bins
        self._owner_of = np.repeat(np.arange(len(features)), [len(own) for own in features])
        self._feature_of = np.concatenate(features)
        self._n_bins = np.concatenate(
            [source.n_bins[own] for source, own in zip(sources, features, strict=True)]
        )
        self._asked_sources = [
            source for source, own in zip(sources, features, strict=True) if len(own) > 0
        ]
        gradient, hessian, n_active = self._totals(ROOT)
        self._nodes = [_Node(ROOT, 0, gradient, hessian, n_active)]
        self._open: list[tuple[float, int]] = []  # (-gain, number) of what may be split
        self._histograms: dict[int, NDArray[np.int64]] = {}  # of the open nodes

    def run(self) -> None:
        """Split until nothing is worth it or a limit is reached."""
        root = self._nodes[ROOT]
        if self._may_split(root):
            sums, allowed = self._ask([ROOT], [ROOT])
            self._find_splits([root], sums, allowed)
        while batch := self._next():
            with self._clock.phase("divide", len(batch)):
                families = self._divide(batch)
            self._evaluate(
                [
                    (parent, left, right)
                    for parent, left, right in families
                    if self._may_split(left) or self._may_split(right)
                ]
            )
            for parent in batch:
                del self._histograms[parent.number]

    def nodes(self) -> Tree:
        """The tree as a record array."""
        tree = np.zeros(len(self._nodes), dtype=NODE)
        tree["threshold"] = np.nan
        for record, node in zip(tree, self._nodes, strict=True):
            hessian = node.hessian * self._scale
            record["sum_hessian"] = hessian
            record["left"], record["right"] = node.left, node.right
            record["split_id"] = node.split_id
            if node.left < 0 or node.split is None:
                record["owner"] = record["feature"] = record["bin"] = -1
                value = leaf_value(node.gradient * self._scale, hessian, self._params)
                record["value"] = value * self._params.learning_rate
            else:
                record["owner"], record["feature"] = node.owner, node.split.feature
                record["bin"], record["missing_left"] = node.split.bin, node.split.missing_left
                record["gain"] = node.gain
        return tree

    @property
    def _leaves_left(self) -> int | None:
        """How many more splits `max_leaves` allows; None: no limit."""
        n_leaves = (len(self._nodes) + 1) // 2
        return self._params.max_leaves - n_leaves if self._params.max_leaves else None

    def _may_split(self, node: _Node) -> bool:
        params = self._params
        return (
            len(self._feature_of) > 0
            and self._leaves_left != 0
            and (params.max_depth == 0 or node.depth < params.max_depth)
            and node.n_active >= 2 * params.min_child_samples
            and node.hessian > 0
            and node.hessian * self._scale >= 2 * params.min_child_weight
        )

    def _next(self) -> list[_Node]:
        """The nodes to split now: a level, or the one with the highest gain."""
        if not self._open or self._leaves_left == 0:
            return []
        if self._params.grow_policy == "lossguide":
            return [self._nodes[heapq.heappop(self._open)[1]]]
        level = sorted(number for _, number in self._open)[: self._leaves_left]
        self._open = []
        return [self._nodes[number] for number in level]

    def _divide(self, parents: Sequence[_Node]) -> list[tuple[_Node, _Node, _Node]]:
        """Split these nodes; returns each with its new left and right child."""
        by_owner: dict[int, list[tuple[_Node, Split]]] = {}
        for parent in parents:
            if parent.split is not None:
                by_owner.setdefault(parent.owner, []).append((parent, parent.split))
        pending = [
            (owner, won, self._sources[owner].divide(self.partition, [split for _, split in won]))
            for owner, won in sorted(by_owner.items(), key=itemgetter(0))
        ]
        goes_left: dict[int, NDArray[np.bool_]] = {}
        for owner, won, collect in pending:
            for (node, _), rows_left in zip(won, collect(), strict=True):
                goes_left[node.number] = rows_left
                if owner > 0:
                    node.split_id = self._n_splits[owner]
                    self._n_splits[owner] += 1
        return [(node, *self._add_children(node, goes_left[node.number])) for node in parents]

    def _add_children(self, parent: _Node, goes_left: NDArray[np.bool_]) -> tuple[_Node, _Node]:
        parent.left, parent.right = len(self._nodes), len(self._nodes) + 1
        self.partition.split(parent.number, parent.left, parent.right, goes_left)
        gradient, hessian, n_active = self._totals(parent.left)
        if parent.split and (gradient, hessian) != parent.left_sums:
            raise InconsistentDivisionError(self._sources[parent.owner].owner, parent.split)
        depth = parent.depth + 1
        left = _Node(parent.left, depth, gradient, hessian, n_active)
        right = _Node(
            parent.right,
            depth,
            parent.gradient - gradient,
            parent.hessian - hessian,
            parent.n_active - n_active,
        )
        self._nodes += [left, right]
        return left, right

    def _totals(self, number: int) -> tuple[int, int, int]:
        """Gradient, hessian and number of active rows of a node."""
        rows = self.partition.rows(number)
        gradient, hessian, n_active = sum_rows(rows, self._gradients.values, self._gradients.active)
        return int(gradient), int(hessian), int(n_active)

    def _evaluate(self, families: Sequence[tuple[_Node, _Node, _Node]]) -> None:
        """Find the best cut of each parent's children."""
        if not families:
            return
        children = [child for _, left, right in families for child in (left, right)]
        asked = [
            left.number if left.n_active <= right.n_active else right.number
            for _, left, right in families
        ]
        asked_sums, allowed = self._ask([child.number for child in children], asked)
        sums = np.empty((len(children), *asked_sums.shape[1:]), dtype=np.int64)
        for i, (parent, left, _) in enumerate(families):
            direct, derived = (0, 1) if asked[i] == left.number else (1, 0)
            sums[2 * i + direct] = asked_sums[i]
            np.subtract(self._histograms[parent.number], asked_sums[i], out=sums[2 * i + derived])
        self._find_splits(children, sums, allowed)

    def _ask(
        self, nodes: Sequence[int], asked: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Sums and masks of all sources, their columns side by side."""
        frontier = Frontier(
            self.partition, np.array(nodes, dtype=np.int32), np.array(asked, dtype=np.int32)
        )
        pending = [source.histograms(frontier) for source in self._asked_sources]
        return _side_by_side([collect() for collect in pending], len(nodes))

    def _find_splits(
        self,
        nodes: Sequence[_Node],
        sums: NDArray[np.int64],
        allowed: NDArray[np.bool_] | None,
    ) -> None:
        """Note each node's best cut, if one counts, and open the node."""
        with self._clock.phase("split", len(nodes)):
            best = best_splits(
                sums,
                np.array([(node.gradient, node.hessian) for node in nodes], dtype=np.int64),
                np.array([self._may_split(node) for node in nodes]),
                self._n_bins,
                allowed,
                self._scale,
                self._params,
            )
        for i, (node, record) in enumerate(zip(nodes, best.tolist(), strict=True)):
            gain, column, cut, missing_left, left_gradient, left_hessian = record
            if column < 0:
                continue
            feature = int(self._feature_of[column])
            self._histograms[node.number] = sums[i]
            node.gain = gain
            node.owner = int(self._owner_of[column])
            node.split = Split(node.number, feature, cut, bool(missing_left))
            node.left_sums = (left_gradient, left_hessian)
            heapq.heappush(self._open, (-gain, node.number))


def _side_by_side(
    parts: Sequence[NodeHistograms], n_nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Join the sources' answers along the columns."""
    if len(parts) == 1:
        return parts[0].sums, parts[0].allowed
    sums = np.concatenate([part.sums for part in parts], axis=1)
    if all(part.allowed is None for part in parts):
        return sums, None
    masks = []
    for part in parts:
        _, n_features, n_indices, _ = part.sums.shape
        every_cut = np.ones((n_nodes, n_features, n_indices - 1, 2), dtype=np.bool_)
        masks.append(every_cut if part.allowed is None else part.allowed)
    return sums, np.concatenate(masks, axis=1)


@kernel
def sum_rows(
    rows: NDArray[np.int32], values: NDArray[np.int64], active: NDArray[np.bool_]
) -> tuple[np.int64, np.int64, np.int64]:
    """Sum of gradient, of hessian, and number of active rows."""
    gradient = hessian = n_active = np.int64(0)
    for row in rows:
        gradient += values[row, 0]
        hessian += values[row, 1]
        n_active += active[row]
    return gradient, hessian, n_active
