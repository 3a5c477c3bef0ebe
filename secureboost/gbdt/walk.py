"""Prediction: rows walk down the trees, 64 of them together.

A word has a bit for each of 64 rows. A node that some of them reach hands the word of those that go
left to one child and the rest to the other, so that no branch depends on one row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.codes import CODE_WORDS

BLOCK = 64
"""Rows that take a tree together."""

_MISSING = 64 * CODE_WORDS - 1  # codes of categories are below this

# What prediction walks along: small, so that many trees stay in the cache.
_STEP = np.dtype(
    [
        # own number: column; a partner's: -1 - row of the bit matrix; own by categories: numbered
        # on from the last row of the bit matrix
        ("feature", np.int32),
        ("threshold", np.float32),
        ("left", np.int32),  # -1 for a leaf
        ("right", np.int32),
        ("missing_left", np.bool_),
    ],
    align=True,
)


class Forest(NamedTuple):
    """The nodes of many trees behind each other, laid out for `add_trees`.

    Attributes
    ----------
    steps : record array of shape (n_nodes,)
    codes : array of shape (n_own_splits_by_categories, CODE_WORDS), uint64
        The sets of codes that go left; 255 stands for missing and unknown.
    columns_of_codes : array of shape (n_own_splits_by_categories,), int32
        The column of each set.
    values : array of shape (n_nodes, n_values), float64
        Of the leaves; n_values is 1, or the number of outputs.
    roots : array of shape (n_trees,), int32
        Where each tree starts.
    outputs : array of shape (n_trees,), int32
        The output that the first of a tree's values is added to; the next follow it.
    """

    steps: NDArray[np.void]
    codes: NDArray[np.uint64]
    columns_of_codes: NDArray[np.int32]
    values: NDArray[np.float64]
    roots: NDArray[np.int32]
    outputs: NDArray[np.int32]

    def only(self, first: int, behind: int) -> "Forest":
        """The trees ``first .. behind - 1``."""
        return self._replace(roots=self.roots[first:behind], outputs=self.outputs[first:behind])


def make_forest(
    nodes: NDArray[np.void],
    sizes: Sequence[int],
    outputs: Sequence[int],
    n_splits: Sequence[int],
) -> Forest:
    """Lay out trees for prediction.

    Parameters
    ----------
    nodes : record array, `tree.node_dtype`
        The trees behind each other.
    sizes : sequence of int
        Nodes of each tree.
    outputs : sequence of int
        The output that each tree adds to; -1 for all.
    n_splits : sequence of int
        Numbered splits of each owner.
    """
    ends = np.cumsum(sizes, dtype=np.int32)
    roots = ends - np.array(sizes, dtype=np.int32)
    first_bit = np.concatenate([[0], np.cumsum(n_splits)])
    remote = nodes["split_id"] >= 0
    by_codes = ~remote & nodes["codes"].any(axis=1)
    codes = nodes["codes"][by_codes]
    codes[:, _MISSING >> 6] |= nodes["missing_left"][by_codes].astype(np.uint64) << (_MISSING & 63)
    row = first_bit[nodes["owner"]] + nodes["split_id"]
    shift = np.repeat(roots, sizes)
    steps = np.zeros(len(nodes), dtype=_STEP)
    steps["feature"] = np.where(remote, -1 - row, nodes["feature"])
    steps["feature"][by_codes] = -1 - first_bit[-1] - np.arange(by_codes.sum())
    steps["threshold"] = nodes["threshold"]
    steps["missing_left"] = nodes["missing_left"]
    for side in ("left", "right"):
        steps[side] = np.where(nodes[side] >= 0, nodes[side] + shift, -1)
    return Forest(
        steps,
        codes,
        nodes["feature"][by_codes],
        nodes["value"].reshape(len(nodes), int(np.prod(nodes.dtype["value"].shape))),
        roots,
        np.maximum(np.array(outputs, dtype=np.int32), 0),
    )


@kernel
def add_trees(
    columns: NDArray[np.float32],
    bits: NDArray[np.uint8],
    forest: Forest,
    scores: NDArray[np.float64],
    first: int,
    behind: int,
) -> None:
    """Add the leaf values of some rows, tree after tree.

    Parameters
    ----------
    columns : array of shape (n_features, n_rows), float32
        NaN is missing; categories are codes.
    bits : array of shape (n_numbered_splits, ceil(n_rows / 8)), uint8
        Which rows go left at partners' splits, lowest bit first.
    forest : Forest
    scores : array of shape (n_outputs, n_rows), float64
        Changed in place.
    first, behind : int
        The rows; `first` is a multiple of `BLOCK`.
    """
    steps, values = forest.steps, forest.values
    nodes = np.empty(len(steps) + 1, np.int32)
    words = np.empty(len(steps) + 1, np.uint64)
    for begin in range(first, behind, BLOCK):
        end = min(begin + BLOCK, behind)
        for tree in range(len(forest.roots)):
            output = forest.outputs[tree]
            nodes[0] = forest.roots[tree]
            words[0] = ~np.uint64(0) >> np.uint64(BLOCK - (end - begin))
            waiting = 1
            while waiting > 0:
                waiting -= 1
                node, here = nodes[waiting], words[waiting]
                step = steps[node]
                if step["left"] < 0:
                    for i in range(values.shape[1]):
                        add_to_word(scores[output + i, begin:end], here, values[node, i])
                    continue
                feature = step["feature"]
                if feature >= 0:
                    own = columns[feature, begin:end]
                    left = compare_word(own, step["threshold"], step["missing_left"])
                elif -1 - feature < len(bits):
                    left = read_word(bits[-1 - feature], begin >> 3)
                else:
                    split = -1 - feature - len(bits)
                    own = columns[forest.columns_of_codes[split], begin:end]
                    left = find_word(own, forest.codes[split])
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
    """Bit i: number i goes left."""
    word = np.uint64(0)
    if missing_left:
        for i in range(len(values)):
            word |= np.uint64(not values[i] > threshold) << np.uint64(i)
    else:
        for i in range(len(values)):
            word |= np.uint64(values[i] <= threshold) << np.uint64(i)
    return word


@kernel
def find_word(values: NDArray[np.float32], codes: NDArray[np.uint64]) -> np.uint64:
    """Bit i: category i goes left."""
    word = np.uint64(0)
    for i in range(len(values)):
        known = 0 <= values[i] < _MISSING  # not NaN
        code = np.uint64(values[i] if known else _MISSING)
        bit = codes[code >> np.uint64(6)] >> (code & np.uint64(63))
        word |= (bit & np.uint64(1)) << np.uint64(i)
    return word


@kernel
def add_to_word(scores: NDArray[np.float64], rows: np.uint64, value: float) -> None:
    """Add `value` to score i if bit i is set."""
    for i in range(len(scores)):
        # adding zero to the others is a vector instruction; leaving them out is a jump each
        scores[i] += value if (rows >> np.uint64(i)) & np.uint64(1) else 0.0
