"""The best cut of each node by a column of numbers: all bins up to one go left.

Two kernels, for trees with one output and for those with several. What they note is the same
where both apply; the first keeps a cut's sums in registers.
"""

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.scores import (
    MIN_GAIN,
    Terms,
    bounded_weight,
    children_score,
    divide_sums,
    node_score,
    score,
    score_of_weight,
)


@kernel
def find_number_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    n_bins: NDArray[np.int32],
    categorical: NDArray[np.bool_],
    monotone: NDArray[np.int8],
    allowed: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    bounds: NDArray[np.float64],
    terms: Terms,
    best: NDArray[np.void],
    left_sums: NDArray[np.int64],
) -> None:
    """Note each node's best cut for one output; where none counts nothing is written.

    Arguments as those of `splitter.best_splits`; an `allowed` or a `candidates` of length 0
    forbids nothing.
    """
    masked, limited = len(allowed) > 0, len(candidates) > 0
    missing_bin = sums.shape[2] - 1
    g_scale, h_scale = terms.gradient_scale, terms.hessian_scale
    for node in range(len(sums)):
        if not wanted[node]:
            continue
        total_g, total_h = totals[node]
        lower, upper = bounds[node]
        parent = node_score(totals[node], lower, upper, terms)
        highest = MIN_GAIN
        for f in range(len(n_bins)):
            if categorical[f] or (limited and not candidates[node, f]):
                continue
            missing_g, missing_h = sums[node, f, missing_bin]
            # without missing values both sides are the same cut, and right comes first
            sides = 2 if masked or missing_g != 0 or missing_h != 0 else 1
            up_to_g = up_to_h = np.int64(0)
            for b in range(n_bins[f]):
                up_to_g += sums[node, f, b, 0]
                up_to_h += sums[node, f, b, 1]
                for side in range(sides):
                    if masked and not allowed[node, f, b, side]:
                        continue
                    left_g = up_to_g + side * missing_g
                    left_h = up_to_h + side * missing_h
                    h_left = left_h * h_scale
                    h_right = (total_h - left_h) * h_scale
                    if not (h_left > 0.0 and h_right > 0.0):
                        continue
                    if h_left < terms.min_child_weight or h_right < terms.min_child_weight:
                        continue
                    g_left = left_g * g_scale
                    g_right = (total_g - left_g) * g_scale
                    if terms.bounded:
                        on_left = bounded_weight(g_left, h_left, lower, upper, terms)
                        on_right = bounded_weight(g_right, h_right, lower, upper, terms)
                        # the last cut is between present and missing values: no order to keep
                        if monotone[f] * (on_right - on_left) < 0.0 and b + 1 < n_bins[f]:
                            continue
                        s_left = score_of_weight(g_left, h_left, on_left, terms)
                        s_right = score_of_weight(g_right, h_right, on_right, terms)
                    else:
                        s_left = score(g_left, h_left, terms)
                        s_right = score(g_right, h_right, terms)
                    gain = s_left + s_right - parent
                    if gain > highest and gain >= terms.gamma:
                        highest = gain
                        best[node]["gain"] = gain
                        best[node]["feature"] = f
                        best[node]["bin"] = b
                        best[node]["missing_left"] = side
                        left_sums[node, 0] = left_g
                        left_sums[node, 1] = left_h


@kernel
def find_joint_number_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    n_bins: NDArray[np.int32],
    categorical: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    bounds: NDArray[np.float64],
    terms: Terms,
    best: NDArray[np.void],
    left_sums: NDArray[np.int64],
) -> None:
    """Note each node's best cut for any number of outputs and no monotone column."""
    masked, limited = len(allowed) > 0, len(candidates) > 0
    missing_bin, n_sums = sums.shape[2] - 1, sums.shape[3]
    present = np.empty(n_sums, dtype=np.int64)
    left, right = np.empty(n_sums, dtype=np.int64), np.empty(n_sums, dtype=np.int64)
    for node in range(len(sums)):
        if not wanted[node]:
            continue
        total = totals[node]
        lower, upper = bounds[node]
        parent = node_score(total, lower, upper, terms)
        highest = MIN_GAIN
        for f in range(len(n_bins)):
            if categorical[f] or (limited and not candidates[node, f]):
                continue
            missing = sums[node, f, missing_bin]
            sides = 2 if masked or missing.any() else 1
            present[:] = 0
            for b in range(n_bins[f]):
                present += sums[node, f, b]
                for side in range(sides):
                    if masked and not allowed[node, f, b, side]:
                        continue
                    divide_sums(total, present, missing, side, left, right)
                    gain = children_score(left, right, lower, upper, terms) - parent
                    if gain > highest and gain >= terms.gamma:
                        highest = gain
                        best[node]["gain"] = gain
                        best[node]["feature"] = f
                        best[node]["bin"] = b
                        best[node]["missing_left"] = side
                        left_sums[node] = left
