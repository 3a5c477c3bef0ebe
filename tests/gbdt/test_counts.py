"""Counts of rows by bin: which cuts leave enough, which categories have enough."""

import numpy as np
import pytest

from secureboost.gbdt.columns import ACTIVE, WEIGHTED
from secureboost.gbdt.counts import NodeCounts, count_bins

MAX_BIN = 6
N_FEATURES = 4
NUMBERS = np.zeros(N_FEATURES, dtype=np.bool_)
MIXED = np.array([False, True, True, False])


@pytest.fixture
def binned():
    return np.random.default_rng(0).integers(0, MAX_BIN + 1, (N_FEATURES, 120)).astype(np.uint8)


@pytest.fixture
def standing():
    return np.random.default_rng(1).integers(0, 3, 120).astype(np.uint8)


def naive_mask(binned, features, rows, standing, categorical, minimum, min_group, least):
    mask = np.ones((len(features), MAX_BIN, 2), dtype=bool)
    for i, f in enumerate(features):
        drawn = rows[standing[rows] >= least[f]]
        for cut in range(MAX_BIN):
            for side in (0, 1):
                bins = binned[f, drawn]
                if categorical[f]:
                    mask[i, cut, side] = (bins == cut).sum() >= min_group
                elif minimum > 1:
                    left = int(((bins <= cut) | ((bins == MAX_BIN) & bool(side))).sum())
                    mask[i, cut, side] = left >= minimum and len(drawn) - left >= minimum
    return mask


@pytest.mark.kernels
@pytest.mark.parametrize("with_parents", [False, True])
@pytest.mark.parametrize(
    ("categorical", "minimum", "min_group"),
    [(NUMBERS, 5, 5), (MIXED, 5, 7), (MIXED, 5, 5), (MIXED, 1, 8), (MIXED, 1, 1)],
)
@pytest.mark.parametrize(
    "least", [[ACTIVE] * 4, [WEIGHTED] * 4, [ACTIVE, ACTIVE, WEIGHTED, ACTIVE]]
)
def test_allowed_against_twin(
    binned, standing, categorical, minimum, min_group, with_parents, least
):
    features = np.array([0, 2, 3], dtype=np.int32)
    counts = NodeCounts(binned, MAX_BIN, minimum, categorical, min_group, np.array(least))
    counts.begin_tree(standing, features)
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
            twin = naive_mask(
                binned, features, node_rows[i], standing, categorical, minimum, min_group, least
            )
            np.testing.assert_array_equal(mask[i], twin)


def test_only_the_smaller_sibling_is_counted(binned, standing, monkeypatch):
    counts = NodeCounts(binned, MAX_BIN, 2, NUMBERS, 2)
    counts.begin_tree(standing, np.arange(4, dtype=np.int32))
    rows = np.arange(120, dtype=np.int32)
    counts.allowed([0], [rows], [-1])
    counted = []
    count = counts._count
    monkeypatch.setattr(counts, "_count", lambda r: counted.append(len(r)) or count(r))
    counts.allowed([1, 2], [rows[:90], rows[90:]], [0, 0])
    assert counted == [30]


def test_minimum_of_one_allows_every_cut(binned, standing):
    counts = NodeCounts(binned, MAX_BIN, 1, MIXED, 3)
    rows = [np.arange(120, dtype=np.int32)]
    counts.begin_tree(standing, np.array([0, 3], dtype=np.int32))
    assert counts.allowed([0], rows) is None
    counts.begin_tree(standing, np.array([0, 1], dtype=np.int32))
    allowed = counts.allowed([0], rows)
    assert allowed.shape == (1, 2, MAX_BIN, 2)
    assert allowed[0, 0].all()


@pytest.mark.kernels
def test_count_bins_against_twin(binned, standing):
    rows = np.arange(3, 100, 2, dtype=np.int32)
    features = np.array([1, 3], dtype=np.int32)
    least = np.array([WEIGHTED, ACTIVE], dtype=np.uint8)
    counts = np.zeros((2, MAX_BIN + 1), dtype=np.int32)
    count_bins(binned, features, rows, standing, least, counts)
    for i, f in enumerate(features):
        counting = rows[standing[rows] >= least[i]]
        twin = np.bincount(binned[f, counting], minlength=MAX_BIN + 1)
        assert counts[i].tolist() == twin.tolist()
