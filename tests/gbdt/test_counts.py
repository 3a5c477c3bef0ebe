import numpy as np
import pytest

from secureboost.gbdt.counts import NodeCounts, count_bins

MAX_BIN = 6


@pytest.fixture
def binned():
    return np.random.default_rng(0).integers(0, MAX_BIN + 1, (4, 120)).astype(np.uint8)


@pytest.fixture
def active():
    return np.random.default_rng(1).random(120) < 0.8


def naive_mask(binned, features, rows, active, minimum):
    mask = np.zeros((len(features), MAX_BIN, 2), dtype=bool)
    drawn = rows[active[rows]]
    for i, f in enumerate(features):
        for cut in range(MAX_BIN):
            for side in (0, 1):
                bins = binned[f, drawn]
                left = int(((bins <= cut) | ((bins == MAX_BIN) & bool(side))).sum())
                mask[i, cut, side] = left >= minimum and len(drawn) - left >= minimum
    return mask


@pytest.mark.kernels
@pytest.mark.parametrize("with_parents", [False, True])
def test_allowed_against_twin(binned, active, with_parents):
    features = np.array([0, 2, 3], dtype=np.int32)
    counts = NodeCounts(binned, MAX_BIN, 5)
    counts.begin_tree(active, features)
    rows = np.arange(120, dtype=np.int32)
    odd = rows % 3 == 0
    levels = [
        ([0], [rows], [-1]),
        ([1, 2], [rows[odd], rows[~odd]], [0, 0]),
        ([3, 4], [rows[~odd][:50], rows[~odd][50:]], [2, 2]),
    ]
    for nodes, node_rows, parents in levels:
        mask = counts.allowed(nodes, node_rows, parents if with_parents else None)
        for i in range(len(nodes)):
            twin = naive_mask(binned, features, node_rows[i], active, 5)
            np.testing.assert_array_equal(mask[i], twin)


def test_only_the_smaller_sibling_is_counted(binned, active, monkeypatch):
    counts = NodeCounts(binned, MAX_BIN, 2)
    counts.begin_tree(active, np.arange(4, dtype=np.int32))
    rows = np.arange(120, dtype=np.int32)
    counts.allowed([0], [rows], [-1])
    counted = []
    count = counts._count
    monkeypatch.setattr(counts, "_count", lambda r: counted.append(len(r)) or count(r))
    counts.allowed([1, 2], [rows[:90], rows[90:]], [0, 0])
    assert counted == [30]


def test_minimum_of_one_allows_every_cut(binned, active):
    counts = NodeCounts(binned, MAX_BIN, 1)
    counts.begin_tree(active, np.arange(4, dtype=np.int32))
    assert counts.allowed([0], [np.arange(120, dtype=np.int32)]) is None


@pytest.mark.kernels
def test_count_bins_against_twin(binned, active):
    rows = np.arange(3, 100, 2, dtype=np.int32)
    features = np.array([1, 3], dtype=np.int32)
    counts = np.zeros((2, MAX_BIN + 1), dtype=np.int32)
    count_bins(binned, features, rows, active, counts)
    for i, f in enumerate(features):
        twin = np.bincount(binned[f, rows[active[rows]]], minlength=MAX_BIN + 1)
        assert counts[i].tolist() == twin.tolist()
