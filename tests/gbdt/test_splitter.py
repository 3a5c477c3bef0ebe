import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from support.splits import LIMITS, SCALES, Node, naive_best, tables

from secureboost.gbdt.codes import codes_in
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.splitter import TreeColumns, best_splits, child_bounds, leaf_values

FREE = (-np.inf, np.inf)
FINE = (2.0**-30, 2.0**-30)


def leaf(gradients, hessians, bounds, params):
    """Values of one leaf with sums that are real numbers."""
    sums = np.rint(np.stack([gradients, hessians], axis=1).reshape(1, -1) / FINE[0])
    return leaf_values(sums.astype(np.int64), np.array([bounds]), FINE, params)[0]


PARAMS = [
    {},
    {"reg_lambda": 0.0, "min_child_weight": 0.0},
    {"min_child_weight": 25.0},
    {"reg_alpha": 3.0},
    {"max_delta_step": 0.1},
    {"max_delta_step": 0.1, "reg_alpha": 3.0},
]


def weights_of(record):
    return float(record["left_weight"]), float(record["right_weight"])


def best_of(node, params, *, allowed=None, candidates=None, bounds=None):
    """Best cut of one node: the record and the sums on its left."""
    best = best_splits(
        node.sums()[None],
        node.totals[None],
        np.array([True]),
        node.columns,
        None if allowed is None else allowed[None],
        None if candidates is None else candidates[None],
        None if bounds is None else np.array([bounds]),
        SCALES,
        params,
    )
    return best.records[0], best.left_sums[0]


def as_tuple(record, left_sums):
    return (
        float(record["gain"]),
        int(record["feature"]),
        int(record["bin"]),
        int(record["missing_left"]),
        codes_in(record["codes"]),
        float(record["left_weight"]),
        float(record["right_weight"]),
        left_sums.tolist(),
    )


@st.composite
def masks(draw, node, params):
    """`allowed` as from rows, or None; `candidates`, or None."""
    allowed = node.allowed(params) if draw(st.booleans()) else None
    n_columns = len(node.bins)
    columns = st.lists(st.booleans(), min_size=n_columns, max_size=n_columns)
    candidates = draw(st.none() | columns)
    return allowed, None if candidates is None else np.array(candidates)


@pytest.mark.kernels
@given(st.data(), tables(), LIMITS)
@settings(max_examples=150, deadline=None)
def test_best_splits_against_naive_search(data, node, params):
    allowed, candidates = data.draw(masks(node, params))
    found = best_of(node, params, allowed=allowed, candidates=candidates)
    assert as_tuple(*found) == naive_best(node, allowed, candidates, None, params)


@pytest.mark.kernels
@given(st.data(), tables(outputs=(1,), kinds=(0, 0, 1), signs=(-1, 0, 1)), LIMITS)
@settings(max_examples=150, deadline=None)
def test_monotone_splits_against_naive_search(data, node, params):
    allowed, candidates = data.draw(masks(node, params))
    ends = data.draw(st.lists(st.sampled_from([-np.inf, -1, -0.1, 0.2, np.inf]), max_size=2))
    bounds = (min(ends), max(ends)) if len(ends) == 2 and ends[0] != ends[1] else FREE
    found = best_of(node, params, allowed=allowed, candidates=candidates, bounds=bounds)
    assert as_tuple(*found) == naive_best(node, allowed, candidates, bounds, params)


@pytest.mark.kernels
@given(tables(), LIMITS)
@settings(max_examples=30, deadline=None)
def test_nodes_do_not_touch_each_other(node, params):
    """Several nodes at once, some not wanted, give what each gives alone."""
    nodes = [
        Node(node.bins[:, i::3], node.values[i::3], node.columns, node.max_bin) for i in range(3)
    ]
    wanted = np.arange(len(nodes)) != 1
    best = best_splits(
        np.stack([node.sums() for node in nodes]),
        np.stack([node.totals for node in nodes]),
        wanted,
        nodes[0].columns,
        None,
        None,
        None,
        SCALES,
        params,
    )
    for i, node in enumerate(nodes):
        found = as_tuple(best.records[i], best.left_sums[i])
        if wanted[i]:
            assert found == as_tuple(*best_of(node, params))
        else:
            assert found == (0.0, -1, 0, 0, (), 0.0, 0.0, [0] * node.values.shape[1])


@given(tables(), LIMITS)
@settings(deadline=None)
def test_both_children_keep_enough_rows(node, params):
    """What `allowed` promises holds for the rows, without a count in the search."""
    record, left_sums = best_of(node, params, allowed=node.allowed(params))
    if record["feature"] < 0:
        return
    goes_left = node.goes_left(record, codes_in(record["codes"]))
    of_category = node.columns.categorical[record["feature"]]
    alone = node.columns.n_bins[record["feature"]] <= params.max_cat_to_onehot
    least = params.least_group if of_category and not alone else params.min_child_samples
    assert min(goes_left.sum(), (~goes_left).sum()) >= least
    assert node.values[goes_left].sum(axis=0).tolist() == left_sums.tolist()


@given(tables(outputs=(1,)), LIMITS)
@settings(deadline=None)
def test_an_output_without_gradients_changes_nothing(node, params):
    both = Node(node.bins, np.pad(node.values, ((0, 0), (0, 2))), node.columns, node.max_bin)
    record, left_sums = best_of(node, params)
    joint, joint_sums = best_of(both, params)
    for name in ("gain", "feature", "bin", "missing_left", "codes"):
        assert (record[name] == joint[name]).all()
    assert joint_sums.tolist() == [*left_sums.tolist(), 0, 0]
    assert joint["left_weight"] == joint["right_weight"] == 0.0


def column(groups, sign=0, missing=None):
    """A node with one column of numbers; each bin's (G, H, ...) is one row."""
    rows = [*groups, *([missing] if missing else [])]
    values = np.array(rows) / np.resize(SCALES, len(groups[0]))
    columns = TreeColumns(
        np.array([len(groups)], dtype=np.int32), np.array([False]), np.array([sign], dtype=np.int8)
    )
    return Node(np.arange(len(rows))[None], values.astype(np.int64), columns, len(groups))


def one_cut(left, right, sign=0, bounds=None, **limits):
    """The only cut between two sides' (G, H), one pair for each output; None if none counts."""
    record, _ = best_of(column([left, right], sign), BoosterParams(**limits), bounds=bounds)
    return record if record["feature"] >= 0 else None


def gain(left, right, **limits):
    record = one_cut(left, right, **limits)
    return None if record is None else float(record["gain"])


def test_gain_of_a_known_cut():
    assert gain((-2, 3), (4, 1)) == pytest.approx(4 / 4 + 16 / 2 - 4 / 5)


def test_gain_of_a_cut_with_two_outputs_is_the_sum_of_theirs():
    both = gain((-2, 3, 5, 1), (4, 1, 1, 2))
    assert both == pytest.approx(gain((-2, 3), (4, 1)) + 25 / 2 + 1 / 3 - 36 / 4)


def test_gamma_is_the_least_gain():
    most = gain((-2, 3), (4, 1))
    assert gain((-2, 3), (4, 1), gamma=most) == most
    assert gain((-2, 3), (4, 1), gamma=np.nextafter(most, np.inf)) is None


def test_min_child_weight_is_a_limit_of_both_sides():
    assert one_cut((-2, 3), (4, 2), min_child_weight=2) is not None
    assert one_cut((-2, 3), (4, 2), min_child_weight=2.001) is None
    assert one_cut((-2, 2), (4, 3), min_child_weight=2.001) is None


def test_min_child_weight_is_a_limit_of_all_outputs_together():
    sides = (-2, 3, 1, 0), (4, 1, -1, 2)
    assert one_cut(*sides, min_child_weight=3) is not None
    assert one_cut(*sides, min_child_weight=3.001) is None


def test_a_side_without_hessian_does_not_count():
    assert one_cut((-2, 0), (4, 2), min_child_weight=0, reg_lambda=0) is None
    assert one_cut((-2, 0, 1, 0), (4, 2, 1, 1), min_child_weight=0, reg_lambda=0) is None


def test_an_output_without_hessian_adds_nothing():
    assert gain((-2, 3, 1, 0), (4, 1, 0, 0), reg_lambda=0) == gain((-2, 3), (4, 1), reg_lambda=0)


def test_reg_alpha_takes_away_from_the_gradient():
    expected = 1.5**2 / 4 + 3.5**2 / 2 - 1.5**2 / 5
    assert gain((-2, 3), (4, 1), reg_alpha=0.5) == pytest.approx(expected)


def score_of(g, h, w):
    """What a leaf of value w saves, with reg_lambda 1."""
    return -(2 * g * w + (h + 1) * w * w)


def test_max_delta_step_clips_the_value_and_scores_it():
    expected = score_of(-2, 3, 0.5) + score_of(4, 1, -0.7) - score_of(2, 4, -0.4)
    assert gain((-2, 3), (4, 1), max_delta_step=0.7) == pytest.approx(expected)
    assert gain((-2, 3), (4, 1), max_delta_step=9) == pytest.approx(gain((-2, 3), (4, 1)))


def test_bounds_clip_the_values_and_score_them():
    record = one_cut((-2, 3), (4, 1), bounds=(-0.25, 0.3))
    expected = score_of(-2, 3, 0.3) + score_of(4, 1, -0.25) - score_of(2, 4, -0.25)
    assert record["gain"] == pytest.approx(expected)
    assert (record["left_weight"], record["right_weight"]) == (0.3, -0.25)


def test_no_gain_is_no_cut():
    assert one_cut((2, 2), (2, 2), reg_lambda=0) is None


def test_a_monotone_column_refuses_the_cut_that_contradicts_it():
    assert one_cut((4, 1), (-2, 3), sign=1) is not None  # a high gradient makes a low value
    assert one_cut((4, 1), (-2, 3), sign=-1) is None
    assert one_cut((-2, 3), (4, 1), sign=-1) is not None
    assert one_cut((-2, 3), (4, 1), sign=1) is None


def test_missing_values_have_no_order_to_contradict():
    node = column([(4, 1)], sign=1, missing=(-2, 3))
    assert best_of(node, BoosterParams())[0]["bin"] == 0
    node = column([(-2, 3)], sign=1, missing=(4, 1))
    record, _ = best_of(node, BoosterParams())
    assert (record["bin"], record["missing_left"]) == (0, 0)
    assert (record["left_weight"], record["right_weight"]) == (0.5, -2.0)
    assert child_bounds(weights_of(record), 1, FREE) == ((-0.75, np.inf), (-np.inf, -0.75))


def test_child_bounds_meet_in_the_middle_of_the_values():
    record = one_cut((4, 1), (-2, 3), sign=1)
    assert (record["left_weight"], record["right_weight"]) == (-2.0, 0.5)
    assert child_bounds(weights_of(record), 1, (-3.0, 7.0)) == ((-3.0, -0.75), (-0.75, 7.0))
    assert child_bounds(weights_of(record), 0, (-3.0, 7.0)) == ((-3.0, 7.0), (-3.0, 7.0))
    record = one_cut((-2, 3), (4, 1), sign=-1)
    assert child_bounds(weights_of(record), -1, (-3.0, 7.0)) == ((-0.75, 7.0), (-3.0, -0.75))


def test_child_bounds_of_equal_values_follow_the_sign():
    record = one_cut((4, 1), (-2, 3), sign=1)
    record["left_weight"] = record["right_weight"] = 0.2
    assert child_bounds(weights_of(record), 1, FREE) == ((-np.inf, 0.2), (0.2, np.inf))
    assert child_bounds(weights_of(record), -1, FREE) == ((0.2, np.inf), (-np.inf, 0.2))


def value_of_bins(node, params, bounds=FREE, depth=4):
    """A function from a row's bins to its leaf value, by a tree over the node's rows."""
    value = leaf_values(node.totals[None], np.array([bounds]), SCALES, params)[0, 0]
    assert bounds[0] <= value <= bounds[1]
    record, _ = best_of(node, params, bounds=bounds)
    if depth == 0 or record["feature"] < 0:
        return lambda bins: value
    sign = int(node.columns.monotone[record["feature"]])
    if record["bin"] + 1 < node.columns.n_bins[record["feature"]]:  # not between missing and others
        assert sign * (record["right_weight"] - record["left_weight"]) >= 0
    goes_left = node.goes_left(record, codes_in(record["codes"]))
    left, right = (
        value_of_bins(
            Node(node.bins[:, rows], node.values[rows], node.columns, node.max_bin),
            params,
            inner,
            depth - 1,
        )
        for rows, inner in zip(
            (goes_left, ~goes_left),
            child_bounds(weights_of(record), sign, bounds),
            strict=True,
        )
    )

    def value_of(bins):
        row = Node(np.array(bins)[:, None], node.values[:1], node.columns, node.max_bin)
        return (left if row.goes_left(record, codes_in(record["codes"]))[0] else right)(bins)

    return value_of


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limits", [{}, {"reg_alpha": 1.0, "max_delta_step": 0.5}], ids=str)
def test_no_path_through_a_tree_contradicts_a_monotone_column(seed, limits):
    """Brute force over every combination of bins; the rows pull against the constraint."""
    rng = np.random.default_rng(seed)
    shape = n_up, n_down, n_free = 5, 4, 4
    bins = np.stack([rng.integers(0, n, 300) for n in (*shape, 5)])
    bins[0, rng.random(300) < 0.1] = 5  # missing
    wave = np.sin(bins[0] * 2.0) + np.cos(bins[1] * 3.0) + 0.3 * bins[0] - bins[2] * bins[3] % 3
    values = np.column_stack([np.rint(-8 * wave + rng.normal(0, 4, 300)), np.full(300, 4)])
    columns = TreeColumns(
        np.array([*shape, 5], dtype=np.int32),
        np.array([False, False, False, True]),
        np.array([1, -1, 0, 0], dtype=np.int8),
    )
    params = BoosterParams(min_data_per_group=1, cat_smooth=1.0, **limits)
    value_of = value_of_bins(Node(bins, values.astype(np.int64), columns, 5), params)
    grid = np.array(
        [
            [
                [[value_of((a, b, c, d)) for d in range(5)] for c in range(n_free)]
                for b in range(n_down)
            ]
            for a in range(n_up)
        ]
    )
    assert (np.diff(grid, axis=0) >= 0).all()
    assert (np.diff(grid, axis=1) <= 0).all()
    assert all(np.ptp(grid, axis=axis).max() > 0 for axis in range(2))


@pytest.mark.parametrize("signs", [(1, -1, 0), (-1, 1, 1), (0, -1, 1)], ids=str)
@pytest.mark.parametrize(
    "limits",
    [{}, {"reg_alpha": 0.5, "reg_lambda": 2.0}, {"max_delta_step": 0.6}, {"min_child_weight": 9}],
    ids=str,
)
def test_monotone_trees_are_those_of_xgboost(signs, limits):
    rng = np.random.default_rng(len(str(limits)))
    n_rows, n_bins = 600, (8, 6, 5)
    bins = np.stack([rng.integers(0, n, n_rows) for n in n_bins])
    bins[:, rng.random(n_rows) < 0.1] = 8  # missing
    bins[0, rng.random(n_rows) < 0.1] = 8
    target = np.sin(bins[0]) + np.cos(bins[1] * 2.0) + bins[2] % 2 + 0.2 * bins[0]
    target = np.rint(8 * (target + rng.normal(0, 0.5, n_rows))) / 8
    X = np.where(bins == 8, np.nan, bins).T
    booster = xgboost.train(
        {
            "tree_method": "hist",
            "max_depth": 4,
            "learning_rate": 1.0,
            "base_score": 0.0,
            "monotone_constraints": signs,
            **limits,
        },
        xgboost.DMatrix(X, target),
        num_boost_round=1,
    )
    columns = TreeColumns(
        np.array(n_bins, dtype=np.int32),
        np.zeros(3, dtype=np.bool_),
        np.array(signs, dtype=np.int8),
    )
    values = np.column_stack([-target, np.ones(n_rows)]) / SCALES
    node = Node(bins, values.astype(np.int64), columns, 8)
    value_of = value_of_bins(node, BoosterParams(**limits))
    ours = [value_of(row) for row in bins.T]
    np.testing.assert_allclose(ours, booster.predict(xgboost.DMatrix(X)), atol=1e-5)


@pytest.mark.parametrize("limits", PARAMS, ids=str)
@pytest.mark.parametrize(("g", "h"), [(3.7, 30.0), (-12.0, 40.0), (0.2, 25.0)])
@pytest.mark.parametrize("bounds", [FREE, (0.05, 0.2)], ids=str)
def test_leaf_value_minimises_the_loss(g, h, bounds, limits):
    params = BoosterParams(**limits)
    most = params.max_delta_step or 100.0
    low, high = max(bounds[0], -most), min(bounds[1], most)
    found = minimize_scalar(
        lambda w: g * w + (h + params.reg_lambda) * w * w / 2 + params.reg_alpha * abs(w),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9},
    )
    value = leaf([g], [h], bounds, params)
    assert value[0] == pytest.approx(found.x, abs=1e-6)


def test_leaf_values_without_enough_hessian_are_zero():
    def values(gradients, hessians, **limits):
        return leaf(gradients, hessians, FREE, BoosterParams(**limits)).tolist()

    assert values([2.0], [0.5], min_child_weight=1) == [0.0]
    assert values([2.0], [0.0], min_child_weight=0, reg_lambda=0) == [0.0]
    assert values([2.0, 3.0], [0.5, 0.5], min_child_weight=1, reg_lambda=0) == [-4.0, -6.0]
    assert values([2.0, 3.0], [0.5, 0.4], min_child_weight=1, reg_lambda=0) == [0.0, 0.0]
    assert values([2.0, 3.0], [2.0, 0.0], min_child_weight=1, reg_lambda=0) == [-1.0, 0.0]
