"""Which columns may split a node: draws, interactions, and what is the label party's alone."""

import numpy as np
import pytest
from support.boosting import train
from support.tables import random_table

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.rules import Rules, TreeRules

KINDS = ("continuous",) * 6


def paths_of(tree, first):
    """The set of global columns on the path to every leaf."""
    paths = {0: frozenset()}
    for node in range(len(tree)):
        if tree["left"][node] < 0:
            continue
        column = int(first[tree["owner"][node]] + tree["feature"][node])
        for side in ("left", "right"):
            paths[int(tree[side][node])] = paths[node] | {column}
    return [path for node, path in paths.items() if tree["left"][node] < 0]


def test_paths_stay_within_interaction_groups():
    groups = (frozenset({0, 1, 2}), frozenset({2, 3}), frozenset({4, 5}))
    table = random_table(0, 800, KINDS)
    counts = (2, 2, 2)
    free = Rules(np.arange(6) < 2)
    bound = Rules(np.arange(6) < 2, groups)
    params = BoosterParams(n_estimators=5, max_depth=5, min_child_weight=0)
    first = np.array([0, 2, 4])
    together = [
        any(path <= group for group in groups)
        for rules in (free, bound)
        for tree in train(table, params, counts, rules=rules).trees
        for path in paths_of(tree, first)
    ]
    half = len(together) // 2
    assert not all(together[:half])
    assert all(
        any(path <= group for group in groups)
        for tree in train(table, params, counts, rules=bound).trees
        for path in paths_of(tree, first)
    )


def test_a_column_outside_all_groups_stands_alone():
    rules = TreeRules(
        Rules(np.ones(3, dtype=bool), (frozenset({0, 1}),)),
        BoosterParams(),
        np.arange(3),
        np.random.default_rng(0),
    )
    mask = rules.candidates(
        [0, 1, 1, 2], [frozenset(), frozenset({2}), frozenset({0}), frozenset({0, 1})], [False] * 4
    )
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 0], [1, 1, 0]]


def test_draws_narrow_a_level_and_then_a_node():
    params = BoosterParams(colsample_bylevel=0.5, colsample_bynode=0.5)
    rules = TreeRules(Rules(np.ones(8, dtype=bool)), params, np.arange(8), np.random.default_rng(0))
    level = rules.candidates([2] * 40, [frozenset()] * 40, [False] * 40)
    assert level.sum(axis=1).tolist() == [2] * 40
    assert level.any(axis=0).sum() == 4
    other = rules.candidates([3] * 40, [frozenset()] * 40, [False] * 40)
    assert other.any(axis=0).sum() == 4
    assert other.any(axis=0).tolist() != level.any(axis=0).tolist()


def test_no_rule_is_no_mask():
    rules = TreeRules(
        Rules(np.ones(2, dtype=bool)), BoosterParams(), np.arange(2), np.random.default_rng(0)
    )
    assert rules.candidates([0], [frozenset({1})], [False]) is None
    assert rules.candidates([0], [frozenset()], [True]).tolist() == [[True, True]]


@pytest.mark.parametrize("counts", [(2, 4), (2, 1, 3), (0, 3, 3)])
def test_the_first_trees_are_the_label_partys(counts):
    asked = []
    table = random_table(1, 400, KINDS)
    ensemble = train(
        table,
        BoosterParams(n_estimators=4, label_party_trees=2, max_depth=3),
        counts,
        publish=lambda tree, _gradients, features: asked.append([len(own) for own in features]),
    )
    owners = [set(tree["owner"][tree["left"] >= 0].tolist()) for tree in ensemble.trees]
    assert all(own <= {0} for own in owners[:2])
    assert all(own - {0} for own in owners[2:])
    assert asked == [[counts[0]] + [0] * (len(counts) - 1)] * 2 + [list(counts)] * 2


@pytest.mark.parametrize("limit", [0.6, 0.8])
def test_pure_nodes_are_the_label_partys_alone(limit):
    table = random_table(2, 600, KINDS)
    classes = table.y.astype(np.int32)
    rules = Rules(np.arange(6) < 2, classes=classes)
    params = BoosterParams(n_estimators=3, max_depth=5, max_shared_purity=limit)
    seen = []

    def on_round(model):
        seen.append(model.trees[-1])

    train(table, params, (2, 4), rules=rules, on_round=on_round)
    shared = own = 0
    for tree in seen:
        rows = {0: np.arange(600)}
        for node in np.flatnonzero(tree["left"] >= 0):
            # walk by bins: the same rows as in training
            here = rows[int(node)]
            purity = np.bincount(classes[here]).max() / len(here)
            if tree["owner"][node] > 0:
                shared += 1
                assert purity <= limit
            else:
                own += 1
            goes_left = side_of(table, tree[node], params)[here]
            rows[int(tree["left"][node])] = here[goes_left]
            rows[int(tree["right"][node])] = here[~goes_left]
    assert shared > 0
    assert own > 0


def side_of(table, node, params):
    from secureboost.binning import BinMapper

    mapper = BinMapper.fit(table.X, params.max_bin)
    column = int(node["feature"]) + (2 if node["owner"] else 0)
    bins = mapper.transform(table.X)[column]
    left = bins <= node["bin"]
    return (
        left | (bins == params.max_bin) if node["missing_left"] else left & (bins != params.max_bin)
    )


def test_purity_counts_training_rows():
    rules = Rules(np.ones(1, dtype=bool), classes=np.array([0, 1, 1, -1, -1], dtype=np.int32))
    assert rules.purity(np.array([0, 1, 2, 3])) == pytest.approx(2 / 3)
    assert rules.purity(np.array([3, 4])) == 1.0
