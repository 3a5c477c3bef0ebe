import numpy as np
import pytest

from secureboost.gbdt.columns import Frontier, Gradients, Split
from secureboost.gbdt.local import LocalColumns, sum_bins
from secureboost.gbdt.partition import RowPartition

MAX_BIN, N_ROWS = 5, 3000  # more rows than one block of the kernel


@pytest.fixture
def binned():
    return np.random.default_rng(0).integers(0, MAX_BIN + 1, (3, N_ROWS)).astype(np.uint8)


@pytest.fixture
def gradients():
    rng = np.random.default_rng(1)
    active = rng.random(N_ROWS) < 0.7
    values = rng.integers(-(2**40), 2**40, (N_ROWS, 2)) * active[:, None]
    return Gradients(values, active, 30)


@pytest.fixture
def partition():
    partition = RowPartition(N_ROWS)
    partition.split(0, 1, 2, np.random.default_rng(2).random(N_ROWS) < 0.1)
    return partition


def naive_sums(column, rows, values):
    sums = np.zeros((MAX_BIN + 1, 2), dtype=np.int64)
    np.add.at(sums, column[rows], values[rows])
    return sums


@pytest.mark.kernels
def test_sum_bins_against_twin(binned, gradients, partition):
    features = np.array([0, 2], dtype=np.int32)
    out = np.zeros((2, 2, MAX_BIN + 1, 2), dtype=np.int64)
    bounds = partition.bounds([2, 1])
    sum_bins(binned, features, 0, 2, partition.order, bounds, gradients.values, out)
    for i, node in enumerate((2, 1)):
        for j, f in enumerate(features):
            twin = naive_sums(binned[f], partition.rows(node), gradients.values)
            np.testing.assert_array_equal(out[i, j], twin)


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
@pytest.mark.parametrize("min_child_samples", [1, 7])
def test_histograms_of_the_asked_nodes(
    binned, gradients, partition, n_jobs, min_child_samples, monkeypatch
):
    monkeypatch.setattr("secureboost.gbdt.local._WORTH_A_THREAD", 1)
    n_bins = np.full(3, MAX_BIN, dtype=np.int32)
    columns = LocalColumns("bank", binned, n_bins, MAX_BIN, min_child_samples, n_jobs)
    assert (columns.owner, columns.n_features) == ("bank", 3)
    columns.begin_tree(0, gradients, np.array([0, 1, 2], dtype=np.int32))
    frontier = Frontier(partition, np.array([1, 2], dtype=np.int32), np.array([2], dtype=np.int32))
    answer = columns.histograms(frontier)()
    assert answer.sums.shape == (1, 3, MAX_BIN + 1, 2)
    for f in range(3):
        twin = naive_sums(binned[f], partition.rows(2), gradients.values)
        np.testing.assert_array_equal(answer.sums[0, f], twin)
    if min_child_samples == 1:
        assert answer.allowed is None
    else:
        assert answer.allowed.shape == (2, 3, MAX_BIN, 2)


@pytest.mark.kernels
def test_divide_sends_missing_where_it_is_told(binned, partition):
    columns = LocalColumns("", binned, np.full(3, MAX_BIN, dtype=np.int32), MAX_BIN)
    splits = [Split(2, 1, 3, True), Split(1, 0, 0, False)]
    left_of_2, left_of_1 = columns.divide(partition, splits)()
    bins = binned[1, partition.rows(2)]
    np.testing.assert_array_equal(left_of_2, (bins <= 3) | (bins == MAX_BIN))
    np.testing.assert_array_equal(left_of_1, binned[0, partition.rows(1)] == 0)
