import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureboost.gbdt.partition import RowPartition, stable_partition


@settings(deadline=None)
@given(st.integers(0, 60), st.lists(st.integers(0, 2**32 - 1), max_size=8))
def test_leaves_hold_each_row_once_in_ascending_order(n_rows, seeds):
    partition, expected, new = RowPartition(n_rows), {0: list(range(n_rows))}, 1
    for seed in seeds:
        rng = np.random.default_rng(seed)
        node = list(expected)[rng.integers(len(expected))]  # any leaf: growth in any order
        goes_left = rng.random(len(expected[node])) < rng.random()
        partition.split(node, new, new + 1, goes_left)
        rows = expected.pop(node)
        expected[new] = [row for row, left in zip(rows, goes_left, strict=True) if left]
        expected[new + 1] = [row for row, left in zip(rows, goes_left, strict=True) if not left]
        assert partition.parent(new) == partition.parent(new + 1) == node
        new += 2
    assert set(partition.leaves) == set(expected)
    node_of_row = partition.node_of_row()
    for node, rows in expected.items():
        assert partition.rows(node).tolist() == rows
        assert partition.rows(node).dtype == np.int32
        assert np.flatnonzero(node_of_row == node).tolist() == rows
        ((begin, end),) = partition.bounds([node])
        assert partition.order[begin:end].tolist() == rows


def test_node_of_row_of_some_leaves():
    partition = RowPartition(4)
    partition.split(0, 1, 2, np.array([True, False, True, False]))
    assert partition.node_of_row([2]).tolist() == [-1, 2, -1, 2]
    assert partition.node_of_row().dtype == np.int32
    assert partition.parent(0) == -1


def test_refusals():
    partition = RowPartition(3)
    with pytest.raises(ValueError, match=r"shape \(2,\).*node 0 has 3 rows"):
        partition.split(0, 1, 2, np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="type int64"):
        partition.split(0, 1, 2, np.ones(3, dtype=np.int64))
    with pytest.raises(KeyError):
        partition.rows(1)
    partition.split(0, 1, 2, np.array([True, False, False]))
    with pytest.raises(KeyError):
        partition.rows(0)
    for left, right in ((0, 3), (1, 3), (3, 3)):
        with pytest.raises(ValueError, match="needs an unused number"):
            partition.split(2, left, right, np.ones(2, dtype=bool))


@pytest.mark.kernels
@pytest.mark.parametrize("n_rows", [0, 1, 2, 200])
def test_stable_partition_against_twin(n_rows):
    rng = np.random.default_rng(n_rows)
    rows = np.sort(rng.choice(1000, n_rows, replace=False)).astype(np.int32)
    goes_left = rng.random(n_rows) < 0.4
    twin = [*rows[goes_left], *rows[~goes_left]]
    assert stable_partition(rows, goes_left, np.empty(n_rows, dtype=np.int32)) == goes_left.sum()
    assert rows.tolist() == twin
