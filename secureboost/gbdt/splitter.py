"""The best cut of each node, from its sums by bin.

    sums by bin  ->  number_splits, category_splits  ->  the best of all columns, as a record

The gain of a cut is ``s(L) + s(R) - s(L + R)`` with the scores of `scores`. A cut counts if both
children have a positive hessian of at least `min_child_weight` (over all outputs), if their values
do not contradict a monotone column (which a cut between present and missing values cannot), and if
its gain is above 1e-6 and at least `gamma`.

The sums are integers; only a whole side's sum becomes a float. So the gains, and with them the
trees, are the same whoever summed what in which order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.category_splits import find_category_splits
from secureboost.gbdt.codes import CODE_WORDS
from secureboost.gbdt.number_splits import find_joint_number_splits, find_number_splits
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.scores import Bounds, Terms, integer_weight, terms_of

BEST_SPLIT = np.dtype(
    [
        ("gain", np.float64),  # 0: no cut counts
        ("feature", np.int32),  # among the tree's columns; -1: no cut counts
        ("bin", np.int32),  # -1 in a split by categories
        ("missing_left", np.int32),
        ("codes", np.uint64, (CODE_WORDS,)),  # categories that go left; none in other splits
        ("left_weight", np.float64),  # the children's leaf values, clipped to the node's bounds,
        ("right_weight", np.float64),  # before the learning rate; 0 with several outputs
    ],
    align=True,
)

# What the kernels get for an array that is not there.
_EVERY_CUT = np.ones((0, 0, 0, 2), dtype=np.bool_)
_EVERY_COLUMN = np.ones((0, 0), dtype=np.bool_)


@dataclass(frozen=True, repr=False, eq=False)
class TreeColumns:
    """What is known of the tree's columns, all sources side by side.

    Attributes
    ----------
    n_bins : array of shape (f,), int32
        Bins of each column without the missing bin.
    categorical : array of shape (f,), bool
        Columns of categories.
    monotone : array of shape (f,), int8
        1 for values that must not fall as the column grows, -1 not rise, 0 for anything; 0 for
        columns of categories, and for all in a tree with several outputs.
    """

    n_bins: NDArray[np.int32]
    categorical: NDArray[np.bool_]
    monotone: NDArray[np.int8]


@dataclass(frozen=True, repr=False, eq=False)
class BestSplits:
    """The best cut of each node.

    Attributes
    ----------
    records : record array of shape (k,), `BEST_SPLIT`
    left_sums : array of shape (k, 2 * n_outputs), int64
        Gradients and hessians of what goes left; 0 where no cut counts.
    """

    records: NDArray[np.void]
    left_sums: NDArray[np.int64]


def best_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    columns: TreeColumns,
    allowed: NDArray[np.bool_] | None,
    candidates: NDArray[np.bool_] | None,
    bounds: NDArray[np.float64] | None,
    scales: tuple[float, float],
    params: BoosterParams,
) -> BestSplits:
    """The best cut of each node.

    Ties go to the lower column; then of numbers to the lower bin, then missing values right, and
    of categories to the set that is tried first.

    Parameters
    ----------
    sums : array of shape (k, f, max_bin + 1, 2 * n_outputs), int64
        Gradients and hessians by node, column and bin, the missing bin last.
    totals : array of shape (k, 2 * n_outputs), int64
        Gradients and hessians of each node.
    wanted : array of shape (k,), bool
        The nodes that may be split.
    columns : TreeColumns
    allowed : array of shape (k, f, max_bin, 2), bool, or None
        As in `columns.NodeHistograms`. None: every cut, and every code with a positive hessian.
    candidates : array of shape (k, f), bool, or None
        The columns that may split each node; None, all.
    bounds : array of shape (k, 2), float64, or None
        Smallest and largest leaf value below each node; None, no limits.
    scales : tuple of float
        What integer gradients and hessians are multiplied with to be real numbers: powers of two.
    params : BoosterParams

    Returns
    -------
    BestSplits
    """
    bounded = bounds is not None or bool(columns.monotone.any())
    if bounds is None:
        bounds = np.full((len(sums), 2), (-np.inf, np.inf))
    terms = terms_of(params, scales, bounded)
    best = np.zeros(len(sums), dtype=BEST_SPLIT)
    best["feature"] = -1
    left_sums = np.zeros_like(totals)
    nodes = sums, totals, wanted
    masks = (
        _EVERY_CUT if allowed is None else allowed,
        _EVERY_COLUMN if candidates is None else candidates,
    )
    kinds = columns.n_bins, columns.categorical
    if totals.shape[1] == 2:
        find_number_splits(*nodes, *kinds, columns.monotone, *masks, bounds, terms, best, left_sums)
    else:
        find_joint_number_splits(*nodes, *kinds, *masks, bounds, terms, best, left_sums)
    if columns.categorical.any():
        find_category_splits(
            *nodes,
            *kinds,
            *masks,
            bounds,
            terms,
            terms._replace(reg_lambda=terms.reg_lambda + float(params.cat_l2)),
            float(params.cat_smooth),
            int(params.max_cat_to_onehot),
            int(params.max_cat_threshold),
            best,
            left_sums,
        )
    if totals.shape[1] == 2:
        note_weights(totals, left_sums, bounds, terms, best)
    return BestSplits(best, left_sums)


def leaf_values(
    sums: NDArray[np.int64],
    bounds: NDArray[np.float64],
    scales: tuple[float, float],
    params: BoosterParams,
) -> NDArray[np.float64]:
    """The values of leaves with these sums, before the learning rate.

    Each output's is ``-T(G) / (H + reg_lambda)``, or 0 without a positive hessian, clipped to
    `max_delta_step` and then to `bounds`. All are 0 before they are clipped to `bounds` if the
    hessians together are below `min_child_weight`, which only a root's can be.

    Parameters
    ----------
    sums : array of shape (n_leaves, 2 * n_outputs), int64
        Gradients and hessians, output after output.
    bounds : array of shape (n_leaves, 2), float64
        Infinite where nothing is constrained.
    scales : tuple of float
        See `best_splits`.
    params : BoosterParams

    Returns
    -------
    array of shape (n_leaves, n_outputs), float64
    """
    values = np.zeros((len(sums), sums.shape[1] // 2))
    find_leaf_values(sums, bounds, terms_of(params, scales, bounded=True), values)
    return values


def child_bounds(weights: Sequence[float], sign: int, bounds: Bounds) -> tuple[Bounds, Bounds]:
    """The bounds of a split's left and right child.

    As in XGBoost the children of a monotone column's cut meet at the middle of their values, so
    no later split of one of them can undo their order. (It is the order of their values that
    counts: a cut between present and missing values may have either.)

    Parameters
    ----------
    weights : sequence of two floats
        ``left_weight`` and ``right_weight`` of the node's cut, a record of `BEST_SPLIT`.
    sign : int
        The `monotone` sign of its column; 0 for a column of categories.
    bounds : tuple of float
        The node's own.
    """
    if sign == 0:
        return bounds, bounds
    lower, upper = bounds
    left, right = weights
    middle = (left + right) / 2.0
    low, high = (lower, middle), (middle, upper)
    rises = sign > 0 if left == right else left < right
    return (low, high) if rises else (high, low)


@kernel
def find_leaf_values(
    sums: NDArray[np.int64],
    bounds: NDArray[np.float64],
    terms: Terms,
    values: NDArray[np.float64],
) -> None:
    """Kernel of `leaf_values`."""
    for leaf in range(len(sums)):
        lower, upper = bounds[leaf]
        total = np.int64(0)
        for i in range(1, sums.shape[1], 2):
            total += sums[leaf, i]
        enough = total * terms.hessian_scale >= terms.min_child_weight
        for k in range(values.shape[1]):
            pair = sums[leaf, 2 * k : 2 * k + 2]
            if enough and pair[1] > 0:
                values[leaf, k] = integer_weight(pair, lower, upper, terms)
            else:
                values[leaf, k] = min(max(0.0, lower), upper)


@kernel
def note_weights(
    totals: NDArray[np.int64],
    left_sums: NDArray[np.int64],
    bounds: NDArray[np.float64],
    terms: Terms,
    best: NDArray[np.void],
) -> None:
    """Fill in the leaf values of the children of each node that has a cut."""
    for node in range(len(best)):
        if best[node]["feature"] >= 0:
            lower, upper = bounds[node]
            left = left_sums[node]
            best[node]["left_weight"] = integer_weight(left, lower, upper, terms)
            best[node]["right_weight"] = integer_weight(totals[node] - left, lower, upper, terms)
