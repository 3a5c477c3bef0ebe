"""Boosting in float64: what training on rounded gradients is compared with.

The same bins, formulas, limits and order of candidates as `secureboost.gbdt`, written a second time
with numpy, except that nothing is rounded to integers. Gradients and hessians stay float64, each
bin's sum adds its rows one after the other in float64, a child's histogram is summed from its rows
and not taken from its sibling's.

Float64 sums of the same rows differ in their last digits when the rows come in another order, as
they do by another column's bins. So where two cuts are equally good, and in a first round, in which
gradients have two values only, many are, noise would choose. `Cuts.tie` says which gains count as
equal; the first of them wins, as it does among equal integers.
"""

from dataclasses import dataclass

import numpy as np

from secureboost.gbdt.params import BoosterParams
from secureboost.objectives import BinaryLogistic

MIN_GAIN = 1e-6
TREE = np.dtype(
    [
        ("feature", np.int32),  # -1 for a leaf
        ("bin", np.int16),
        ("left", np.int32),  # -1 for a leaf
        ("right", np.int32),
        ("value", np.float64),  # of a leaf, times the learning rate
    ]
)
"""The fields of the product's trees that matter here, under the same names."""


def scores(sums: np.ndarray, params: BoosterParams) -> np.ndarray:
    """``G^2 / (H + reg_lambda)`` of sums of shape (..., 2)."""
    return sums[..., 0] ** 2 / (sums[..., 1] + params.reg_lambda)


@dataclass(frozen=True, repr=False)
class Cuts:
    """The cuts of a binned table without missing values.

    Attributes
    ----------
    binned : array of shape (n_features, n_rows), uint8
    params : BoosterParams
        Depthwise growth, `min_child_weight` and a positive `reg_lambda` are followed; the rest is
        at its default.
    tie : float
        Gains that differ by less than this share of the scores they come from are equal.
    """

    binned: np.ndarray
    params: BoosterParams
    tie: float = 1e-12

    def gains(self, rows: np.ndarray, gh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each cut's gain, and the hessian of its lighter side, of shape (n_features, max_bin - 1).

        Parameters
        ----------
        rows : array of int
            Of the node.
        gh : array of shape (n_rows, 2), float64
            Gradient and hessian of every row.
        """
        own = gh[rows]
        left = np.empty((len(self.binned), self.params.max_bin - 1, 2))
        for feature, column in enumerate(self.binned):
            bins = column[rows]
            for part in (0, 1):
                sums = np.bincount(bins, own[:, part], self.params.max_bin)
                left[feature, :, part] = sums.cumsum()[:-1]
        total = own.sum(axis=0)
        right = total - left
        gain = scores(left, self.params) + scores(right, self.params) - scores(total, self.params)
        return gain, np.minimum(left[..., 1], right[..., 1])

    def best(self, rows: np.ndarray, gh: np.ndarray) -> tuple[int, int] | None:
        """Feature and bin of the best cut of a node, None if none counts."""
        gains, lighter = self.gains(rows, gh)
        gains[(lighter <= 0) | (lighter < self.params.min_child_weight)] = -np.inf
        highest = gains.max()
        if highest <= MIN_GAIN:
            return None
        noise = self.tie * (highest + 2 * scores(gh[rows].sum(axis=0), self.params))
        feature, cut = np.unravel_index(np.argmax(gains >= highest - noise), gains.shape)
        return int(feature), int(cut)

    def grow(self, gh: np.ndarray) -> np.ndarray:
        """Grow a tree level by level; record array of `TREE`, numbered as the product's."""
        tree = [(-1, -1, -1, -1, 0.0)]
        rows_of = {0: np.arange(len(gh))}
        level = [0]
        for _ in range(self.params.max_depth):
            parents, level = level, []
            for number in parents:
                rows = rows_of[number]
                found = self.best(rows, gh)
                if found is None:
                    continue
                feature, cut = found
                goes_left = self.binned[feature, rows] <= cut
                left, right = len(tree), len(tree) + 1
                tree[number] = (feature, cut, left, right, 0.0)
                tree += [(-1, -1, -1, -1, 0.0)] * 2
                rows_of[left], rows_of[right] = rows[goes_left], rows[~goes_left]
                del rows_of[number]
                level += [left, right]
        grown = np.array(tree, TREE)
        for number, rows in rows_of.items():
            grown["value"][number] = leaf_values(gh[rows].sum(axis=0), self.params)
        return grown


def leaf_values(sums: np.ndarray, params: BoosterParams) -> np.ndarray:
    """``-learning_rate G / (H + reg_lambda)`` of sums of shape (..., 2)."""
    return -sums[..., 0] / (sums[..., 1] + params.reg_lambda) * params.learning_rate


def gradients(raw: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient and hessian of each row's log-loss, shape (n_rows, 2), in float64."""
    return np.stack(BinaryLogistic().gradients(raw, y, np.ones(len(y))), axis=1)


def leaf_of_row(tree: np.ndarray, binned: np.ndarray) -> np.ndarray:
    """The leaf that each row of a binned table falls into."""
    rows = np.arange(binned.shape[1])
    node = np.zeros(len(rows), dtype=np.int64)
    while (inner := tree["left"][node] >= 0).any():
        goes_left = binned[tree["feature"][node], rows] <= tree["bin"][node]
        child = np.where(goes_left, tree["left"][node], tree["right"][node])
        node = np.where(inner, child, node)
    return node


def train(cuts: Cuts, y: np.ndarray, base_score: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Boost in float64.

    Returns
    -------
    trees : list of record arrays, `TREE`
    raw : array of shape (n_trees, n_rows), float64
        Scores after each tree.
    """
    trees, raw = [], np.empty((cuts.params.n_estimators, len(y)))
    before = np.full(len(y), base_score)
    for after in raw:
        tree = cuts.grow(gradients(before, y))
        after[:] = before + tree["value"][leaf_of_row(tree, cuts.binned)]
        trees.append(tree)
        before = after
    return trees, raw
