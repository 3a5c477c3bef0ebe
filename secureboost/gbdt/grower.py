"""Grow one tree over columns that lie here or elsewhere.

    best cut of each open node  ->  owners divide its rows  ->  sums of the children  ->  ...

A whole level (depthwise) or one node (lossguide) at a time. Every source is asked before the
first answer is collected, so that all work side by side. Of two siblings the one with fewer
active rows is asked for, the left one in a tie (rows without weight included: a feature party must
not learn from the choice which they are); the other is parent minus sibling, in integers, for all
sources at once. A node's own totals are the label party's sums over its rows. Nodes that
are withheld (`rules`) are asked of the label party's own columns only.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from secureboost.clock import Clock
from secureboost.compiling import kernel
from secureboost.gbdt.codes import code_set, codes_in
from secureboost.gbdt.columns import (
    ACTIVE,
    WEIGHTED,
    Columns,
    Frontier,
    Gradients,
    NodeHistograms,
    Split,
)
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partition import ROOT, RowPartition
from secureboost.gbdt.rules import Rules, TreeRules
from secureboost.gbdt.splitter import TreeColumns, best_splits, child_bounds, leaf_values
from secureboost.gbdt.tree import Tree, node_dtype


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
    """A tree and where the rows ended up.

    Attributes
    ----------
    nodes : record array, `tree.node_dtype`
        With feature and bin for every owner, without thresholds.
    partition : RowPartition
        Its leaves are the tree's.
    """

    nodes: Tree
    partition: RowPartition


class Grower:
    """Grows trees over the columns of these sources.

    Numbers the splits of owner 1, 2, ... through all trees in the order in which they are divided
    (`tree.node_dtype`, ``split_id``), as each owner counts them on its side.

    Parameters
    ----------
    sources : sequence of Columns
        The label party's first. Their order numbers the columns.
    params : BoosterParams
    rules : Rules
    n_splits : sequence of int, optional
        Splits that each owner has already, where trees are added to a model.
    clock : Clock, optional
        Phases ``split`` (nodes searched for their best cut) and ``divide`` (nodes whose rows were
        divided, partners' answers included).

    Attributes
    ----------
    n_splits : list of int
        Splits of each owner so far; 0 for owner 0, whose splits bear no number.
    """

    def __init__(
        self,
        sources: Sequence[Columns],
        params: BoosterParams,
        rules: Rules,
        n_splits: Sequence[int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._sources = sources
        self._params = params
        self._rules = rules
        self._clock = clock or Clock()
        self.n_splits = list(n_splits or [0] * len(sources))

    def grow(
        self,
        tree: int,
        gradients: Gradients,
        features: Sequence[NDArray[np.int32]],
        draws: np.random.Generator,
    ) -> GrownTree:
        """Grow one tree.

        Parameters
        ----------
        tree : int
            Number of the tree.
        gradients : Gradients
        features : sequence of arrays, int32
            For each source which of its columns the tree may use, ascending.
        draws : Generator
            For the columns of levels and nodes.

        Raises
        ------
        InconsistentDivisionError
            If an owner contradicts itself.
        """
        for source, own in zip(self._sources, features, strict=True):
            if len(own):
                source.begin_tree(tree, gradients, own)
        growth = _Growth(self, gradients, features, draws)
        growth.run()
        return GrownTree(growth.nodes(), growth.partition)


@dataclass(repr=False)
class _Node:
    """A node of the tree that is being grown; sums are integers.

    Attributes
    ----------
    sums : array of shape (2 * n_outputs,), int64
    n_active, n_weighted : int
        Active rows, and those of positive weight among them (`columns.Gradients`).
    path : frozenset of int
        Global columns that split the nodes above.
    bounds : tuple of float
        Smallest and largest leaf value below it, by monotone constraints.
    withheld : bool
        Only the label party's columns may split it.
    """

    number: int
    depth: int
    sums: NDArray[np.int64]
    hessian: float
    n_active: int
    n_weighted: int
    path: frozenset[int] = frozenset()
    bounds: tuple[float, float] = (-math.inf, math.inf)
    withheld: bool = False
    gain: float = 0.0
    owner: int = -1
    split: Split | None = None
    column: int = -1
    left_sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    child_bounds: tuple[tuple[float, float], tuple[float, float]] | None = None
    split_id: int = -1
    left: int = -1
    right: int = -1


class _Growth:
    """The state of one tree."""

    def __init__(
        self,
        grower: Grower,
        gradients: Gradients,
        features: Sequence[NDArray[np.int32]],
        draws: np.random.Generator,
    ) -> None:
        self._clock = grower._clock
        self._sources = grower._sources
        self._params = grower._params
        self._rules = grower._rules
        self._n_splits = grower.n_splits
        self._gradients = gradients
        self._standing = gradients.standing
        self._scales = (2.0**-gradients.gradient_bits, 2.0**-gradients.hessian_bits)
        self.partition = RowPartition(len(gradients.values))
        # the tree's columns side by side: whose, which of theirs, and what is known of them
        self._owner_of = np.repeat(np.arange(len(features)), [len(own) for own in features])
        self._feature_of = np.concatenate(features)
        self._columns = TreeColumns(
            *(
                np.concatenate(
                    [
                        getattr(source, name)[own]
                        for source, own in zip(self._sources, features, strict=True)
                    ]
                )
                for name in ("n_bins", "categorical", "monotone")
            )
        )
        first = np.cumsum([0, *(source.n_features for source in self._sources)], dtype=np.int64)
        self._global_of = first[self._owner_of] + self._feature_of
        self._tree_rules = TreeRules(self._rules, self._params, self._global_of, draws)
        self._features = features
        sums, n_active, n_weighted = self._sum_rows(ROOT)
        hessian, withheld = self._hessian(sums), self._too_pure(ROOT)
        root = _Node(ROOT, 0, sums, hessian, n_active, n_weighted, withheld=withheld)
        self._nodes = [root]
        self._open: list[tuple[float, int]] = []  # (-gain, number) of what may be split
        self._histograms: dict[int, NDArray[np.int64]] = {}  # of the open nodes

    def run(self) -> None:
        """Split until nothing is worth it or a limit is reached."""
        root = self._nodes[ROOT]
        if self._may_split(root):
            sums, allowed = self._ask([root], [ROOT])
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
        tree = np.zeros(len(self._nodes), dtype=node_dtype(self._gradients.n_outputs))
        tree["threshold"] = np.nan
        tree["owner"] = tree["feature"] = tree["bin"] = -1
        for name in ("left", "right", "split_id"):
            tree[name] = [getattr(node, name) for node in self._nodes]
        tree["sum_hessian"] = [node.hessian for node in self._nodes]
        splits = {
            node.number: node.split
            for node in self._nodes
            if node.left >= 0 and node.split is not None
        }
        inner = list(splits)
        tree["owner"][inner] = [self._nodes[number].owner for number in inner]
        tree["gain"][inner] = [self._nodes[number].gain for number in inner]
        for name in ("feature", "bin", "missing_left"):
            tree[name][inner] = [getattr(split, name) for split in splits.values()]
        for number, split in splits.items():
            if split.codes:
                tree["codes"][number] = code_set(split.codes)
        leaves = [node for node in self._nodes if node.left < 0]
        values = leaf_values(
            np.stack([node.sums for node in leaves]),
            np.array([node.bounds for node in leaves]),
            self._scales,
            self._params,
        )
        numbers = [node.number for node in leaves]
        values *= self._params.learning_rate
        tree["value"][numbers] = values[:, 0] if values.shape[1] == 1 else values
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
            and node.n_weighted >= 2 * params.min_child_samples
            and node.hessian > 0
            and node.hessian >= 2 * params.min_child_weight
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
        left = self._child(parent.left, parent, *self._sum_rows(parent.left))
        if parent.split and (left.sums != parent.left_sums).any():
            raise InconsistentDivisionError(self._sources[parent.owner].owner, parent.split)
        right = self._child(
            parent.right,
            parent,
            parent.sums - left.sums,
            parent.n_active - left.n_active,
            parent.n_weighted - left.n_weighted,
        )
        # whoever sees one of the two sees the other, since it saw their parent
        left.withheld = right.withheld = (
            parent.withheld or self._too_pure(left.number) or self._too_pure(right.number)
        )
        if parent.child_bounds is not None:
            left.bounds, right.bounds = parent.child_bounds
        self._nodes += [left, right]
        return left, right

    def _child(
        self,
        number: int,
        parent: _Node,
        sums: NDArray[np.int64],
        n_active: int,
        n_weighted: int,
    ) -> _Node:
        path, hessian = parent.path | {parent.column}, self._hessian(sums)
        return _Node(number, parent.depth + 1, sums, hessian, n_active, n_weighted, path)

    def _hessian(self, sums: NDArray[np.int64]) -> float:
        """A node's hessian over all outputs."""
        return float(sums[1::2].sum()) * self._scales[1]

    def _sum_rows(self, number: int) -> tuple[NDArray[np.int64], int, int]:
        """Sums of a node, its active rows, and those of positive weight."""
        sums = np.zeros(self._gradients.values.shape[1], dtype=np.int64)
        rows = self.partition.rows(number)
        n_active, n_weighted = sum_rows(rows, self._gradients.values, self._standing, sums)
        return sums, int(n_active), int(n_weighted)

    def _too_pure(self, number: int) -> bool:
        limit = self._params.max_shared_purity
        return limit < 1.0 and self._rules.purity(self.partition.rows(number)) > limit

    def _evaluate(self, families: Sequence[tuple[_Node, _Node, _Node]]) -> None:
        """Find the best cut of each parent's children."""
        if not families:
            return
        children = [child for _, left, right in families for child in (left, right)]
        asked = [
            left.number if left.n_active <= right.n_active else right.number
            for _, left, right in families
        ]
        asked_sums, allowed = self._ask(children, asked)
        sums = np.empty((len(children), *asked_sums.shape[1:]), dtype=np.int64)
        for i, (parent, left, _) in enumerate(families):
            direct, derived = (0, 1) if asked[i] == left.number else (1, 0)
            sums[2 * i + direct] = asked_sums[i]
            np.subtract(self._histograms[parent.number], asked_sums[i], out=sums[2 * i + derived])
        self._find_splits(children, sums, allowed)

    def _ask(
        self, nodes: Sequence[_Node], asked: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Sums and masks of all sources, their columns side by side.

        Where a node is withheld the partners' part is zero: nobody looks at it.
        """
        frontier = self._frontier(nodes, asked)
        shared = frontier
        if any(node.withheld for node in nodes):
            seen = [node for node in nodes if not node.withheld]
            numbers = {node.number for node in seen}
            shared = self._frontier(seen, [number for number in asked if number in numbers])
        pending = [
            (part, len(own), source.histograms(part) if len(part.nodes) else None)
            for source, own, part in zip(
                self._sources,
                self._features,
                [frontier] + [shared] * (len(self._sources) - 1),
                strict=True,
            )
            if len(own) > 0
        ]
        width = self._params.max_bin + 1, self._gradients.values.shape[1]
        parts = []
        for part, n_features, collect in pending:
            answer = None if collect is None else collect()
            if part is not frontier or answer is None:
                answer = _spread(answer, part, frontier, (n_features, *width))
            parts.append(answer)
        return _side_by_side(parts, len(nodes))

    def _frontier(self, nodes: Sequence[_Node], asked: Sequence[int]) -> Frontier:
        return Frontier(
            self.partition,
            np.array([node.number for node in nodes], dtype=np.int32),
            np.array(asked, dtype=np.int32),
        )

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
                np.stack([node.sums for node in nodes]),
                np.array([self._may_split(node) for node in nodes]),
                self._columns,
                allowed,
                self._tree_rules.candidates(
                    [node.depth for node in nodes],
                    [node.path for node in nodes],
                    [node.withheld for node in nodes],
                ),
                np.array([node.bounds for node in nodes]) if self._columns.monotone.any() else None,
                self._scales,
                self._params,
            )
        wanted = zip(nodes, best.records.tolist(), strict=True)
        for i, (node, (gain, column, cut, missing_left, codes, *weights)) in enumerate(wanted):
            if column < 0:
                continue
            self._histograms[node.number] = sums[i]
            node.gain = gain
            node.owner = int(self._owner_of[column])
            node.column = int(self._global_of[column])
            node.split = Split(
                node.number,
                int(self._feature_of[column]),
                cut,
                bool(missing_left),
                codes_in(codes) if cut < 0 else (),
            )
            node.left_sums = best.left_sums[i]
            sign = int(self._columns.monotone[column])
            node.child_bounds = child_bounds(weights, sign, node.bounds)
            heapq.heappush(self._open, (-gain, node.number))


def _spread(
    answer: NodeHistograms | None, part: Frontier, whole: Frontier, shape: tuple[int, int, int]
) -> NodeHistograms:
    """An answer about some nodes as one about all of them, with zeros for the others."""
    sums = np.zeros((len(whole.asked), *shape), dtype=np.int64)
    if answer is None:
        return NodeHistograms(sums, None)
    sums[np.isin(whole.asked, part.asked)] = answer.sums
    if answer.allowed is None:
        return NodeHistograms(sums, None)
    n_features, n_indices, _ = shape
    allowed = np.zeros((len(whole.nodes), n_features, n_indices - 1, 2), dtype=np.bool_)
    allowed[np.isin(whole.nodes, part.nodes)] = answer.allowed
    return NodeHistograms(sums, allowed)


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
    rows: NDArray[np.int32],
    values: NDArray[np.int64],
    standing: NDArray[np.uint8],
    sums: NDArray[np.int64],
) -> tuple[np.int64, np.int64]:
    """Add these rows' gradients and hessians to `sums`.

    Returns
    -------
    n_active, n_weighted : int
        How many of the rows are active, and how many have positive weight besides.
    """
    n_active = n_weighted = np.int64(0)
    if len(sums) == 2:  # one output, which is most of the time: two registers instead of a loop
        gradient = hessian = np.int64(0)
        for row in rows:
            gradient += values[row, 0]
            hessian += values[row, 1]
            n_active += standing[row] >= ACTIVE
            n_weighted += standing[row] >= WEIGHTED
        sums[0] += gradient
        sums[1] += hessian
        return n_active, n_weighted
    for row in rows:
        n_active += standing[row] >= ACTIVE
        n_weighted += standing[row] >= WEIGHTED
        for i in range(len(sums)):
            sums[i] += values[row, i]
    return n_active, n_weighted
