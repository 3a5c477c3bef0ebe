"""Columns of this process: sums by bin and sides of splits, against naive twins."""

import numpy as np
import pytest

from secureboost.gbdt.columns import Frontier, Gradients, Split
from secureboost.gbdt.local import LocalColumns, divide_rows_by_codes, sum_bins, sum_wide_bins
from secureboost.gbdt.partition import RowPartition

MAX_BIN, N_ROWS = 5, 3000  # more rows than one block of the kernel
N_BINS = np.full(3, MAX_BIN, dtype=np.int32)
CATEGORICAL = np.array([False, True, False])


@pytest.fixture
def binned():
    return np.random.default_rng(0).integers(0, MAX_BIN + 1, (3, N_ROWS)).astype(np.uint8)


def make_gradients(n_outputs):
    rng = np.random.default_rng(1)
    active = rng.random(N_ROWS) < 0.7
    values = rng.integers(-(2**40), 2**40, (N_ROWS, 2 * n_outputs)) * active[:, None]
    return Gradients(values, active, 30, 31)


@pytest.fixture
def partition():
    partition = RowPartition(N_ROWS)
    partition.split(0, 1, 2, np.random.default_rng(2).random(N_ROWS) < 0.1)
    return partition


def naive_sums(column, rows, values):
    sums = np.zeros((MAX_BIN + 1, values.shape[1]), dtype=np.int64)
    np.add.at(sums, column[rows], values[rows])
    return sums


@pytest.mark.kernels
@pytest.mark.parametrize(
    ("kernel", "n_outputs"),
    [(sum_bins, 1), (sum_wide_bins, 1), (sum_wide_bins, 3), (sum_wide_bins, 7)],
)
def test_sums_against_twin(binned, partition, kernel, n_outputs):
    values = make_gradients(n_outputs).values
    features = np.array([0, 2], dtype=np.int32)
    out = np.zeros((2, 2, MAX_BIN + 1, 2 * n_outputs), dtype=np.int64)
    bounds = partition.bounds([2, 1])
    kernel(binned, features, 0, 1, partition.order, bounds, values, out)
    assert not out[:, 1].any()
    kernel(binned, features, 1, 2, partition.order, bounds, values, out)
    for i, node in enumerate((2, 1)):
        for j, f in enumerate(features):
            twin = naive_sums(binned[f], partition.rows(node), values)
            np.testing.assert_array_equal(out[i, j], twin)


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
@pytest.mark.parametrize("n_outputs", [1, 4])
@pytest.mark.parametrize("min_child_samples", [1, 7])
def test_histograms_of_the_asked_nodes(
    binned, partition, n_jobs, n_outputs, min_child_samples, monkeypatch
):
    monkeypatch.setattr("secureboost.gbdt.local._WORTH_A_THREAD", 1)
    gradients = make_gradients(n_outputs)
    columns = LocalColumns("bank", binned, N_BINS, MAX_BIN, min_child_samples, n_jobs)
    assert (columns.owner, columns.n_features) == ("bank", 3)
    assert columns.categorical.tolist() == [False] * 3
    assert columns.monotone.tolist() == [0] * 3
    columns.begin_tree(0, gradients, np.array([0, 1, 2], dtype=np.int32))
    frontier = Frontier(partition, np.array([1, 2], dtype=np.int32), np.array([2], dtype=np.int32))
    answer = columns.histograms(frontier)()
    assert answer.sums.shape == (1, 3, MAX_BIN + 1, 2 * n_outputs)
    for f in range(3):
        twin = naive_sums(binned[f], partition.rows(2), gradients.values)
        np.testing.assert_array_equal(answer.sums[0, f], twin)
    if min_child_samples == 1:
        assert answer.allowed is None
    else:
        assert answer.allowed.shape == (2, 3, MAX_BIN, 2)


@pytest.mark.parametrize("features", [[0, 1, 2], [1]])
def test_categories_with_enough_rows_are_allowed(binned, partition, features):
    gradients = make_gradients(1)
    columns = LocalColumns(
        "",
        binned,
        N_BINS,
        MAX_BIN,
        categorical=CATEGORICAL,
        monotone=np.array([1, 0, -1], dtype=np.int8),
        min_group=40,
    )
    assert columns.monotone.tolist() == [1, 0, -1]
    columns.begin_tree(0, gradients, np.array(features, dtype=np.int32))
    nodes = np.array([1, 2], dtype=np.int32)
    allowed = columns.histograms(Frontier(partition, nodes, nodes))().allowed
    for i, node in enumerate((1, 2)):
        rows = partition.rows(node)
        bins = binned[1, rows[gradients.active[rows]]]
        enough = np.bincount(bins, minlength=MAX_BIN + 1)[:MAX_BIN] >= 40
        position = features.index(1)
        assert allowed[i, position].tolist() == np.column_stack([enough, enough]).tolist()
        assert np.delete(allowed[i], position, axis=0).all()
    assert 0 < allowed[0, features.index(1), :, 0].sum() < MAX_BIN


@pytest.mark.kernels
def test_divide_sends_missing_where_it_is_told(binned, partition):
    columns = LocalColumns("", binned, N_BINS, MAX_BIN)
    splits = [Split(2, 1, 3, True), Split(1, 0, 0, False)]
    left_of_2, left_of_1 = columns.divide(partition, splits)()
    bins = binned[1, partition.rows(2)]
    np.testing.assert_array_equal(left_of_2, (bins <= 3) | (bins == MAX_BIN))
    np.testing.assert_array_equal(left_of_1, binned[0, partition.rows(1)] == 0)


@pytest.mark.parametrize("missing_left", [False, True])
def test_divide_by_categories(binned, partition, missing_left):
    columns = LocalColumns("", binned, N_BINS, MAX_BIN, categorical=CATEGORICAL)
    (left,) = columns.divide(partition, [Split(2, 1, -1, missing_left, (0, 3))])()
    chosen = {0, 3, MAX_BIN} if missing_left else {0, 3}
    assert left.tolist() == [bin_ in chosen for bin_ in binned[1, partition.rows(2)].tolist()]


@pytest.mark.kernels
def test_divide_rows_by_codes_against_twin(binned):
    rows = np.arange(0, 400, 3, dtype=np.int32)
    left = np.random.default_rng(3).random(256) < 0.5
    goes_left = np.empty(len(rows), dtype=np.bool_)
    divide_rows_by_codes(binned[2], rows, left, goes_left)
    assert goes_left.tolist() == [bool(left[binned[2, row]]) for row in rows]
