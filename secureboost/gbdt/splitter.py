"""The best cut of each node, from its sums by bin.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System" (2016), equation 7, with XGBoost's
meaning of every parameter: the gain of a cut is ``s(L) + s(R) - s(L + R)`` (no factor 1/2) with
``s = T(G)^2 / (H + reg_lambda)`` and T the soft threshold by `reg_alpha`; with `max_delta_step`
the score is that of the clipped leaf value, ``-(2 G w + (H + reg_lambda) w^2)``, which as in
XGBoost leaves `reg_alpha` out. A cut counts if both children have a positive hessian of at least
`min_child_weight`, and if its gain is above 1e-6 and at least `gamma`.

The sums are integers; only a whole side's sum becomes a float. So the gains, and with them the
trees, are the same whoever summed what in which order.
"""

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.params import BoosterParams

MIN_GAIN = 1e-6  # XGBoost's kRtEps

BEST_SPLIT = np.dtype(
    [
        ("gain", np.float64),  # 0: no cut counts
        ("feature", np.int32),  # among the tree's columns; -1: no cut counts
        ("bin", np.int32),
        ("missing_left", np.int32),
        ("left_gradient", np.int64),
        ("left_hessian", np.int64),
    ]
)

# The arrays that NodeHistograms.allowed has when there is nothing to forbid.
EVERY_CUT = np.ones((0, 0, 0, 2), dtype=np.bool_)


def best_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    n_bins: NDArray[np.int32],
    allowed: NDArray[np.bool_] | None,
    scale: float,
    params: BoosterParams,
) -> NDArray[np.void]:
    """The best cut of each node.

    Ties go to the lower column, then the lower bin, then missing values right.

    Parameters
    ----------
    sums : array of shape (k, f, max_bin + 1, 2), int64
        Gradient and hessian by node, column and bin, the missing bin last.
    totals : array of shape (k, 2), int64
        Gradient and hessian of each node.
    wanted : array of shape (k,), bool
        The nodes that may be split.
    n_bins : array of shape (f,), int32
        Bins of each column without the missing bin.
    allowed : array of shape (k, f, max_bin, 2), bool, or None
        Cuts with enough rows on both sides; None, all.
    scale : float
        What an integer sum is multiplied with to be a real number: a power of two.
    params : BoosterParams

    Returns
    -------
    record array of shape (k,), `BEST_SPLIT`
    """
    best = np.zeros(len(sums), dtype=BEST_SPLIT)
    find_best_splits(
        sums,
        totals,
        wanted,
        n_bins,
        EVERY_CUT if allowed is None else allowed,
        scale,
        float(params.reg_lambda),
        float(params.reg_alpha),
        float(params.max_delta_step),
        float(params.min_child_weight),
        float(params.gamma),
        best,
    )
    return best


def leaf_value(gradient: float, hessian: float, params: BoosterParams) -> float:
    """The value of a leaf with these sums, before the learning rate.

    ``-T(G) / (H + reg_lambda)``, clipped to `max_delta_step`; 0 where the hessian is not positive
    or below `min_child_weight` (which only a root can be).
    """
    if hessian < params.min_child_weight or hessian <= 0.0:
        return 0.0
    return float(
        weight(
            gradient,
            hessian,
            float(params.reg_lambda),
            float(params.reg_alpha),
            float(params.max_delta_step),
        )
    )


@kernel
def soft_threshold(gradient: float, reg_alpha: float) -> float:
    """``sign(G) max(|G| - reg_alpha, 0)``."""
    if gradient > reg_alpha:
        return gradient - reg_alpha
    if gradient < -reg_alpha:
        return gradient + reg_alpha
    return 0.0


@kernel
def weight(
    gradient: float, hessian: float, reg_lambda: float, reg_alpha: float, max_delta_step: float
) -> float:
    """The leaf value that minimises the second-order loss; the hessian is positive."""
    value = -soft_threshold(gradient, reg_alpha) / (hessian + reg_lambda)
    if max_delta_step > 0.0:
        return min(max(value, -max_delta_step), max_delta_step)
    return value


@kernel
def score(
    gradient: float, hessian: float, reg_lambda: float, reg_alpha: float, max_delta_step: float
) -> float:
    """Twice the loss that a leaf with these sums saves; 0 without a positive hessian."""
    if hessian <= 0.0:
        return 0.0
    if max_delta_step > 0.0:
        w = weight(gradient, hessian, reg_lambda, reg_alpha, max_delta_step)
        return -(2.0 * gradient * w + (hessian + reg_lambda) * w * w)
    shrunk = soft_threshold(gradient, reg_alpha)
    return shrunk * shrunk / (hessian + reg_lambda)


@kernel
def find_best_splits(
    sums: NDArray[np.int64],
    totals: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    n_bins: NDArray[np.int32],
    allowed: NDArray[np.bool_],
    scale: float,
    reg_lambda: float,
    reg_alpha: float,
    max_delta_step: float,
    min_child_weight: float,
    gamma: float,
    best: NDArray[np.void],
) -> None:
    """Kernel of `best_splits`; an `allowed` of length 0 forbids nothing."""
    masked = len(allowed) > 0
    missing_bin = sums.shape[2] - 1
    for node in range(len(sums)):
        best[node]["feature"] = -1
        if not wanted[node]:
            continue
        total_g, total_h = totals[node]
        parent = score(total_g * scale, total_h * scale, reg_lambda, reg_alpha, max_delta_step)
        highest = MIN_GAIN
        for f in range(len(n_bins)):
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
                    h_left = left_h * scale
                    h_right = (total_h - left_h) * scale
                    if not (h_left > 0.0 and h_right > 0.0):
                        continue
                    if h_left < min_child_weight or h_right < min_child_weight:
                        continue
                    g_right = (total_g - left_g) * scale
                    gain = (
                        score(left_g * scale, h_left, reg_lambda, reg_alpha, max_delta_step)
                        + score(g_right, h_right, reg_lambda, reg_alpha, max_delta_step)
                        - parent
                    )
                    if gain > highest and gain >= gamma:
                        highest = gain
                        best[node]["gain"] = gain
                        best[node]["feature"] = f
                        best[node]["bin"] = b
                        best[node]["missing_left"] = side
                        best[node]["left_gradient"] = left_g
                        best[node]["left_hessian"] = left_h
