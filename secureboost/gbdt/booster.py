"""The boosting loop: gradients, one tree or one per output, new scores, again.

The loop does not know where the columns lie. Gradients become integers once a round, here; every
draw comes from the round's generator (`sampling`), here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from secureboost.clock import Clock
from secureboost.compiling import kernel
from secureboost.gbdt.columns import Columns, Gradients
from secureboost.gbdt.grower import Grower, GrownTree
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.rules import Rules
from secureboost.gbdt.sampling import draw_features, round_draws, sample_rows
from secureboost.gbdt.tree import Tree
from secureboost.objectives import Objective

ALL_OUTPUTS = -1

Quantise = Callable[[NDArray[np.float64]], tuple[NDArray[np.int64], int]]
"""Turns real numbers into integers of the same shape; the number of fraction bits comes with them.

The magnitude of the integers has a bound that is the same in every round, so that widths of
ciphertexts can be proven from it beforehand.
"""

Publish = Callable[[int, Gradients, Sequence[NDArray[np.int32]]], None]
"""Called with a tree's number, its gradients and the columns of each source, before it begins."""


@dataclass(repr=False)
class Boosted:
    """A model that grows round by round.

    Attributes
    ----------
    base_score : array of shape (n_outputs,), float64
    raw : array of shape (n_rows,) or (n_rows, n_outputs), float64
        Raw scores of the training rows and, behind them, of those that are only evaluated.
    n_splits : list of int
        Numbered splits of each owner.
    trees : list of record arrays
        With features and bins of every owner, without thresholds.
    outputs : list of int
        The output that each tree adds to, or `ALL_OUTPUTS`.
    rounds : int
        How many are done.
    """

    base_score: NDArray[np.float64]
    raw: NDArray[np.float64]
    n_splits: list[int]
    trees: list[Tree] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    rounds: int = 0


OnRound = Callable[[Boosted], bool | None]
"""Called after each round; training ends early if it returns True. Nothing may be changed."""


class Booster:
    """Trains an ensemble.

    Parameters
    ----------
    params : BoosterParams
        `n_estimators` rounds in all, those of a model that is gone on with included.
    objective : Objective
    quantise : tuple of two Quantise
        For gradients and for hessians.
    seed : int
        Of all draws.
    clock : Clock, optional
        See `grower.Grower`.
    """

    def __init__(
        self,
        params: BoosterParams,
        objective: Objective,
        quantise: tuple[Quantise, Quantise],
        seed: int,
        clock: Clock | None = None,
    ) -> None:
        self._params = params
        self._objective = objective
        self._quantise_gradient, self._quantise_hessian = quantise
        self._seed = seed
        self._clock = clock or Clock()

    def begin(
        self, y: NDArray[np.float64], weight: NDArray[np.float64], n_rows: int, n_owners: int
    ) -> Boosted:
        """A model without trees.

        Parameters
        ----------
        y, weight : arrays of shape (n_training,), float64
            Labels as the objective takes them, and weights.
        n_rows : int
            Training rows and rows that are only evaluated.
        n_owners : int
        """
        n_outputs = self._objective.n_outputs
        if self._params.base_score is None:
            base_score = self._objective.base_score(y, weight)
        else:
            base_score = np.full(n_outputs, self._objective.raw_score(self._params.base_score))
        raw = np.tile(base_score, (n_rows, 1))
        return Boosted(base_score, raw[:, 0].copy() if n_outputs == 1 else raw, [0] * n_owners)

    def fit(
        self,
        sources: Sequence[Columns],
        y: NDArray[np.float64],
        weight: NDArray[np.float64],
        model: Boosted,
        *,
        rules: Rules,
        publish: Publish | None = None,
        on_round: OnRound | None = None,
    ) -> Boosted:
        """Go on with `model`, in place, until it has all its rounds.

        Parameters
        ----------
        sources : sequence of Columns
            The label party's own columns (possibly none of them) first.
        y, weight : arrays of shape (n_training,), float64
        model : Boosted
            From `begin`, or of an earlier run over the same rows.
        rules : Rules
        publish, on_round : callable, optional

        Raises
        ------
        ValueError
            If the objective gives a gradient that is not finite or a negative hessian.
        InconsistentDivisionError
            If an owner contradicts itself.
        """
        grower = Grower(sources, self._params, rules, model.n_splits, self._clock)
        outputs = tree_outputs(self._params, self._objective)
        while model.rounds < self._params.n_estimators:
            draws = round_draws(self._seed, model.rounds)
            gradient, hessian = self._gradients(model.raw[: len(y)], y, weight)
            active = sample_rows(draws, gradient, hessian, self._params)
            grown: list[GrownTree] = []
            for output in outputs:
                part = slice(None) if output == ALL_OUTPUTS else slice(output, output + 1)
                gradients = self._integers(
                    gradient[:, part], hessian[:, part], active, weight > 0.0, len(model.raw)
                )
                features = self._draw_features(draws, sources, rules, model.rounds)
                number = len(model.trees) + len(grown)
                if publish is not None:
                    publish(number, gradients, features)
                grown.append(grower.grow(number, gradients, features, draws))
            for output, tree in zip(outputs, grown, strict=True):
                _add_leaves(model.raw, tree, max(output, 0))
            model.trees += [tree.nodes for tree in grown]
            model.outputs += outputs
            model.n_splits = list(grower.n_splits)
            model.rounds += 1
            if on_round is not None and on_round(model):
                break
        return model

    def _gradients(
        self, raw: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """First and second derivatives, shape (n_training, n_outputs), checked."""
        gradient, hessian = self._objective.gradients(raw, y, weight)
        for name, array in (("gradient", gradient), ("hessian", hessian)):
            wrong = np.flatnonzero(~np.isfinite(array.reshape(len(y), -1)).all(axis=1))
            if len(wrong):
                raise ValueError(
                    f"the {name} of row {wrong[0]} is not finite; check its label and weight"
                )
        negative = np.flatnonzero((hessian.reshape(len(y), -1) < 0).any(axis=1))
        if len(negative):
            raise ValueError(f"the hessian of row {negative[0]} is negative; check its weight")
        return gradient.reshape(len(y), -1), hessian.reshape(len(y), -1)

    def _integers(
        self,
        gradient: NDArray[np.float64],
        hessian: NDArray[np.float64],
        active: NDArray[np.bool_],
        weighted: NDArray[np.bool_],
        n_rows: int,
    ) -> Gradients:
        """What the sources of one tree add up."""
        n_training, n_outputs = gradient.shape
        values = np.zeros((n_rows, 2 * n_outputs), dtype=np.int64)
        training = values[:n_training]
        training[:, 0::2], gradient_bits = self._quantise_gradient(gradient)
        training[:, 1::2], hessian_bits = self._quantise_hessian(hessian)
        training[~active] = 0
        counted = np.zeros(n_rows, dtype=np.bool_)
        hidden = self._params.sampling_method == "goss" and self._params.goss_hide_rows
        counted[:n_training] = True if hidden else active
        of_weight = np.zeros(n_rows, dtype=np.bool_)
        of_weight[:n_training] = weighted
        return Gradients(values, counted, gradient_bits, hessian_bits, of_weight)

    def _draw_features(
        self,
        draws: np.random.Generator,
        sources: Sequence[Columns],
        rules: Rules,
        number: int,
    ) -> list[NDArray[np.int32]]:
        """The columns of one tree of round `number`, source by source."""
        n_features = [source.n_features for source in sources]
        features = draw_features(draws, n_features, self._params.colsample_bytree)
        if number >= self._params.label_party_trees:
            return features
        first = np.cumsum([0, *n_features])
        return [own[rules.own[begin + own]] for begin, own in zip(first, features, strict=False)]


def tree_outputs(params: BoosterParams, objective: Objective) -> tuple[int, ...]:
    """The outputs that the trees of a round add to: one each, or one tree to all."""
    if objective.n_outputs > 1 and params.multi_strategy == "multi_output_tree":
        return (ALL_OUTPUTS,)
    return tuple(range(objective.n_outputs))


def _add_leaves(raw: NDArray[np.float64], grown: GrownTree, output: int) -> None:
    values = grown.nodes["value"].reshape(len(grown.nodes), -1)
    scores = raw.reshape(len(raw), -1)
    for leaf in grown.partition.leaves:
        add_to_rows(scores, output, grown.partition.rows(leaf), values[leaf])


@kernel
def add_to_rows(
    scores: NDArray[np.float64],
    first: int,
    rows: NDArray[np.int32],
    values: NDArray[np.float64],
) -> None:
    """Add `values` to the outputs from `first` on of these rows, in place."""
    for row in rows:
        for k in range(len(values)):
            scores[row, first + k] += values[k]
