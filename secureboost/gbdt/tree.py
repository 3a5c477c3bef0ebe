"""A tree is a record array; an ensemble is trees that are added up.

    node 0: owner 0, feature 3, bin 7        left 1, right 2
    node 1: owner 1, split_id 12             left 3, right 4     (a partner's: no feature, no bin)
    node 2: owner 0, feature 5, codes {0, 4} left 5, right 6     (by categories: no bin)
    node 3: leaf, value -0.21                left -1

Owner 0 is the label party; its splits are known by feature and by bin and threshold or a set of
codes. A partner's split is known here by its number among that owner's splits only: the partner
keeps what it means.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secureboost.gbdt.codes import CODE_WORDS
from secureboost.gbdt.walk import BLOCK, Forest, add_trees, make_forest


def node_dtype(n_values: int = 1) -> np.dtype[np.void]:
    """What a tree's records are: one value a leaf, or one for each output.

    Parameters
    ----------
    n_values : int
        Outputs that the tree adds to; with 1 the field ``value`` is a number, else an array.
    """
    return np.dtype(
        [
            ("owner", np.int16),  # index among the sources; -1 for a leaf
            ("feature", np.int32),  # column within its owner; -1 for a leaf or where not known
            ("bin", np.int16),  # rows up to this bin go left; -1 by categories, else as `feature`
            ("codes", np.uint64, (CODE_WORDS,)),  # categories that go left; none in other splits
            ("missing_left", np.bool_),
            ("threshold", np.float32),  # own numbers: x <= threshold goes left; NaN elsewhere
            ("split_id", np.int32),  # number of a partner's split among its owner's; -1 elsewhere
            ("left", np.int32),  # -1 for a leaf
            ("right", np.int32),
            ("value", np.float64, () if n_values == 1 else (n_values,)),  # leaf, learning rate in
            ("gain", np.float64),  # of a split; 0 for a leaf
            ("sum_hessian", np.float64),  # of the node's sampled rows, over the tree's outputs
        ]
    )


NODE = node_dtype()
Tree = NDArray[np.void]

_WORTH_A_THREAD = 4096  # rows


@dataclass(frozen=True, repr=False, eq=False)
class Ensemble:
    """Trees and what they are added to.

    A round has one tree with a value for each output, or for each output in turn a tree with one
    value. The trees of the last round need not be complete.

    Attributes
    ----------
    trees : tuple of record arrays, `node_dtype`
    base_score : tuple of float
        Raw score before the first tree, output by output.
    owners : tuple of str
        Names of the sources, the label party (the empty string) first.
    outputs : tuple of int
        The output that each tree adds to; -1 for all.

    Raises
    ------
    ValueError
        If `outputs` or the trees' values do not fit the number of outputs.
    """

    trees: tuple[Tree, ...]
    base_score: tuple[float, ...]
    owners: tuple[str, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        n_trees, n_outputs = len(self.trees), self.n_outputs
        in_turn = tuple(i % n_outputs for i in range(n_trees))
        if self.outputs not in (in_turn, (-1,) * n_trees):
            raise ValueError(
                f"outputs={self.outputs} of {n_trees} trees must be -1 for each, or count from 0 "
                f"to {n_outputs - 1} again and again"
            )
        n_values = n_outputs // self.trees_per_round
        for number, tree in enumerate(self.trees):
            if tree.dtype != node_dtype(n_values):
                raise ValueError(f"tree {number} does not have {n_values} values a node")

    @property
    def n_outputs(self) -> int:
        """Raw scores of a row."""
        return len(self.base_score)

    @property
    def trees_per_round(self) -> int:
        """Trees of one round: the number of outputs if each tree has one of several, else 1."""
        return self.n_outputs if self.outputs and self.outputs[0] >= 0 else 1

    @property
    def n_rounds(self) -> int:
        """Complete rounds."""
        return len(self.trees) // self.trees_per_round

    @property
    def n_splits(self) -> tuple[int, ...]:
        """How many numbered splits each owner has (0 for owner 0: its splits bear no number).

        They are numbered 0, 1, ... through all trees, in the order in which they were divided.
        """
        counts = np.zeros(len(self.owners), dtype=np.int64)
        for tree in self.trees:
            numbered = tree["split_id"] >= 0
            counts += np.bincount(tree["owner"][numbered], minlength=len(self.owners))
        return tuple(counts.tolist())

    def first_rounds(self, n: int) -> "Ensemble":
        """The same with the first `n` rounds alone; each owner's first splits are theirs.

        Raises
        ------
        ValueError
            If there are not so many complete rounds.
        """
        if not 0 <= n <= self.n_rounds:
            raise ValueError(f"{n} rounds were asked for; the model has {self.n_rounds}")
        n_trees = n * self.trees_per_round
        return replace(self, trees=self.trees[:n_trees], outputs=self.outputs[:n_trees])

    def with_thresholds(self, edges: Sequence[NDArray[np.float32]]) -> "Ensemble":
        """The same with the thresholds of owner 0's splits of numbers filled in.

        Parameters
        ----------
        edges : sequence of arrays, float32
            Upper edges of owner 0's bins, column by column; of columns of categories they are not
            looked at. The cut after the last bin, which separates every value from missing, gets
            infinity.
        """
        return replace(self, trees=tuple(_with_thresholds(tree, edges) for tree in self.trees))

    def raw_scores(
        self,
        X: NDArray[np.float32],
        goes_left: NDArray[np.uint8] | None = None,
        *,
        n_jobs: int = 1,
    ) -> NDArray[np.float64]:
        """Sum of the trees for rows of a table.

        Adds in the order of training, so training rows get the very scores they had there.

        Parameters
        ----------
        X : array of shape (n_rows, n_features), float32
            Owner 0's columns; NaN is missing. Categories are the model's codes, unseen ones NaN.
        goes_left : array of shape (sum(n_splits), ceil(n_rows / 8)), uint8, optional
            One bit per partner's split and row, lowest bit first (``np.packbits(...,
            bitorder="little")``): owner 1's splits by number, then owner 2's, and so on.
        n_jobs : int
            Threads.

        Returns
        -------
        array of shape (n_rows,) for one output, else (n_rows, n_outputs), float64

        Raises
        ------
        ValueError
            If a table has another shape than the trees need.
        """
        columns, bits = self._check_tables(X, goes_left)
        forest, scores = self._forest, self._first_scores(len(X))

        def add(first: int, behind: int) -> None:
            add_trees(columns, bits, forest, scores, first, behind)

        shares = max(1, min(n_jobs, len(X) // _WORTH_A_THREAD))
        if shares == 1:
            add(0, len(X))
            return _by_row(scores)
        edges = [len(X) * i // shares // BLOCK * BLOCK for i in range(shares)] + [len(X)]
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(add, edges[:-1], edges[1:]))
        return _by_row(scores)

    def staged_raw_scores(
        self, X: NDArray[np.float32], goes_left: NDArray[np.uint8] | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Scores after each complete round, as `raw_scores`.

        The array may be used again for the next round, so copy what is kept.
        """
        columns, bits = self._check_tables(X, goes_left)
        scores, step = self._first_scores(len(X)), self.trees_per_round
        for first in range(0, self.n_rounds * step, step):
            forest = self._forest.only(first, first + step)
            add_trees(columns, bits, forest, scores, 0, len(X))
            yield _by_row(scores)

    def _first_scores(self, n_rows: int) -> NDArray[np.float64]:
        """Scores before the first tree, shape (n_outputs, n_rows)."""
        return np.repeat(np.array(self.base_score, np.float64)[:, np.newaxis], n_rows, axis=1)

    def _check_tables(
        self, X: NDArray[np.float32], goes_left: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Compare the shapes of tables with what the trees need; give own columns and bits."""
        n_remote = sum(self.n_splits)
        if goes_left is None:
            goes_left = np.empty((0, (len(X) + 7) // 8), dtype=np.uint8)
        if goes_left.shape != (n_remote, (len(X) + 7) // 8):
            raise ValueError(
                f"goes_left has shape {goes_left.shape}, {n_remote} partners' splits and "
                f"{len(X)} rows need {(n_remote, (len(X) + 7) // 8)}"
            )
        forest = self._forest
        by_codes = forest.columns_of_codes.max(initial=-1)
        used = max(forest.steps["feature"].max(initial=-1), by_codes)
        if X.shape[1] <= used:
            raise ValueError(f"X has {X.shape[1]} columns, the trees use column {used}")
        return np.ascontiguousarray(X.T, dtype=np.float32), np.ascontiguousarray(goes_left)

    @cached_property
    def _forest(self) -> Forest:
        nodes = np.concatenate(self.trees) if self.trees else np.empty(0, dtype=NODE)
        return make_forest(nodes, [len(tree) for tree in self.trees], self.outputs, self.n_splits)


def _by_row(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """From (n_outputs, n_rows) to (n_rows, n_outputs), rows contiguous, or (n_rows,) for one."""
    return scores[0] if len(scores) == 1 else np.ascontiguousarray(scores.T)


def _with_thresholds(tree: Tree, edges: Sequence[NDArray[np.float32]]) -> Tree:
    filled = tree.copy()
    for node in np.flatnonzero((filled["owner"] == 0) & (filled["bin"] >= 0)):
        own, cut = edges[filled["feature"][node]], filled["bin"][node]
        filled["threshold"][node] = own[cut] if cut < len(own) else np.inf
    return filled
