"""Trees that are known, and limits that are kept."""

import numpy as np
import pytest
from support.boosting import PowerOfTwo, sources, train
from support.tables import Table, random_table

from secureboost.binning import BinMapper
from secureboost.gbdt.columns import Gradients
from secureboost.gbdt.grower import Grower, InconsistentDivisionError, sum_rows
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.rules import Rules
from secureboost.gbdt.tree import Ensemble

PURE = {"reg_lambda": 0.0, "learning_rate": 1.0, "min_child_weight": 0.0}


def grow(X, target, counts=None, **limits):
    """One tree for a squared error: gradient -target, hessian 1, so leaves are means."""
    params = BoosterParams(**{**PURE, **limits})
    counts = [X.shape[1]] if counts is None else counts
    table = Table(X.astype(np.float32), target, np.ones(len(X)))
    mapper = BinMapper.fit(table.X, params.max_bin)
    values, bits = PowerOfTwo()(np.column_stack([-target, np.ones(len(X))]))
    gradients = Gradients(values, np.ones(len(X), dtype=bool), bits, bits)
    features = [np.arange(count, dtype=np.int32) for count in counts]
    rules = Rules(np.arange(sum(counts)) < counts[0])
    grown = Grower(sources(table, mapper, params, counts), params, rules).grow(
        0, gradients, features, np.random.default_rng(0)
    )
    return grown, mapper


def known_table():
    """A function of three columns: 8 where x0 > 0; else 2 or 4 by x1; missing x1 as 4."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0, 2.0], (400, 3))
    X[rng.random(400) < 0.3, 1] = np.nan
    low = np.where(X[:, 1] <= 1.0, 2.0, 4.0)  # NaN compares false: 4
    return X, np.where(X[:, 0] > 0, 8.0, low)


@pytest.mark.parametrize("policy", ["depthwise", "lossguide"])
@pytest.mark.parametrize("counts", [(3,), (1, 2), (0, 1, 1, 1)])
def test_a_known_tree_is_recovered(policy, counts):
    X, target = known_table()
    grown, mapper = grow(X, target, counts, grow_policy=policy)
    tree = grown.nodes
    assert tree["left"].tolist() == [1, 3, -1, -1, -1]
    assert tree["value"].tolist() == [0.0, 0.0, 8.0, 2.0, 4.0]
    first = np.concatenate([[0], np.cumsum(counts)])
    columns = [first[node["owner"]] + node["feature"] for node in tree[:2]]
    assert columns == [0, 1]
    assert [mapper.threshold(c, n["bin"]) for c, n in zip(columns, tree, strict=False)] == [0, 1.5]
    assert not tree["missing_left"][1]
    for leaf in grown.partition.leaves:
        assert np.all(target[grown.partition.rows(leaf)] == tree["value"][leaf])


def test_missing_values_go_where_they_gain():
    X, target = known_table()
    target[(X[:, 0] <= 0) & np.isnan(X[:, 1])] = 2.0
    grown, _ = grow(X, target)
    assert grown.nodes["missing_left"].tolist() == [False, True, False, False, False]
    only_missing = np.where(np.isnan(X[:, 1]), 1.0, 3.0)
    grown, mapper = grow(X, only_missing)
    assert grown.nodes["bin"][0] == mapper.n_bins[1] - 1  # the cut that parts values from missing
    assert grown.nodes["value"].tolist() == [0.0, 3.0, 1.0]


def test_nothing_to_gain_is_a_single_leaf():
    X, _ = known_table()
    grown, _ = grow(X, np.full(400, 5.0))
    assert len(grown.nodes) == 1
    assert grown.nodes["value"][0] == 5.0
    assert grown.nodes["owner"][0] == -1


@pytest.mark.parametrize("policy", ["depthwise", "lossguide"])
def test_limits_of_depth_and_leaves(policy):
    table = random_table(1, 500, ("continuous",) * 4)
    target = table.X[:, 0] * table.X[:, 1] + table.X[:, 2]
    for max_depth, max_leaves in ((3, 0), (0, 7), (3, 7), (4, 5), (0, 2)):
        tree = grow(
            table.X,
            np.nan_to_num(target).astype(float),
            max_depth=max_depth,
            max_leaves=max_leaves,
            grow_policy=policy,
        )[0].nodes
        n_leaves = int((tree["left"] < 0).sum())
        limit = min(max_leaves or 99, 2**max_depth if max_depth else 99)
        assert n_leaves == limit
        assert depth(tree) <= (max_depth or 99)


def depth(tree, node=0):
    if tree["left"][node] < 0:
        return 0
    return 1 + max(depth(tree, tree["left"][node]), depth(tree, tree["right"][node]))


def test_lossguide_takes_the_highest_gain_first():
    table = random_table(2, 400, ("continuous",) * 3)
    tree = grow(table.X, np.nan_to_num(table.X[:, 0] ** 3), max_leaves=12, grow_policy="lossguide")[
        0
    ].nodes
    inner = np.flatnonzero(tree["left"] >= 0)
    open_gains = {0: tree["gain"][0]}
    for node in inner[np.argsort(tree["left"][inner])]:  # in the order in which they were split
        assert tree["gain"][node] == max(open_gains.values())
        del open_gains[node]
        for child in (tree["left"][node], tree["right"][node]):
            open_gains[child] = tree["gain"][child]


def test_min_child_samples_and_weight_hold_in_every_leaf():
    table = random_table(3, 300)
    for limits in ({"min_child_samples": 13}, {"min_child_weight": 13.0}):
        grown, _ = grow(table.X, table.y, **limits)
        sizes = [len(grown.partition.rows(leaf)) for leaf in grown.partition.leaves]
        assert len(sizes) > 2
        assert min(sizes) >= 13


class Watched(LocalColumns):
    """Notes what it is asked."""

    def __init__(self, *args):
        super().__init__(*args)
        self.frontiers = []
        self.divided = []

    def histograms(self, frontier):
        partition = frontier.partition
        sizes = {int(node): len(partition.rows(node)) for node in frontier.nodes}
        self.frontiers.append((sizes, frontier.asked.tolist()))
        return super().histograms(frontier)

    def divide(self, partition, splits):
        self.divided.append([split.node for split in splits])
        return super().divide(partition, splits)


def watched(table, params):
    mapper = BinMapper.fit(table.X, params.max_bin)
    columns = Watched("", mapper.transform(table.X), mapper.n_bins, params.max_bin)
    return columns, grow_over(columns, table, params).nodes


def grow_over(columns, table, params):
    n_rows, n_features = table.X.shape
    values, bits = PowerOfTwo()(np.column_stack([0.5 - table.y, np.ones(n_rows)]))
    gradients = Gradients(values, np.ones(n_rows, dtype=bool), bits, bits)
    features = [np.arange(n_features, dtype=np.int32)]
    grower = Grower([columns], params, Rules(np.ones(n_features, dtype=bool)))
    return grower.grow(0, gradients, features, np.random.default_rng(0))


def test_one_of_two_siblings_is_asked_and_a_level_at_once():
    columns, tree = watched(random_table(4, 600), BoosterParams(max_depth=4))
    assert len(columns.frontiers) == len(columns.divided) == 4
    assert columns.frontiers[0] == ({0: 600}, [0])
    for sizes, asked in columns.frontiers[1:]:
        nodes = list(sizes)
        for left, right, chosen in zip(nodes[::2], nodes[1::2], asked, strict=True):
            assert right == left + 1
            assert chosen == (left if sizes[left] <= sizes[right] else right)
    assert sum(len(level) for level in columns.divided) == (tree["left"] >= 0).sum()


def test_nodes_that_cannot_split_are_not_asked():
    table = random_table(4, 600)
    columns, _ = watched(table, BoosterParams(max_depth=1))
    assert len(columns.frontiers) == 1
    columns, _ = watched(table, BoosterParams(max_depth=6, max_leaves=2))
    assert len(columns.frontiers) == 1
    columns, _ = watched(table, BoosterParams(max_depth=6, min_child_weight=301))
    assert len(columns.frontiers) == 0
    columns, _ = watched(table, BoosterParams(max_depth=6, min_child_weight=100))
    for sizes, _ in columns.frontiers[1:]:
        nodes = list(sizes)
        for left, right in zip(nodes[::2], nodes[1::2], strict=True):
            assert max(sizes[left], sizes[right]) >= 200


def test_a_division_that_contradicts_its_histogram_is_refused():
    table = random_table(6, 100)

    class Faulty(Watched):
        def divide(self, partition, splits):
            return lambda: [~rows for rows in LocalColumns.divide(self, partition, splits)()]

    mapper = BinMapper.fit(table.X, 16)
    columns = Faulty("bureau", mapper.transform(table.X), mapper.n_bins, 16)
    with pytest.raises(InconsistentDivisionError, match="'bureau' divided node 0") as caught:
        grow_over(columns, table, BoosterParams(max_bin=16))
    assert caught.value.owner == "bureau"


def test_split_numbers_run_through_all_trees():
    ensemble: Ensemble = train(random_table(7), BoosterParams(n_estimators=4), (1, 2, 2))
    for owner in (1, 2):
        numbers = [n for t in ensemble.trees for n in t["split_id"][t["owner"] == owner].tolist()]
        assert sorted(numbers) == list(range(ensemble.n_splits[owner]))
    assert all(np.all(t["split_id"][t["owner"] <= 0] == -1) for t in ensemble.trees)


@pytest.mark.kernels
@pytest.mark.parametrize("n_sums", [2, 6])
def test_sum_rows_against_twin(n_sums):
    rng = np.random.default_rng(0)
    values = rng.integers(-(2**50), 2**50, (60, n_sums))
    standing = rng.integers(0, 3, 60).astype(np.uint8)
    rows = np.arange(0, 60, 3, dtype=np.int32)
    sums = np.zeros(n_sums, dtype=np.int64)
    counts = ((standing[rows] > 0).sum(), (standing[rows] > 1).sum())
    assert sum_rows(rows, values, standing, sums) == counts
    assert sums.tolist() == values[rows].sum(axis=0).tolist()
