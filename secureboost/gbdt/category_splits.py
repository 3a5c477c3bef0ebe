"""The best split of each node by a column of categories: a set of codes goes left.

As LightGBM does it (Ke et al., 2017), after Fisher, "On grouping for maximum homogeneity" (1958):
in the order of ``G / (H + cat_smooth)`` the best subsets are near the prefixes, so n codes need
some 2 n trials and not 2^n. Unlike LightGBM

- a code whose own rows are too few (`params.least_group`) stays on the right, and groups of codes
  have no such limit, so no count has to travel from whoever has the rows;
- the side of missing values is learnt;
- a set may have more than half of the codes;
- `cat_l2` is in the gain only, not in the values of the leaves.
"""

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.scores import (
    MIN_GAIN,
    Terms,
    children_score,
    divide_sums,
    node_score,
)


@kernel
def find_category_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    n_bins: NDArray[np.int32],
    categorical: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    candidates: NDArray[np.bool_],
    bounds: NDArray[np.float64],
    terms: Terms,
    penalised: Terms,
    cat_smooth: float,
    max_cat_to_onehot: int,
    max_cat_threshold: int,
    best: NDArray[np.void],
    left_sums: NDArray[np.int64],
) -> None:
    """Note each node's best split by categories where it beats the cut that `best` has.

    Arguments as those of `number_splits.find_number_splits`, and of `params.BoosterParams`;
    `penalised` is `terms` with `cat_l2` in its `reg_lambda`. Without `allowed` a code needs a
    positive hessian.
    """
    masked, limited = len(allowed) > 0, len(candidates) > 0
    codes = np.empty(sums.shape[2], dtype=np.int64)
    for node in range(len(sums)):
        if not wanted[node]:
            continue
        total, node_bounds = totals[node], bounds[node]
        parent = node_score(total, node_bounds[0], node_bounds[1], terms)
        for f in range(len(n_bins)):
            if not categorical[f] or (limited and not candidates[node, f]):
                continue
            cells = sums[node, f]
            n_codes = 0
            for code in range(n_bins[f]):
                if allowed[node, f, code, 0] if masked else cells[code, 1::2].sum() > 0:
                    codes[n_codes] = code
                    n_codes += 1
            if n_codes < 2:  # one goes left, another stays
                continue
            found, left = best[node], left_sums[node]
            if n_bins[f] <= max_cat_to_onehot:
                for i in range(n_codes):
                    alone = codes[i : i + 1]
                    try_prefixes(f, alone, cells, total, parent, node_bounds, terms, found, left)
                continue
            longest = min(max_cat_threshold, n_codes - 1)
            for output in range(0, len(total), 2):
                if total[output + 1] <= 0:  # nothing to order by
                    continue
                order = ordered_codes(codes[:n_codes], cells, output, cat_smooth, terms)
                ends = order[:longest], order[::-1][:longest].copy()
                for prefix in ends:
                    try_prefixes(
                        f, prefix, cells, total, parent, node_bounds, penalised, found, left
                    )


@kernel
def ordered_codes(
    codes: NDArray[np.int64],
    cells: NDArray[np.int64],
    column: int,
    cat_smooth: float,
    terms: Terms,
) -> NDArray[np.int64]:
    """The codes by ``G / (H + cat_smooth)`` of the output whose gradient is in `column`.

    Codes that are alike stay in their order; one without a hessian counts as 0.
    """
    ratios = np.zeros(len(codes))
    for i in range(len(codes)):
        gradient = cells[codes[i], column] * terms.gradient_scale
        smoothed = cells[codes[i], column + 1] * terms.hessian_scale + cat_smooth
        if smoothed > 0.0:
            ratios[i] = gradient / smoothed
    return codes[np.argsort(ratios, kind="mergesort")]


@kernel
def try_prefixes(
    feature: int,
    codes: NDArray[np.int64],
    cells: NDArray[np.int64],
    total: NDArray[np.int64],
    parent: float,
    bounds: NDArray[np.float64],
    terms: Terms,
    found: np.void,
    left_sums: NDArray[np.int64],
) -> None:
    """Send the first code left, the first two, and so on; note what beats `found`.

    Of equal gains that of the lower column wins, then the one tried first.
    """
    n_sums = len(total)
    missing = cells[len(cells) - 1]
    sides = 2 if missing.any() else 1
    present = np.zeros(n_sums, dtype=np.int64)
    left, right = np.empty(n_sums, dtype=np.int64), np.empty(n_sums, dtype=np.int64)
    for n_left in range(1, len(codes) + 1):
        present += cells[codes[n_left - 1]]
        for side in range(sides):
            divide_sums(total, present, missing, side, left, right)
            gain = children_score(left, right, bounds[0], bounds[1], terms) - parent
            if not (gain > MIN_GAIN and gain >= terms.gamma):
                continue
            ahead = gain == found["gain"] and feature < found["feature"]
            if gain > found["gain"] or ahead:
                found["gain"] = gain
                found["feature"] = feature
                found["bin"] = -1
                found["missing_left"] = side
                found["codes"][:] = 0
                for code in codes[:n_left]:
                    found["codes"][code >> 6] |= np.uint64(1) << np.uint64(code & 63)
                left_sums[:] = left
