import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.boosting import train
from support.ensembles import grown
from support.tables import random_table

from secureboost.gbdt.codes import CODE_WORDS, code_set, codes_in
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.tree import NODE, Ensemble, node_dtype


def make_tree(*nodes, n_values=1):
    """Nodes given as dictionaries; what is not given is that of a leaf."""
    tree = np.zeros(len(nodes), dtype=node_dtype(n_values))
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
        {"owner": 0, "feature": 1, "bin": 0, "left": 1, "right": 2},
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
    return Ensemble((first, second), (0.25,), ("", "a", "b"), (0, 0)).with_thresholds(edges)


def goes_left(node, x, side_of):
    if node["split_id"] >= 0:
        return side_of(node["owner"], node["split_id"])
    value = x[node["feature"]]
    if np.isnan(value):
        return node["missing_left"]
    codes = codes_in(node["codes"])
    return int(value) in codes if codes else value <= node["threshold"]


def walk(tree, x, side_of):
    """Naive twin of prediction: `side_of` says where owner's numbered splits send the row."""
    node = tree[0]
    while node["left"] >= 0:
        node = tree[node["left"] if goes_left(node, x, side_of) else node["right"]]
    return node["value"]


def twin(ensemble, X, left):
    """Naive twin of `raw_scores`, one row and one tree after the other."""
    first = np.cumsum([0, *ensemble.n_splits])
    scores = np.tile(np.array(ensemble.base_score), (len(X), 1))
    for row in range(len(X)):
        for tree, output in zip(ensemble.trees, ensemble.outputs, strict=True):
            value = walk(tree, X[row], lambda o, s, row=row: left[first[o] + s, row])
            scores[row, slice(None) if output < 0 else output] += value
    return scores[:, 0] if ensemble.n_outputs == 1 else scores


def random_sides(rng, ensemble, n_rows):
    left = rng.random((sum(ensemble.n_splits), n_rows)) < 0.5
    return left, np.packbits(left, axis=1, bitorder="little")


@pytest.mark.kernels
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_raw_scores_against_twin(ensemble, n_jobs, monkeypatch):
    monkeypatch.setattr("secureboost.gbdt.tree._WORTH_A_THREAD", 10)
    assert ensemble.n_splits == (0, 2, 1)
    rng = np.random.default_rng(0)
    X = rng.choice(np.array([-2, 0, 0.5, 0.6, np.inf, -np.inf, np.nan], np.float32), (300, 2))
    left, bits = random_sides(rng, ensemble, 300)
    scores = ensemble.raw_scores(X, bits, n_jobs=n_jobs)
    np.testing.assert_array_equal(scores, twin(ensemble, X, left))


@pytest.mark.kernels
@settings(max_examples=60)
@given(grown(), st.integers(0, 2**32), st.sampled_from([0, 1, 7, 65]))
def test_any_raw_scores_against_twin(model, seed, n_rows):
    """Categories, several outputs, trees for one or all of them, several owners."""
    rng, ensemble = np.random.default_rng(seed), model.ensemble
    X = model.rows(rng, n_rows)
    left, bits = random_sides(rng, ensemble, n_rows)
    scores = ensemble.raw_scores(X, bits)
    expected = twin(ensemble, X, left)
    assert scores.dtype == np.float64
    assert scores.flags.c_contiguous
    np.testing.assert_array_equal(scores, expected, strict=True)
    stages = [stage.copy() for stage in ensemble.staged_raw_scores(X, bits)]
    assert len(stages) == ensemble.n_rounds
    for n, stage in enumerate(stages, start=1):
        first = ensemble.first_rounds(n)
        own = np.concatenate([np.arange(k) + s for k, s in _blocks(first, ensemble)])
        np.testing.assert_array_equal(stage, first.raw_scores(X, bits[own]), strict=True)
    if stages:
        np.testing.assert_array_equal(stages[-1], scores)


def _blocks(first, whole):
    """How many splits of each owner an ensemble has, and where they begin in the whole one's."""
    return zip(first.n_splits, np.cumsum([0, *whole.n_splits]), strict=False)


@pytest.mark.kernels
def test_categories_that_are_not_codes_go_the_missing_side():
    for missing_left in (False, True):
        tree = make_tree(
            {
                "owner": 0,
                "feature": 0,
                "codes": code_set([0, 64, 254]),
                "missing_left": missing_left,
                "left": 1,
                "right": 2,
            },
            {"value": 1.0},
            {"value": 2.0},
        )
        X = np.array([[0], [64], [254], [1], [63], [np.nan], [-1], [256], [np.inf]], np.float32)
        unknown = 1.0 if missing_left else 2.0
        scores = Ensemble((tree,), (0.0,), ("",), (0,)).raw_scores(X)
        assert scores.tolist() == [1, 1, 1, 2, 2, unknown, unknown, unknown, unknown]


def test_thresholds_are_those_of_own_bins(ensemble):
    first, second = ensemble.trees
    assert first["threshold"][0] == np.float32(0.5)
    assert second["threshold"][2] == np.inf  # the cut behind the last bin: only missing differs
    assert np.isnan(second["threshold"][:2]).all()


def test_splits_by_categories_have_no_threshold():
    by_codes = {"owner": 0, "feature": 0, "codes": code_set([3]), "left": 1, "right": 2}
    tree = make_tree(by_codes, {}, {})
    ensemble = Ensemble((tree,), (0.0,), ("",), (0,)).with_thresholds([np.empty(0, np.float32)])
    assert np.isnan(ensemble.trees[0]["threshold"][0])


def test_single_leaves_and_no_rows():
    leaf = make_tree({"value": 3.0})
    ensemble = Ensemble((leaf, leaf), (1.0,), ("",), (-1, -1))
    assert ensemble.raw_scores(np.zeros((2, 0), dtype=np.float32)).tolist() == [7.0, 7.0]
    assert ensemble.raw_scores(np.zeros((0, 4), dtype=np.float32)).shape == (0,)
    no_trees = Ensemble((), (1.0,), ("",), ())
    assert no_trees.raw_scores(np.zeros((2, 1), dtype=np.float32)).tolist() == [1.0, 1.0]
    assert list(no_trees.staged_raw_scores(np.zeros((2, 1), dtype=np.float32))) == []
    two = Ensemble((), (1.0, 2.0), ("",), ())
    assert two.raw_scores(np.zeros((1, 1), dtype=np.float32)).tolist() == [[1.0, 2.0]]


def test_rounds():
    leaf, pair = make_tree({"value": 3.0}), make_tree({"value": (3.0, 4.0)}, n_values=2)
    for_one = Ensemble((leaf,) * 5, (0.0, 1.0), ("",), (0, 1, 0, 1, 0))
    assert (for_one.trees_per_round, for_one.n_rounds) == (2, 2)  # and half a round
    assert for_one.first_rounds(1).outputs == (0, 1)
    assert for_one.first_rounds(0).trees == ()
    X = np.zeros((1, 0), np.float32)
    stages = [stage.tolist() for stage in for_one.staged_raw_scores(X)]
    assert stages == [[[3.0, 4.0]], [[6.0, 7.0]]]
    assert for_one.raw_scores(X).tolist() == [[9.0, 7.0]]
    for_all = Ensemble((pair,) * 3, (0.0, 1.0), ("",), (-1,) * 3)
    assert (for_all.trees_per_round, for_all.n_rounds) == (1, 3)
    assert for_all.first_rounds(2).raw_scores(X).tolist() == [[6.0, 9.0]]
    assert Ensemble((leaf,) * 3, (0.0,), ("",), (0,) * 3).n_rounds == 3
    with pytest.raises(ValueError, match="4 rounds were asked for; the model has 3"):
        for_all.first_rounds(4)
    with pytest.raises(ValueError, match="-1 rounds"):
        for_all.first_rounds(-1)


def test_refusals(ensemble):
    X = np.zeros((9, 2), dtype=np.float32)
    with pytest.raises(ValueError, match=r"goes_left has shape \(0, 2\).*need \(3, 2\)"):
        ensemble.raw_scores(X)
    bits = np.zeros((3, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="X has 1 columns, the trees use column 1"):
        ensemble.raw_scores(X[:, :1], bits)
    by_codes = {"owner": 0, "feature": 4, "codes": code_set([3]), "left": 1, "right": 2}
    categorical = Ensemble((make_tree(by_codes, {}, {}),), (0.0,), ("",), (0,))
    with pytest.raises(ValueError, match="X has 2 columns, the trees use column 4"):
        categorical.raw_scores(X)


@pytest.mark.parametrize("outputs", [(0,), (0, 0), (1, 0), (-1, 0), (0, 1, 0)])
def test_outputs_that_are_no_rounds(outputs):
    leaf = make_tree({"value": 3.0})
    with pytest.raises(ValueError, match=r"outputs=.* of 2 trees must be -1 for each, or count"):
        Ensemble((leaf, leaf), (0.0, 0.0), ("",), outputs)


def test_values_that_are_not_one_for_each_output():
    with pytest.raises(ValueError, match="tree 0 does not have 2 values a node"):
        Ensemble((make_tree({}),), (0.0, 0.0), ("",), (-1,))
    with pytest.raises(ValueError, match="tree 0 does not have 1 values a node"):
        Ensemble((make_tree({}, n_values=2),), (0.0, 0.0), ("",), (0,))


def test_a_node_of_one_value_is_a_number():
    assert node_dtype() == NODE
    assert NODE["value"] == np.float64
    assert node_dtype(3)["value"].shape == (3,)


@given(st.sets(st.integers(0, 64 * CODE_WORDS - 1)))
def test_codes_come_back(codes):
    assert codes_in(code_set(codes)) == tuple(sorted(codes))


def test_codes_that_do_not_fit():
    with pytest.raises(IndexError, match="a category code is -1"):
        code_set([3, -1])
    with pytest.raises(IndexError, match="256"):
        code_set([256])


def test_memory_layout_of_the_table_changes_nothing():
    table = random_table(5)
    ensemble = train(table, BoosterParams(n_estimators=2))
    expected = ensemble.raw_scores(table.X)
    np.testing.assert_array_equal(ensemble.raw_scores(np.asfortranarray(table.X)), expected)
