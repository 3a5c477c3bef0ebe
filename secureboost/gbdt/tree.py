"""A tree is a record array; an ensemble is trees that are added up.

    node 0: owner 0, feature 3, bin 7        left 1, right 2
    node 1: owner 1, split_id 12             left 3, right 4     (a partner's: no feature, no bin)
    node 2: leaf, value -0.21                left -1

Owner 0 is the label party; its splits are known by feature, bin and threshold. A partner's split
is known here by its number among that owner's splits only: the partner keeps what it means.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel

NODE = np.dtype(
    [
        ("owner", np.int16),  # index among the sources; -1 for a leaf
        ("feature", np.int32),  # column within its owner; -1 for a leaf or where not ours to know
        ("bin", np.int16),  # rows in this bin or below go left; -1 as for `feature`
        ("missing_left", np.bool_),
        ("threshold", np.float32),  # own splits: rows with x <= threshold go left; NaN elsewhere
        ("split_id", np.int32),  # number of a partner's split among that owner's; -1 elsewhere
        ("left", np.int32),  # -1 for a leaf
        ("right", np.int32),
        ("value", np.float64),  # of a leaf, times the learning rate; 0 for inner nodes
        ("gain", np.float64),  # of a split; 0 for a leaf
        ("sum_hessian", np.float64),  # of the node's sampled rows
    ]
)
Tree = NDArray[np.void]

# What prediction walks along: small, so that many trees stay in the cache.
_STEP = np.dtype(
    [
        ("feature", np.int32),  # own: column; a partner's: -1 - row of the bit matrix
        ("threshold", np.float32),
        ("left", np.int32),  # -1 for a leaf
        ("right", np.int32),
        ("missing_left", np.bool_),
    ],
    align=True,
)
_BLOCK = 64  # rows that take a tree together: bits of a word
_WORTH_A_THREAD = 4096  # rows


@dataclass(frozen=True, repr=False, eq=False)
class Ensemble:
    """Trees and what they are added to.

    Attributes
    ----------
    trees : tuple of record arrays, `NODE`
    base_score : float
        Raw score before the first tree.
    owners : tuple of str
        Names of the sources, the label party (the empty string) first.
    """

    trees: tuple[Tree, ...]
    base_score: float
    owners: tuple[str, ...]

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

    def with_thresholds(self, edges: Sequence[NDArray[np.float32]]) -> "Ensemble":
        """The same with the thresholds of owner 0's splits filled in.

        Parameters
        ----------
        edges : sequence of arrays, float32
            Upper edges of owner 0's bins, column by column. The cut after the last bin, which
            separates every value from missing, gets infinity.
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
            Owner 0's columns; NaN is missing.
        goes_left : array of shape (sum(n_splits), ceil(n_rows / 8)), uint8, optional
            One bit per partner's split and row, lowest bit first (``np.packbits(...,
            bitorder="little")``): owner 1's splits by number, then owner 2's, and so on.
        n_jobs : int
            Threads.

        Returns
        -------
        array of shape (n_rows,), float64

        Raises
        ------
        ValueError
            If a table has another shape than the trees need.
        """
        columns, bits = self._check_tables(X, goes_left)
        steps, values, starts = self._flat
        scores = np.full(len(X), self.base_score, dtype=np.float64)

        def add(first: int, behind: int) -> None:
            add_trees(columns, bits, steps, values, starts, scores, first, behind)

        shares = max(1, min(n_jobs, len(X) // _WORTH_A_THREAD))
        if shares == 1:
            add(0, len(X))
            return scores
        edges = [len(X) * i // shares // _BLOCK * _BLOCK for i in range(shares)] + [len(X)]
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(add, edges[:-1], edges[1:]))
        return scores

    def staged_raw_scores(
        self, X: NDArray[np.float32], goes_left: NDArray[np.uint8] | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Scores after each tree, as `raw_scores`; the array is reused, so copy what is kept."""
        columns, bits = self._check_tables(X, goes_left)
        steps, values, starts = self._flat
        scores = np.full(len(X), self.base_score, dtype=np.float64)
        for tree in range(len(starts)):
            add_trees(columns, bits, steps, values, starts[tree : tree + 1], scores, 0, len(X))
            yield scores

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
        used = self._flat[0]["feature"].max(initial=-1)
        if X.shape[1] <= used:
            raise ValueError(f"X has {X.shape[1]} columns, the trees use column {used}")
        return np.ascontiguousarray(X.T, dtype=np.float32), np.ascontiguousarray(goes_left)

    @cached_property
    def _flat(self) -> tuple[NDArray[np.void], NDArray[np.float64], NDArray[np.int32]]:
        """All trees' nodes behind each other, their values, and where each tree starts."""
        sizes = np.array([len(tree) for tree in self.trees], dtype=np.int32)
        starts = np.cumsum(sizes, dtype=np.int32) - sizes
        nodes = np.concatenate(self.trees) if self.trees else np.empty(0, dtype=NODE)
        inner = nodes["left"] >= 0
        first_bit = np.concatenate([[0], np.cumsum(self.n_splits)]).astype(np.int32)
        steps = np.zeros(len(nodes), dtype=_STEP)
        steps["threshold"] = nodes["threshold"]
        steps["missing_left"] = nodes["missing_left"]
        remote = nodes["split_id"] >= 0
        row = first_bit[nodes["owner"]] + nodes["split_id"]
        steps["feature"] = np.where(remote, -1 - row, nodes["feature"])
        shift = np.repeat(starts, sizes)
        steps["left"] = np.where(inner, nodes["left"] + shift, -1)
        steps["right"] = np.where(inner, nodes["right"] + shift, -1)
        return steps, np.ascontiguousarray(nodes["value"]), starts


def label_half(tree: Tree) -> Tree:
    """What the label party keeps of a tree: of partners' splits only owner and number."""
    half = tree.copy()
    foreign = half["owner"] > 0
    half["feature"][foreign] = -1
    half["bin"][foreign] = -1
    half["missing_left"][foreign] = False
    return half


def pooled(tree: Tree, n_features: Sequence[int]) -> Tree:
    """The tree over one table with all owners' columns side by side.

    Parameters
    ----------
    tree : record array, `NODE`
        With features and bins of every owner.
    n_features : sequence of int
        Columns of each owner.
    """
    joined = tree.copy()
    inner = joined["left"] >= 0
    first = np.concatenate([[0], np.cumsum(n_features)[:-1]]).astype(np.int32)
    joined["feature"][inner] += first[joined["owner"][inner]]
    joined["owner"][inner] = 0
    joined["split_id"] = -1
    return joined


def _with_thresholds(tree: Tree, edges: Sequence[NDArray[np.float32]]) -> Tree:
    filled = tree.copy()
    for node in np.flatnonzero(filled["owner"] == 0):
        own, cut = edges[filled["feature"][node]], filled["bin"][node]
        filled["threshold"][node] = own[cut] if cut < len(own) else np.inf
    return filled


@kernel
def add_trees(
    columns: NDArray[np.float32],
    bits: NDArray[np.uint8],
    steps: NDArray[np.void],
    values: NDArray[np.float64],
    starts: NDArray[np.int32],
    scores: NDArray[np.float64],
    first: int,
    behind: int,
) -> None:
    """Add the leaf values of rows `first` (a multiple of 64) to `behind`, tree after tree.

    A word has a bit for each of 64 rows. A node that some of them reach hands the word of those
    that go left to one child and the rest to the other, so that no branch depends on one row.
    """
    nodes = np.empty(len(steps) + 1, np.int32)
    words = np.empty(len(steps) + 1, np.uint64)
    for begin in range(first, behind, _BLOCK):
        end = min(begin + _BLOCK, behind)
        for start in starts:
            nodes[0] = start
            words[0] = ~np.uint64(0) >> np.uint64(_BLOCK - (end - begin))
            waiting = 1
            while waiting > 0:
                waiting -= 1
                node, here = nodes[waiting], words[waiting]
                step = steps[node]
                if step["left"] < 0:
                    add_to_word(scores[begin:end], here, values[node])
                    continue
                feature = step["feature"]
                if feature < 0:
                    left = read_word(bits[-1 - feature], begin >> 3)
                else:
                    own = columns[feature, begin:end]
                    left = compare_word(own, step["threshold"], step["missing_left"])
                for child, rows in ((step["right"], here & ~left), (step["left"], here & left)):
                    if rows:
                        nodes[waiting], words[waiting] = child, rows
                        waiting += 1


@kernel
def read_word(line: NDArray[np.uint8], first: int) -> np.uint64:
    """Eight bytes from `first` on, or as many as there are, as a word."""
    word = np.uint64(0)
    for i in range(min(8, len(line) - first)):
        word |= np.uint64(line[first + i]) << np.uint64(8 * i)
    return word


@kernel
def compare_word(values: NDArray[np.float32], threshold: float, missing_left: bool) -> np.uint64:
    """Bit i: value i goes left."""
    word = np.uint64(0)
    if missing_left:
        for i in range(len(values)):
            word |= np.uint64(not values[i] > threshold) << np.uint64(i)
    else:
        for i in range(len(values)):
            word |= np.uint64(values[i] <= threshold) << np.uint64(i)
    return word


@kernel
def add_to_word(scores: NDArray[np.float64], rows: np.uint64, value: float) -> None:
    """Add `value` to score i if bit i is set."""
    for i in range(len(scores)):
        # adding zero to the others is a vector instruction; leaving them out is a jump each
        scores[i] += value if (rows >> np.uint64(i)) & np.uint64(1) else 0.0
