import lightgbm
import numpy as np
import pandas as pd
import pytest
from support.splits import SCALES, Node, naive_best

from secureboost.gbdt.category_splits import ordered_codes
from secureboost.gbdt.codes import codes_in
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.scores import terms_of
from secureboost.gbdt.splitter import BEST_SPLIT, TreeColumns, best_splits


def column(groups, missing=None, categorical=True, n_codes=None):
    """A node with one column; each group's (G, H, ...) is one row."""
    rows = [*groups, *([missing] if missing else [])]
    values = np.array(rows) / np.resize(SCALES, len(groups[0]))
    n_codes = n_codes or len(groups)
    codes = [*range(len(groups)), *([n_codes] if missing else [])]
    columns = TreeColumns(
        np.array([n_codes], dtype=np.int32), np.array([categorical]), np.zeros(1, dtype=np.int8)
    )
    return Node(np.array([codes]), np.rint(values).astype(np.int64), columns, n_codes)


def best_of(node, allowed=None, **limits):
    """The best split: which codes go left, the record, and the sums on the left."""
    if allowed is not None:
        mask = np.zeros((1, 1, node.max_bin, 2), dtype=np.bool_)
        mask[0, 0, list(allowed)] = True
    params = BoosterParams(**{"cat_smooth": 1.0, "cat_l2": 0.0, "max_cat_to_onehot": 1} | limits)
    best = best_splits(
        node.sums()[None],
        node.totals[None],
        np.array([True]),
        node.columns,
        None if allowed is None else mask,
        None,
        None,
        SCALES,
        params,
    )
    record = best.records[0]
    return codes_in(record["codes"]), record, best.left_sums[0]


UP_AND_DOWN = [(5, 4), (-6, 4), (4, 4), (-5, 4), (-4, 4), (6, 4)]


def test_codes_with_like_gradients_go_the_same_side():
    codes, record, left_sums = best_of(column(UP_AND_DOWN))
    assert codes == (1, 3, 4)
    assert record["gain"] == pytest.approx(2 * 15**2 / 13)
    assert (left_sums * SCALES).tolist() == [-15, 12]
    assert record["left_weight"] == pytest.approx(15 / 13) == -record["right_weight"]


def test_cat_l2_is_in_the_childrens_scores_but_not_in_their_values():
    codes, record, _ = best_of(column([*UP_AND_DOWN, (1, 4)]), cat_l2=7.0)
    assert codes == (1, 3, 4)
    assert record["gain"] == pytest.approx(15**2 / 20 + 16**2 / 24 - 1 / 29)
    assert record["left_weight"] == pytest.approx(15 / 13)


def test_few_codes_are_taken_one_by_one_without_cat_l2():
    codes, record, _ = best_of(column(UP_AND_DOWN), max_cat_to_onehot=6, cat_l2=7.0)
    assert codes == (1,)  # and not 5, which is as good
    assert record["gain"] == pytest.approx(6**2 / 5 + 6**2 / 21)
    assert len(best_of(column(UP_AND_DOWN), max_cat_to_onehot=5)[0]) == 3


def test_max_cat_threshold_limits_the_set_from_either_end():
    groups = [(-1, 4)] * 7 + [(9, 4), (8, 4)]
    assert best_of(column(groups))[0] == (0, 1, 2, 3, 4, 5, 6)
    assert best_of(column(groups), max_cat_threshold=2)[0] == (7, 8)
    assert best_of(column(groups), max_cat_threshold=1)[0] == (7,)


def test_codes_that_are_not_allowed_stay_on_the_right():
    codes, _, left_sums = best_of(column(UP_AND_DOWN), allowed=(0, 2, 3, 4, 5))
    assert codes == (0, 2, 5)  # code 1 would have to be among the others, and so it is
    assert (left_sums * SCALES).tolist() == [15, 12]
    assert best_of(column(UP_AND_DOWN), allowed=(0, 3, 4, 5))[0] == (0, 5)


def test_one_allowed_code_stays_outside():
    assert best_of(column(UP_AND_DOWN), allowed=(1, 3))[0] == (1,)
    assert best_of(column(UP_AND_DOWN), allowed=(1,))[1]["feature"] == -1
    assert best_of(column(UP_AND_DOWN), allowed=())[1]["feature"] == -1
    assert best_of(column(UP_AND_DOWN), allowed=(1,), max_cat_to_onehot=255)[1]["feature"] == -1


def test_codes_without_rows_do_not_count_as_the_one_outside():
    assert best_of(column([(-3, 2), (3, 2)], n_codes=9))[0] == (0,)
    assert best_of(column([(-3, 2)], missing=(3, 2), n_codes=9))[1]["feature"] == -1


@pytest.mark.parametrize("limits", [{}, {"max_cat_to_onehot": 255}], ids=str)
def test_missing_values_go_the_better_side(limits):
    codes, record, left_sums = best_of(column([(-5, 4), (5, 4)], missing=(-6, 4)), **limits)
    assert (codes, record["missing_left"]) == ((0,), 1)
    assert (left_sums * SCALES).tolist() == [-11, 8]
    codes, record, left_sums = best_of(column([(-5, 4), (5, 4)], missing=(6, 4)), **limits)
    assert (codes, record["missing_left"]) == ((0,), 0)
    assert (left_sums * SCALES).tolist() == [-5, 4]


def test_a_column_of_numbers_wins_a_tie_only_if_it_is_the_lower():
    node = column([(-3, 2), (3, 2)])
    for categorical in ([True, False], [False, True]):
        columns = TreeColumns(
            np.array([2, 2], dtype=np.int32), np.array(categorical), np.zeros(2, dtype=np.int8)
        )
        both = Node(np.repeat(node.bins, 2, axis=0), node.values, columns, node.max_bin)
        codes, record, _ = best_of(both, max_cat_to_onehot=4)
        assert record["feature"] == 0
        assert codes == ((0,) if categorical[0] else ())
        assert record["bin"] == (-1 if categorical[0] else 0)


def test_each_outputs_order_is_tried():
    """What one output cannot tell apart another can."""
    groups = [(0, 4, g, 4) for g, _ in UP_AND_DOWN]
    assert best_of(column(groups))[0] == (1, 3, 4)
    assert best_of(column([(g, 4, 0, 4) for g, _ in UP_AND_DOWN]))[0] == (1, 3, 4)


@pytest.mark.kernels
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("n_codes", [65, 200, 255])
def test_many_codes_against_naive_search(n_codes, n_outputs):
    """Sets that need all words of a record, with many ties."""
    rng = np.random.default_rng(n_codes)
    values = rng.integers(-3, 4, (n_codes, 2 * n_outputs)) * 8
    values[:, 1::2] = np.abs(values[:, 1::2]) // 2
    node = column((values * np.resize(SCALES, 2 * n_outputs)).tolist())
    limits = {"max_cat_threshold": 255, "min_child_weight": 0.0, "cat_smooth": 0.0}
    codes, record, left_sums = best_of(node, **limits)
    params = BoosterParams(cat_l2=0.0, max_cat_to_onehot=1, **limits)
    gain, _, _, side, expected, *_, left = naive_best(node, None, None, None, params)
    assert (float(record["gain"]), codes, left_sums.tolist()) == (gain, expected, left)
    assert (record["missing_left"], side) == (0, 0)
    assert len(codes) > 10


@pytest.mark.kernels
def test_codes_that_are_alike_keep_their_order():
    rng = np.random.default_rng(0)
    terms = terms_of(BoosterParams(), SCALES, bounded=False)
    for n in (2, 10, 100, 255):
        cells = rng.integers(-2, 3, (n + 1, 4))
        cells[:, 1::2] = np.abs(cells[:, 1::2])
        codes = np.flatnonzero(rng.random(n) < 0.8)
        for smooth in (0.0, 1.5):

            def place(code, cells=cells, smooth=smooth):
                below = cells[code, 3] * SCALES[1] + smooth
                return (cells[code, 2] * SCALES[0] / below if below else 0.0, code)

            order = ordered_codes(codes, cells, 2, smooth, terms)
            assert order.tolist() == sorted(codes.tolist(), key=place)


def test_the_record_has_room_for_every_code():
    assert BEST_SPLIT["codes"].itemsize * 8 > 255


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("onehot", [1, 40])
def test_the_set_is_that_of_lightgbm(seed, onehot):
    """One split of one column, squared error; LightGBM's set has at most half of the codes."""
    rng = np.random.default_rng(seed)
    n_codes, n_rows = 30, 3000
    codes = np.concatenate([np.repeat(np.arange(n_codes), 20), rng.integers(0, n_codes, n_rows)])
    target = np.rint(8 * (rng.normal(0, 1, n_codes)[codes] + rng.normal(0, 1, len(codes)))) / 8
    booster = lightgbm.train(
        {
            "objective": "regression",
            "boost_from_average": False,
            "num_leaves": 2,
            "min_data_in_leaf": 1,
            "min_data_per_group": 1,
            "min_sum_hessian_in_leaf": 0.0,
            "lambda_l2": 1.0,
            "cat_smooth": 5.0,
            "cat_l2": 10.0,
            "max_cat_threshold": 255,
            "max_cat_to_onehot": onehot,
            "verbosity": -1,
            "num_threads": 1,
        },
        lightgbm.Dataset(pd.DataFrame({"x": pd.Categorical(codes)}), target),
        num_boost_round=1,
    )
    tree = booster.dump_model()["tree_info"][0]["tree_structure"]
    theirs = {int(code) for code in tree["threshold"].split("||")}

    values = np.column_stack([-target, np.ones(len(codes))]) / SCALES
    columns = TreeColumns(
        np.array([n_codes], dtype=np.int32), np.array([True]), np.zeros(1, dtype=np.int8)
    )
    node = Node(codes[None], values.astype(np.int64), columns, n_codes)
    limits = {"cat_smooth": 5.0, "cat_l2": 10.0, "max_cat_threshold": 255}
    ours, record, _ = best_of(node, max_cat_to_onehot=onehot, **limits)
    assert set(ours) in (theirs, set(range(n_codes)) - theirs)
    assert record["gain"] == pytest.approx(tree["split_gain"], rel=1e-5)
