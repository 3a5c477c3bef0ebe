import numpy as np
import pytest
from support.boosting import train
from support.tables import random_table

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.tree import NODE, Ensemble, label_half, pooled


def make_tree(*nodes):
    """Nodes given as dictionaries; what is not given is that of a leaf."""
    tree = np.zeros(len(nodes), dtype=NODE)
    for name in ("owner", "feature", "bin", "split_id", "left", "right"):
        tree[name] = -1
    tree["threshold"] = np.nan
    for record, node in zip(tree, nodes, strict=True):
        for name, value in node.items():
            record[name] = value
    return tree


@pytest.fixture
def ensemble():
    """Two trees; owner 1 has splits 0 and 1, owner 2 has split 0."""
    first = make_tree(
        {"owner": 0, "feature": 1, "bin": 0, "threshold": 0.5, "left": 1, "right": 2},
        {"owner": 2, "feature": 4, "bin": 3, "split_id": 0, "left": 3, "right": 4},
        {"value": 1.0},
        {"value": 2.0},
        {"value": 4.0},
    )
    second = make_tree(
        {"owner": 1, "feature": 0, "bin": 2, "split_id": 0, "left": 1, "right": 2},
        {"owner": 1, "feature": 3, "bin": 1, "split_id": 1, "left": 3, "right": 4},
        {"owner": 0, "feature": 0, "bin": 1, "missing_left": True, "left": 5, "right": 6},
        {"value": 8.0},
        {"value": 16.0},
        {"value": 32.0},
        {"value": 64.0},
    )
    edges = [np.array([-1.0], dtype=np.float32), np.array([0.5, 0.7], dtype=np.float32)]
    return Ensemble((first, second), 0.25, ("", "a", "b")).with_thresholds(edges)


def walk(tree, x, side_of):
    """Naive twin of prediction: `side_of` says where owner's numbered splits send the row."""
    node = tree[0]
    while node["left"] >= 0:
        if node["split_id"] >= 0:
            left = side_of(node["owner"], node["split_id"])
        elif np.isnan(x[node["feature"]]):
            left = node["missing_left"]
        else:
            left = x[node["feature"]] <= node["threshold"]
        node = tree[node["left"] if left else node["right"]]
    return node["value"]


@pytest.mark.kernels
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_raw_scores_against_twin(ensemble, n_jobs, monkeypatch):
    monkeypatch.setattr("secureboost.gbdt.tree._WORTH_A_THREAD", 10)
    assert ensemble.n_splits == (0, 2, 1)
    rng = np.random.default_rng(0)
    X = rng.choice(np.array([-2, 0, 0.5, 0.6, np.nan], dtype=np.float32), (300, 2))
    left = rng.random((3, 300)) < 0.5
    bits = np.packbits(left, axis=1, bitorder="little")
    scores = ensemble.raw_scores(X, bits, n_jobs=n_jobs)
    first_row = {1: 0, 2: 2}
    for row in range(300):
        twin = 0.25
        for tree in ensemble.trees:
            twin += walk(tree, X[row], lambda o, s, row=row: left[first_row[o] + s, row])
        assert scores[row] == twin


def test_thresholds_are_those_of_own_bins(ensemble):
    first, second = ensemble.trees
    assert first["threshold"][0] == np.float32(0.5)
    assert second["threshold"][2] == np.inf  # the cut behind the last bin: only missing differs
    assert np.isnan(second["threshold"][:2]).all()


def test_label_half_forgets_what_partners_splits_mean(ensemble):
    half = label_half(ensemble.trees[1])
    assert half["feature"].tolist() == [-1, -1, 0, -1, -1, -1, -1]
    assert half["bin"][:3].tolist() == [-1, -1, 1]
    assert half["split_id"][:2].tolist() == [0, 1]
    assert half["missing_left"][2]
    X = np.zeros((9, 2), dtype=np.float32)
    bits = np.zeros((3, 2), dtype=np.uint8)
    halves = Ensemble(tuple(map(label_half, ensemble.trees)), 0.25, ensemble.owners)
    np.testing.assert_array_equal(halves.raw_scores(X, bits), ensemble.raw_scores(X, bits))


def test_pooled_numbers_the_columns_through(ensemble):
    joined = pooled(ensemble.trees[1], (2, 5, 7))
    assert joined["feature"].tolist() == [2, 5, 0, -1, -1, -1, -1]
    assert joined["owner"].tolist() == [0, 0, 0, -1, -1, -1, -1]
    assert np.all(joined["split_id"] == -1)
    assert pooled(ensemble.trees[0], (2, 5, 7))["feature"][1] == 11


def test_single_leaves_and_no_rows():
    leaf = make_tree({"value": 3.0})
    ensemble = Ensemble((leaf, leaf), 1.0, ("",))
    assert ensemble.raw_scores(np.zeros((2, 0), dtype=np.float32)).tolist() == [7.0, 7.0]
    assert ensemble.raw_scores(np.zeros((0, 4), dtype=np.float32)).shape == (0,)
    no_trees = Ensemble((), 1.0, ("",))
    assert no_trees.raw_scores(np.zeros((2, 1), dtype=np.float32)).tolist() == [1.0, 1.0]


def test_refusals(ensemble):
    X = np.zeros((9, 2), dtype=np.float32)
    with pytest.raises(ValueError, match=r"goes_left has shape \(0, 2\).*need \(3, 2\)"):
        ensemble.raw_scores(X)
    bits = np.zeros((3, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="X has 1 columns, the trees use column 1"):
        ensemble.raw_scores(X[:, :1], bits)


def test_memory_layout_of_the_table_changes_nothing():
    table = random_table(5)
    ensemble = train(table, BoosterParams(n_estimators=2))
    expected = ensemble.raw_scores(table.X)
    np.testing.assert_array_equal(ensemble.raw_scores(np.asfortranarray(table.X)), expected)
