"""Joint histograms: the same cells as the plain way, at no higher cost."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.joint import (
    COMPLEMENT,
    CONVERSION,
    SumPlan,
    choose_groups,
    group_cost,
    plan_sums,
)
from secureboost.gbdt.sorting import cell_codes, count_distinct, counting_sort

MAX_BIN = 7


def random_bins(rng, n_bins, n_rows):
    """Binned values of features with these numbers of bins, a tenth of them missing."""
    binned = np.stack([rng.integers(0, bins, n_rows) for bins in n_bins]).astype(np.uint8)
    binned[rng.random(binned.shape) < 0.1] = MAX_BIN
    return binned


def carry_out(plan: SumPlan, values: np.ndarray) -> np.ndarray:
    """What two rounds of sums give, with plain numbers for ciphertexts."""

    def sums(numbers, order, starts):
        return np.array(
            [numbers[order[a:b]].sum() for a, b in pairwise(starts)],
            dtype=np.int64,
        )

    parts = sums(values, plan.rows, plan.starts)
    parts[plan.complements] = sums(parts, plan.total_parts, plan.total_starts) - sums(
        parts, plan.other_parts, plan.other_starts
    )
    cells = np.full(plan.n_cells, -1)
    cells[plan.direct_cells] = parts[plan.direct_parts]
    cells[plan.joint_cells] = sums(parts, plan.parts, plan.part_starts)
    return cells


def naive_cells(binned, rows_of_nodes, features, n_bins, values, max_bin=MAX_BIN):
    cells = []
    for rows in rows_of_nodes:
        for feature in features:
            bins = binned[feature][rows]
            cells += [values[rows[bins == b]].sum() for b in range(n_bins[feature])]
            cells.append(values[rows[bins == max_bin]].sum())
    return np.array(cells)


def plan_cost(plan: SumPlan) -> int:
    """Additions and conversions of all rounds, empty cells counted as `group_cost` does."""
    made = len(plan.starts) - 1 + len(plan.joint_cells)
    return plan.additions + len(plan.complements) * COMPLEMENT + made * (CONVERSION - 1)


@pytest.mark.kernels
@given(
    seed=st.integers(0, 2**32 - 1),
    n_bins=st.lists(st.integers(1, MAX_BIN), min_size=1, max_size=6),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=3),
)
def test_gives_the_cells_of_the_plain_way(seed, n_bins, sizes):
    rng = np.random.default_rng(seed)
    n_rows = sum(sizes)
    binned = random_bins(rng, n_bins, n_rows)
    shuffled = rng.permutation(n_rows).astype(np.int32)
    rows_of_nodes = [np.sort(part) for part in np.split(shuffled, np.cumsum(sizes)[:-1])]
    n_features = len(n_bins)
    drawn = rng.choice(n_features, rng.integers(1, n_features + 1), replace=False)
    features = np.sort(drawn).astype(np.int32)
    layout = CellLayout(np.array(n_bins, np.int32)[features], MAX_BIN)
    values = rng.integers(-(10**6), 10**6, n_rows)

    plan = plan_sums(binned, rows_of_nodes, features, layout)

    expected = naive_cells(binned, rows_of_nodes, features, n_bins, values)
    assert (carry_out(plan, values) == expected).all()
    plain = sum(
        group_cost(len(rows), int(cells), np.array([cells]))
        for rows in rows_of_nodes
        for cells in layout.n_bins.astype(np.int64) + 1
    )
    assert plan_cost(plan) <= plain


def test_no_row_at_all():
    layout = CellLayout(np.array([3], np.int32), MAX_BIN)
    plan = plan_sums(
        np.zeros((1, 5), np.uint8),
        [np.zeros(0, np.int32)],
        np.zeros(1, np.int32),
        layout,
    )
    assert (carry_out(plan, np.ones(5, np.int64)) == 0).all()


def test_a_frequent_value_is_the_total_minus_the_rest():
    rng = np.random.default_rng(1)
    n_rows, n_bins, max_bin = 3_000, [200, 200], 250
    binned = np.stack([rng.integers(0, bins, n_rows) for bins in n_bins]).astype(np.uint8)
    binned[1, rng.random(n_rows) < 0.5] = max_bin
    rows, features = np.arange(n_rows, dtype=np.int32), np.arange(2, dtype=np.int32)
    values = rng.integers(-1000, 1000, n_rows)
    plan = plan_sums(binned, [rows], features, CellLayout(np.array(n_bins, np.int32), max_bin))
    assert len(plan.complements) == 1
    assert plan.additions < 1.8 * n_rows
    expected = naive_cells(binned, [rows], features, n_bins, values, max_bin)
    assert (carry_out(plan, values) == expected).all()


def test_groups_columns_of_few_values_and_leaves_wide_ones_alone():
    rng = np.random.default_rng(0)
    n_rows = 400
    cells_of = np.array([250, 2, 2, 2, 250], np.int64)
    codes = np.stack([rng.integers(0, cells, n_rows) for cells in cells_of]).astype(np.int32)
    assert choose_groups(codes, cells_of) == [(1, 2, 3), (0,), (4,)]


def test_correlated_columns_are_worth_grouping_though_wide():
    codes = np.tile(np.arange(5_000, dtype=np.int32) % 200, (3, 1))
    # three together would need a table of 8 million combinations
    assert choose_groups(codes, np.array([200, 200, 200])) == [(0, 1), (2,)]


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@given(codes=st.lists(st.integers(0, 5), max_size=40))
def test_counting_sort_against_numpy(dtype, codes):
    array, values = np.array(codes, np.int32), np.arange(len(codes), dtype=dtype)[::-1].copy()
    in_order, sizes = counting_sort(array, values, 6)
    assert in_order.dtype == dtype
    assert (in_order == values[np.argsort(array, kind="stable")]).all()
    assert (sizes == np.bincount(array, minlength=6)).all()


@pytest.mark.kernels
@given(st.lists(st.integers(0, 9), max_size=20))
def test_count_distinct(codes):
    assert count_distinct(np.array(codes, np.int32), 10) == len(set(codes))


@pytest.mark.kernels
def test_cell_codes_put_missing_last():
    binned = np.array([[0, 1, MAX_BIN, 2], [MAX_BIN, 0, 0, 1]], np.uint8)
    rows, features = np.array([2, 0, 3], np.int32), np.array([1, 0], np.int32)
    codes = cell_codes(binned, rows, features, np.array([2, 3], np.int32), MAX_BIN)
    assert codes.tolist() == [[0, 2, 1], [3, 0, 2]]
