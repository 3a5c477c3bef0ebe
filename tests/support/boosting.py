"""Train in plaintext over any sharding of the columns."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from support.tables import Table

from secureboost.binning import BinMapper
from secureboost.gbdt.booster import Boosted, Booster, OnRound, Publish, Quantise
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.rules import Rules
from secureboost.gbdt.tree import Ensemble, Tree
from secureboost.objectives import BinaryLogistic, Objective


class PowerOfTwo:
    """Stand-in for crypto.fixed_point.Quantiser: one scale for everything."""

    def __init__(self, fraction_bits: int = 24) -> None:
        self.fraction_bits = fraction_bits

    def __call__(self, values):
        return np.rint(values * 2.0**self.fraction_bits).astype(np.int64), self.fraction_bits


def sources(
    table: Table, mapper: BinMapper, params: BoosterParams, counts: Sequence[int], n_jobs: int = 1
) -> list[LocalColumns]:
    """The table's columns shared out over owners "", "party1", ..."""
    binned, ends = mapper.transform(table.X), np.cumsum(counts)
    return [
        LocalColumns(
            f"party{i}" if i else "",
            binned[end - count : end],
            mapper.n_bins[end - count : end],
            params.max_bin,
            params.min_child_samples,
            n_jobs,
        )
        for i, (end, count) in enumerate(zip(ends, counts, strict=True))
    ]


def train(
    table: Table,
    params: BoosterParams,
    counts: Sequence[int] | None = None,
    *,
    n_jobs: int = 1,
    objective: Objective | None = None,
    quantise: PowerOfTwo | tuple[Quantise, Quantise] | None = None,
    n_training: int | None = None,
    rules: Rules | None = None,
    publish: Publish | None = None,
    on_round: OnRound | None = None,
) -> Ensemble:
    """Train over the table with its columns owned so (by default all by the label party)."""
    counts = [table.X.shape[1]] if counts is None else counts
    n_training = len(table.y) if n_training is None else n_training
    y, weight = table.y[:n_training], table.weight[:n_training]
    mapper = BinMapper.fit(table.X[:n_training], params.max_bin)
    owners = sources(table, mapper, params, counts, n_jobs)
    quantise = quantise or PowerOfTwo()
    both = quantise if isinstance(quantise, tuple) else (quantise, quantise)
    booster = Booster(params, objective or BinaryLogistic(), both, params.random_state or 0)
    model = booster.begin(y, weight, len(table.y), len(owners))
    booster.fit(
        owners,
        y,
        weight,
        model,
        rules=rules or Rules(np.arange(sum(counts)) < counts[0]),
        publish=publish,
        on_round=on_round,
    )
    return ensemble_of(model, owners).with_thresholds(mapper.edges[: counts[0]])


def ensemble_of(model: Boosted, owners: Sequence[LocalColumns]) -> Ensemble:
    """The trees so far."""
    return Ensemble(
        tuple(model.trees),
        tuple(model.base_score.tolist()),
        tuple(source.owner for source in owners),
        tuple(model.outputs),
    )


def joined_trees(ensemble: Ensemble, counts: Sequence[int]) -> list[Tree]:
    """Trees over the pooled columns, without thresholds (only owner 0 has them)."""
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
    trees = [tree.copy() for tree in ensemble.trees]
    for tree in trees:
        inner = tree["left"] >= 0
        tree["feature"][inner] += first[tree["owner"][inner]]
        tree["owner"][inner] = 0
        tree["split_id"] = -1
        tree["threshold"] = 0
    return trees


@st.composite
def booster_params(draw: st.DrawFn, n_estimators: int = 3) -> BoosterParams:
    """Strategy: both growth policies, sampling and every limit on and off."""
    policy = draw(st.sampled_from(["depthwise", "lossguide"]))
    max_depth = draw(st.integers(0, 4))
    low = 2 if max_depth == 0 else 0
    return BoosterParams(
        n_estimators=n_estimators,
        max_depth=max_depth,
        max_leaves=draw(st.integers(low, 8).filter(lambda leaves: leaves != 1)),
        grow_policy=policy,
        max_bin=draw(st.sampled_from([2, 3, 8, 32, 255])),
        reg_lambda=draw(st.sampled_from([0.0, 1.0])),
        reg_alpha=draw(st.sampled_from([0.0, 0.5])),
        gamma=draw(st.sampled_from([0.0, 0.3])),
        min_child_weight=draw(st.sampled_from([0.0, 1.0])),
        min_child_samples=draw(st.sampled_from([1, 4])),
        max_delta_step=draw(st.sampled_from([0.0, 0.5])),
        subsample=draw(st.sampled_from([0.5, 1.0])),
        colsample_bytree=draw(st.sampled_from([0.5, 1.0])),
        colsample_bylevel=draw(st.sampled_from([0.5, 1.0])),
        colsample_bynode=draw(st.sampled_from([0.5, 1.0])),
        random_state=draw(st.integers(0, 100)),
    )
