"""How finely gradients and hessians are rounded, from a stated error of scores.

A row's gradient and hessian become multiples of a unit u, so each errs by at most u / 2. Everything
after that is exact, in integers (`crypto.fixed_point`). The units are chosen anew in each round,
from the largest gradient and the largest hessian among the rows (`crypto.fixed_point.Quantiser`);
as a share of the largest, that of the hessians may be four times coarser: for log-loss, whose
hessians are at most a quarter, this is one unit for both. What it does to a node of n rows, with
sums G and H and value ``w = -T(G) / (H + reg_lambda)``; a prime marks the same from rounded
numbers:

**Sums**::

    |G' - G| <= n u / 2        |H' - H| <= n u / 2

**Leaf values.** From ``w' (H' + reg_lambda) = -T(G')`` and the same without primes, where neither T
nor clipping to `max_delta_step` moves two numbers apart::

    |w' - w| <= (|G' - G| + |w| |H' - H|) / (H' + reg_lambda)
             <= (u / 2) (1 + |w|) n / (H' + reg_lambda)

The last factor is one over the mean hessian of a row, so the error does not grow with the rows.

**Splits.** ``T(G)^2 / (H + reg_lambda)`` moves by at most ``(n u / 2) (2 W + W^2)``, W the larger
of |w| and |w'|. A gain adds three of these, and two children have the rows of one node, so a
gain is off by at most ``n u (2 W + W^2)``, W the largest of all three. The cut that is taken is at
most twice that worse than the best one: another one wins only where two gains all but agree.

**Scores of T trees.** Later trees read the scores, errors included, and work against the errors.
To first order a tree turns the rows' errors e into ``(1 - learning_rate P) e`` and adds the
rounding of its own leaves; P takes the mean over each leaf weighted with the hessians, so the
factor lengthens no e in the norm with these weights. As long as the trees are the same, then, the
root mean square grows by at most ``learning_rate`` times a leaf's error with every tree. This
leaves out that hessians change from tree to tree. `bench/precision.py` measures the worst row: a
hundredth of the sum of its leaves' bounds, for errors differ in sign and are worked against.

**The choice.** `SCORE_ERROR` after `STEPS`, for leaves of at least the mean curvature `CURVATURE`,
gives the largest u, and `crypto.fixed_point.FixedPoint.for_bound` the least bits for it: 30 for
gradients of at most 1, up to 31 for others. It depends on nothing else, on purpose: a longer run
must begin with the trees of a shorter one, so not on the number of trees; and feature parties see
the width of a cell, so not on the labels. With nothing assumed about the curvature all rows could
lie in one leaf of the least hessian: ``n / (min_child_weight + reg_lambda)`` asks for 9 bits more
at 30,000 rows.
"""

SCORE_ERROR = 1e-6
"""Most that rounding may move a score, in units of the largest gradient (log-odds: at most 1)."""

STEPS = 30.0
"""Trees times learning rate for which that holds: 100 trees at 0.3."""

CURVATURE = 1 / 64
"""``(H + reg_lambda) / (n (1 + |w|))`` for which it holds: a leaf where one row in 60 defaults."""

LEAF_ERROR = SCORE_ERROR / STEPS
"""Most that rounding may move a leaf's value before the learning rate."""

ROUNDING_ERROR = LEAF_ERROR * CURVATURE
"""Most that rounding may move a row's gradient, as a share of the largest."""

HESSIAN_ERROR = 4 * ROUNDING_ERROR
"""Most that rounding may move a row's hessian, as a share of the largest."""
