"""What is drawn for a round of boosting: rows, and the columns of trees, levels and nodes.

All draws of round r come from one generator, seeded by the run's seed and r. So they do not depend
on who owns a column, and a run that goes on after round r draws what it would have drawn anyway.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secureboost.gbdt.params import BoosterParams


def round_draws(seed: int, number: int) -> np.random.Generator:
    """The generator of round `number`."""
    return np.random.default_rng([seed, number])


def sample_rows(
    draws: np.random.Generator,
    gradient: NDArray[np.float64],
    hessian: NDArray[np.float64],
    params: BoosterParams,
) -> NDArray[np.bool_]:
    """Draw the rows of a round; the gradients of rows that stand for others are scaled in place.

    Parameters
    ----------
    draws : Generator
    gradient, hessian : arrays of shape (n_rows,) or (n_rows, n_outputs), float64
    params : BoosterParams

    Returns
    -------
    array of shape (n_rows,), bool
        The rows that count.
    """
    if params.sampling_method == "uniform":
        return draw_rows(draws, len(gradient), params.subsample)
    large, drawn = goss(draws, gradient, params.top_rate, params.other_rate)
    factor = (1.0 - params.top_rate) / params.other_rate
    gradient[drawn] *= factor
    hessian[drawn] *= factor
    mask = np.zeros(len(gradient), dtype=np.bool_)
    mask[large] = mask[drawn] = True
    return mask


def draw_rows(draws: np.random.Generator, n_rows: int, share: float) -> NDArray[np.bool_]:
    """Mask of the rows of one round: `share` of them, at least one, without replacement."""
    if share >= 1.0:
        return np.ones(n_rows, dtype=np.bool_)
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[draws.choice(n_rows, max(1, int(share * n_rows)), replace=False, shuffle=False)] = True
    return mask


def goss(
    draws: np.random.Generator, gradient: NDArray[np.float64], top_rate: float, other_rate: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gradient-based one-side sampling.

    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree" (2017), algorithm 2:
    keep the ``top_rate * n`` rows with the largest absolute gradient and draw ``other_rate * n`` of
    the rest, which count ``(1 - top_rate) / other_rate`` times.

    Parameters
    ----------
    draws : Generator
    gradient : array of shape (n_rows,) or (n_rows, n_outputs), float64
        Of several outputs the absolute values are added up.
    top_rate, other_rate : float

    Returns
    -------
    large, drawn : arrays of int64
        Rows kept for their gradients (of equal ones the earlier), and rows drawn from the rest.
    """
    n_rows = len(gradient)
    size = np.abs(gradient).reshape(n_rows, -1).sum(axis=1)
    order = np.argsort(-size, kind="stable")
    n_large = int(top_rate * n_rows)
    n_drawn = min(max(1, int(other_rate * n_rows)), n_rows - n_large)
    drawn = draws.choice(order[n_large:], n_drawn, replace=False, shuffle=False)
    return order[:n_large], drawn


def draw_features(
    draws: np.random.Generator, n_features: Sequence[int], share: float
) -> list[NDArray[np.int32]]:
    """Columns of one tree for each source: `share` of all, at least one, drawn over all sources.

    The draw is over the columns' numbers with all sources side by side, so it does not depend on
    who owns which.
    """
    drawn = draw_columns(draws, np.arange(sum(n_features)), share)
    ends = np.cumsum(n_features)
    return [
        (drawn[(drawn >= end - count) & (drawn < end)] - (end - count)).astype(np.int32)
        for end, count in zip(ends, n_features, strict=True)
    ]


def draw_columns(
    draws: np.random.Generator, columns: NDArray[np.int64], share: float
) -> NDArray[np.int64]:
    """`share` of these columns, at least one, ascending."""
    if share >= 1.0 or len(columns) == 0:
        return columns
    return np.sort(draws.choice(columns, max(1, int(share * len(columns))), replace=False))
