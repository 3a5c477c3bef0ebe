"""The order of histogram cells, and which rows go left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureboost.alignment import ABSENT
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.feature_tree import route_bits, rows_by_node, rows_left
from secureboost.gbdt.protocol import NO_NODE

SMALL = settings(max_examples=30, deadline=None)


@SMALL
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([2, 5, 255]))
def test_dense_histograms_have_every_cell_in_its_place(seed, n_nodes, max_bin):
    rng = np.random.default_rng(seed)
    n_bins = rng.integers(1, max_bin + 1, rng.integers(1, 5)).astype(np.int32)
    layout = CellLayout(n_bins, max_bin)
    cells = rng.integers(-9, 9, (n_nodes * layout.cells_per_node, 2))
    dense = layout.to_dense(cells, n_nodes)
    assert dense.shape == (n_nodes, len(n_bins), max_bin + 1, 2)
    expected, cell = np.zeros_like(dense), 0
    for node in range(n_nodes):
        for feature, bins in enumerate(n_bins):
            for position in [*range(bins), max_bin]:
                expected[node, feature, position] = cells[cell]
                cell += 1
    assert np.array_equal(dense, expected)


def test_no_columns_no_cells():
    layout = CellLayout(np.zeros(0, np.int32), 4)
    assert layout.cells_per_node == 0
    assert layout.to_dense(np.zeros((0, 2), np.int64), 2).shape == (2, 0, 5, 2)


@pytest.mark.kernels
@SMALL
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(0, 5))
def test_route_bits(seed, n_rows, n_splits):
    rng = np.random.default_rng(seed)
    columns = rng.integers(-2, 3, (3, 30)).astype(np.float32)
    columns[rng.random(columns.shape) < 0.3] = np.nan
    rows = rng.permutation(30)[:n_rows].astype(np.int32)
    rows[rng.random(n_rows) < 0.2] = ABSENT
    features = rng.integers(0, 3, n_splits).astype(np.int32)
    thresholds = rng.choice([-1.0, 0.0, 1.5, np.inf], n_splits).astype(np.float32)
    missing_left = rng.random(n_splits) < 0.5
    bits = np.zeros((n_splits, -(-n_rows // 8)), np.uint8)
    route_bits(columns, rows, features, thresholds, missing_left, bits)
    values = np.where(rows == ABSENT, np.nan, columns[:, rows])
    expected = [
        [bool(left) if np.isnan(value) else bool(value <= threshold) for value in values[f]]
        for f, threshold, left in zip(features, thresholds, missing_left, strict=True)
    ]
    unpacked = np.unpackbits(bits, axis=1, bitorder="little")
    assert unpacked[:, :n_rows].astype(bool).tolist() == expected
    assert not unpacked[:, n_rows:].any()


def test_route_bits_leaves_splits_by_categories_alone():
    column = np.array([[1.0, 2.0, 3.0]], np.float32)
    bits = np.full((2, 1), 7, np.uint8)
    bits[1] = 0b101
    numbers, thresholds = np.array([0, -1], np.int32), np.array([2.0, 2.0], np.float32)
    route_bits(
        column, np.arange(3, dtype=np.int32), numbers, thresholds, np.ones(2, np.bool_), bits
    )
    assert bits.tolist() == [[0b011], [0b101]]


def test_route_bits_of_several_blocks():
    rng = np.random.default_rng(0)
    column = rng.standard_normal((1, 2500)).astype(np.float32)
    rows = rng.permutation(2500)[:2100].astype(np.int32)
    bits = np.full((1, 263), 255, np.uint8)
    route_bits(
        column, rows, np.zeros(1, np.int32), np.zeros(1, np.float32), np.ones(1, np.bool_), bits
    )
    unpacked = np.unpackbits(bits[0], bitorder="little")
    assert np.array_equal(unpacked[:2100], column[0, rows] <= 0)
    assert not unpacked[2100:].any()


@pytest.mark.kernels
@SMALL
@given(st.integers(1, 6), st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_rows_by_node(n_nodes, placed):
    placed = [node if node < n_nodes else NO_NODE for node in placed]
    found = rows_by_node(np.array(placed, np.uint16), n_nodes)
    assert all(rows.dtype == np.int32 and rows.base is None for rows in found)
    assert [rows.tolist() for rows in found] == [
        [row for row, at in enumerate(placed) if at == node] for node in range(n_nodes)
    ]


@pytest.mark.parametrize("missing_left", [False, True])
@pytest.mark.parametrize("cut", [0, 2, 3])
def test_rows_left(cut, missing_left):
    bins = np.array([0, 1, 2, 3, 7, 0, 7], np.uint8)
    left = rows_left(bins, cut, 7, missing_left)
    expected = [missing_left if value == 7 else value <= cut for value in bins.tolist()]
    assert left.tolist() == expected
