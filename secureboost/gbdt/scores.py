"""What a node's sums are worth: leaf value and score.

Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System" (2016), equations 5 to 7, with
XGBoost's meaning of every parameter: the best leaf value is ``w = -T(G) / (H + reg_lambda)`` with
T the soft threshold by `reg_alpha`, and it saves ``s = T(G)^2 / (H + reg_lambda)``, twice the loss
(no factor 1/2). Where a limit can change the value, which is with `max_delta_step` or in a tree
with monotone columns, the score is that of the clipped value, ``-(2 G w + (H + reg_lambda) w^2)``,
which as in XGBoost leaves `reg_alpha` out.

A node with several outputs has the sum of its outputs' scores.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.params import BoosterParams

MIN_GAIN = 1e-6  # a cut must have more; XGBoost's kRtEps

Bounds = tuple[float, float]
"""Smallest and largest leaf value below a node."""


class Terms(NamedTuple):
    """What decides about a cut, as the kernels take it.

    Attributes
    ----------
    gradient_scale, hessian_scale : float
        What integer sums are multiplied with to be real numbers: powers of two.
    reg_lambda, reg_alpha, max_delta_step, min_child_weight, gamma : float
        As in `params.BoosterParams`.
    bounded : bool
        The tree has monotone columns: leaf values are clipped to their node's bounds.
    """

    gradient_scale: float
    hessian_scale: float
    reg_lambda: float
    reg_alpha: float
    max_delta_step: float
    min_child_weight: float
    gamma: float
    bounded: bool


def terms_of(params: BoosterParams, scales: tuple[float, float], bounded: bool) -> Terms:
    """The terms of a tree; `scales` are those of gradients and of hessians."""
    return Terms(
        float(scales[0]),
        float(scales[1]),
        float(params.reg_lambda),
        float(params.reg_alpha),
        float(params.max_delta_step),
        float(params.min_child_weight),
        float(params.gamma),
        bounded,
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
def weight(gradient: float, hessian: float, terms: Terms) -> float:
    """The leaf value that minimises the second-order loss; the hessian is positive."""
    value = -soft_threshold(gradient, terms.reg_alpha) / (hessian + terms.reg_lambda)
    if terms.max_delta_step > 0.0:
        return min(max(value, -terms.max_delta_step), terms.max_delta_step)
    return value


@kernel
def bounded_weight(
    gradient: float, hessian: float, lower: float, upper: float, terms: Terms
) -> float:
    """The same clipped to a node's bounds."""
    return min(max(weight(gradient, hessian, terms), lower), upper)


@kernel
def score_of_weight(gradient: float, hessian: float, value: float, terms: Terms) -> float:
    """Twice the loss that a leaf of these sums with this value saves."""
    return -(2.0 * gradient * value + (hessian + terms.reg_lambda) * value * value)


@kernel
def score(gradient: float, hessian: float, terms: Terms) -> float:
    """Twice the loss that a leaf with these sums saves; 0 without a positive hessian."""
    if hessian <= 0.0:
        return 0.0
    if terms.max_delta_step > 0.0:
        return score_of_weight(gradient, hessian, weight(gradient, hessian, terms), terms)
    shrunk = soft_threshold(gradient, terms.reg_alpha)
    return shrunk * shrunk / (hessian + terms.reg_lambda)


@kernel
def node_score(sums: NDArray[np.int64], lower: float, upper: float, terms: Terms) -> float:
    """Score of a node with these integer sums, shape (2 * n_outputs,), over its outputs."""
    total = 0.0
    for i in range(0, len(sums), 2):
        gradient, hessian = sums[i] * terms.gradient_scale, sums[i + 1] * terms.hessian_scale
        if not terms.bounded:
            total += score(gradient, hessian, terms)
        elif hessian > 0.0:
            value = bounded_weight(gradient, hessian, lower, upper, terms)
            total += score_of_weight(gradient, hessian, value, terms)
    return total


@kernel
def children_score(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    lower: float,
    upper: float,
    terms: Terms,
) -> float:
    """Score of two children; minus infinity if a cut between them does not count.

    It counts if both have a positive hessian of at least `min_child_weight`, outputs together.
    """
    sum_left = sum_right = np.int64(0)
    for i in range(1, len(left), 2):
        sum_left += left[i]
        sum_right += right[i]
    least = min(sum_left, sum_right) * terms.hessian_scale
    if least <= 0.0 or least < terms.min_child_weight:
        return -np.inf
    return node_score(left, lower, upper, terms) + node_score(right, lower, upper, terms)


@kernel
def divide_sums(
    total: NDArray[np.int64],
    present: NDArray[np.int64],
    missing: NDArray[np.int64],
    missing_left: int,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> None:
    """Write the sums of both children: `present` goes left, and `missing` if `missing_left`."""
    for i in range(len(total)):
        left[i] = present[i] + missing_left * missing[i]
        right[i] = total[i] - left[i]


@kernel
def integer_weight(sums: NDArray[np.int64], lower: float, upper: float, terms: Terms) -> float:
    """Leaf value of a node with one output from its integer sums; the hessian is positive."""
    return bounded_weight(
        sums[0] * terms.gradient_scale, sums[1] * terms.hessian_scale, lower, upper, terms
    )
