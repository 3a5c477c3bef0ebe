"""The boosting loop: gradients, one tree, new scores, again.

The loop does not know where the columns lie. Gradients become integers once a round, here; every
draw (rows, columns) comes from one generator, here.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secureboost.clock import Clock
from secureboost.compiling import kernel
from secureboost.gbdt.columns import Columns, Gradients
from secureboost.gbdt.grower import Grower, GrownTree
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.tree import Ensemble, Tree
from secureboost.objectives import Objective


class Encoding(Protocol):
    """How real numbers become integers (`crypto.fixed_point.FixedPoint`)."""

    @property
    def fraction_bits(self) -> int:
        """The real numbers are the integers times ``2.0**-fraction_bits``."""

    def encode(self, values: NDArray[np.float64], /) -> NDArray[np.int64]:
        """Integers of an array of real numbers, of the same shape."""


Publish = Callable[[int, Gradients], None]
OnTree = Callable[[int, Tree, NDArray[np.float64]], bool | None]


class Booster:
    """Trains an ensemble.

    Parameters
    ----------
    params : BoosterParams
    objective : Objective
    encoding : Encoding
    clock : Clock, optional
        See `grower.Grower`.
    """

    def __init__(
        self,
        params: BoosterParams,
        objective: Objective,
        encoding: Encoding,
        clock: Clock | None = None,
    ) -> None:
        self._params = params
        self._objective = objective
        self._encoding = encoding
        self._clock = clock or Clock()

    def fit(
        self,
        sources: Sequence[Columns],
        y: NDArray[np.float64],
        weight: NDArray[np.float64],
        *,
        publish: Publish | None = None,
        on_tree: OnTree | None = None,
    ) -> Ensemble:
        """Train on the rows of these sources.

        Parameters
        ----------
        sources : sequence of Columns
            The label party's own columns (possibly none of them) first.
        y, weight : arrays of shape (n_rows,), float64
            Labels as the objective takes them, and weights.
        publish : callable, optional
            Called with the tree's number and its gradients before the sources begin the tree.
        on_tree : callable, optional
            Called with the tree's number, the tree and the rows' raw scores (not to be changed)
            after each tree; training ends early if it returns True.

        Returns
        -------
        Ensemble
            With features and bins of every owner (see `tree.label_half`), without thresholds (see
            `Ensemble.with_thresholds`).

        Raises
        ------
        ValueError
            If the objective gives a gradient that is not finite or a negative hessian, or if
            their sums do not fit into 64 bits.
        InconsistentDivisionError
            If an owner contradicts itself.
        """
        params = self._params
        draws = np.random.default_rng(params.random_state)
        grower = Grower(sources, params, self._clock)
        base_score = self._base_score(y, weight)
        raw = np.full(len(y), base_score, dtype=np.float64)
        trees = []
        for number in range(params.n_estimators):
            values = self._quantise(raw, y, weight)
            active = draw_rows(draws, len(y), params.subsample)
            values[~active] = 0
            gradients = Gradients(values, active, self._encoding.fraction_bits)
            features = draw_features(
                draws, [source.n_features for source in sources], params.colsample_bytree
            )
            if publish is not None:
                publish(number, gradients)
            grown = grower.grow(number, gradients, features)
            _add_leaves(raw, grown)
            trees.append(grown.nodes)
            if on_tree is not None and on_tree(number, grown.nodes, raw):
                break
        return Ensemble(tuple(trees), base_score, tuple(source.owner for source in sources))

    def _base_score(self, y: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
        if self._params.base_score is None:
            return self._objective.base_score(y, weight)
        return self._objective.raw_score(self._params.base_score)

    def _quantise(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The round's gradients and hessians as integers, shape (n_rows, 2)."""
        gradient, hessian = self._objective.gradients(raw, y, weight)
        for name, array in (("gradient", gradient), ("hessian", hessian)):
            wrong = np.flatnonzero(~np.isfinite(array))
            if len(wrong):
                raise ValueError(f"the {name} of row {wrong[0]} is not finite; check its weight")
        negative = np.flatnonzero(hessian < 0)
        if len(negative):
            raise ValueError(f"the hessian of row {negative[0]} is negative; check its weight")
        values = np.empty((len(raw), 2), dtype=np.int64)
        values[:, 0] = self._encoding.encode(gradient)
        values[:, 1] = self._encoding.encode(hessian)
        largest = max(int(values.max()), -int(values.min()))
        if largest * len(values) >= 2**63:
            raise ValueError(
                f"fraction_bits={self._encoding.fraction_bits}: sums over {len(values)} rows "
                "do not fit into 64 bits; scale the weights down or take fewer bits"
            )
        return values


def draw_rows(draws: np.random.Generator, n_rows: int, share: float) -> NDArray[np.bool_]:
    """Mask of the rows of one tree: `share` of them, at least one, without replacement."""
    if share >= 1.0:
        return np.ones(n_rows, dtype=np.bool_)
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[draws.choice(n_rows, max(1, int(share * n_rows)), replace=False, shuffle=False)] = True
    return mask


def draw_features(
    draws: np.random.Generator, n_features: Sequence[int], share: float
) -> list[NDArray[np.int32]]:
    """Columns of one tree for each source: `share` of all, at least one, drawn over all sources.

    The draw is over the columns' numbers with all sources side by side, so it does not depend on
    who owns which.
    """
    total = sum(n_features)
    drawn = np.arange(total)
    if share < 1.0 and total > 0:
        drawn = np.sort(draws.choice(total, max(1, int(share * total)), replace=False))
    ends = np.cumsum(n_features)
    return [
        (drawn[(drawn >= end - count) & (drawn < end)] - (end - count)).astype(np.int32)
        for end, count in zip(ends, n_features, strict=True)
    ]


def _add_leaves(raw: NDArray[np.float64], grown: GrownTree) -> None:
    for leaf in grown.partition.leaves:
        add_to_rows(raw, grown.partition.rows(leaf), grown.nodes["value"][leaf])


@kernel
def add_to_rows(raw: NDArray[np.float64], rows: NDArray[np.int32], value: float) -> None:
    """Add `value` to these rows, in place."""
    for row in rows:
        raw[row] += value
