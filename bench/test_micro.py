"""The operations of a tree one by one, with pytest-benchmark.

    pytest bench/test_micro.py --benchmark-only

Each round does a fixed number of things; the column OPS counts rounds. Round sizes are in
``extra_info`` of ``--benchmark-json``, with the microseconds for one thing.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from crypto.packing import GradientPacking
from crypto.paillier import PaillierScheme
from crypto.paillier_private import PaillierPrivateKey
from crypto.scheme import Ciphertexts, Plaintexts
from secureboost.binning import BinMapper
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.columns import Frontier, Gradients
from secureboost.gbdt.feature_tree import route_bits
from secureboost.gbdt.joint import plan_sums
from secureboost.gbdt.local import LocalColumns
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.partition import ROOT, RowPartition
from secureboost.gbdt.splitter import TreeColumns, best_splits

KEY_BITS = 2048
ROWS, COLUMNS, BINS = 30_000, 10, 32
ENCRYPTED, DECRYPTED, MASKED = 1024, 128, 64
PACKING = GradientPacking(ROWS, 1 << 30, 1 << 28)
SLOTS = PACKING.cells_per_ciphertext(KEY_BITS - 2)
FRACTION_BITS = 30


@pytest.fixture
def each(benchmark: Any) -> Callable[..., None]:
    """Benchmark a function that does `count` things in a round."""

    def run(work: Callable[[], object], count: int) -> None:
        work()
        benchmark.pedantic(work, rounds=5, iterations=1)
        if benchmark.stats:  # not with --benchmark-disable
            benchmark.extra_info["things"] = count
            benchmark.extra_info["us_each"] = benchmark.stats.stats.min / count * 1e6

    return run


@cache
def key() -> PaillierPrivateKey:
    made = PaillierScheme().generate(KEY_BITS)
    made.prepare()
    return made


@cache
def gradients() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.empty((ROWS, 2), np.int64)
    values[:, 0] = rng.integers(-(1 << 30), 1 << 30, ROWS)
    values[:, 1] = rng.integers(0, 1 << 28, ROWS)
    return values


@cache
def binned() -> np.ndarray:
    X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    return BinMapper.fit(X, BINS).transform(X)


@cache
def layout() -> CellLayout:
    return CellLayout(np.full(COLUMNS, BINS, np.int32), BINS)


def plaintexts(count: int) -> Plaintexts:
    return PACKING.pack(gradients()[:count])


@cache
def encrypted() -> Ciphertexts:
    return key().encrypt(plaintexts(ENCRYPTED))


def all_rows() -> list[np.ndarray]:
    return [np.arange(ROWS, dtype=np.int32)]


def test_encrypt(each: Callable[..., None]) -> None:
    numbers = plaintexts(ENCRYPTED)
    each(lambda: key().encrypt(numbers), ENCRYPTED)


def test_decrypt(each: Callable[..., None]) -> None:
    numbers = encrypted()[:DECRYPTED]
    each(lambda: key().decrypt(numbers), DECRYPTED)


def test_check(each: Callable[..., None]) -> None:
    each(lambda: key().public_key.check(encrypted()), ENCRYPTED)


def test_plan_joint_sums(each: Callable[..., None]) -> None:
    features = np.arange(COLUMNS, dtype=np.int32)
    each(lambda: plan_sums(binned(), all_rows(), features, layout()), ROWS * COLUMNS)


def test_sum(each: Callable[..., None]) -> None:
    """A root's histogram with one addition for each row and column."""
    public = key().public_key
    pool = np.resize(encrypted(), (ROWS, public.ciphertext_words))
    order = np.argsort(binned(), axis=1, kind="stable").astype(np.int64)
    counts = np.concatenate([np.bincount(column, minlength=BINS) for column in binned()])
    starts = np.concatenate([[0], np.cumsum(counts)])
    each(lambda: public.sum_by_segment(pool, order.ravel(), starts), ROWS * COLUMNS)


def test_pack(each: Callable[..., None]) -> None:
    cells = encrypted()[: DECRYPTED // SLOTS * SLOTS]
    each(lambda: key().public_key.pack(cells, PACKING.cell_bits, SLOTS), len(cells))


def test_rerandomise(each: Callable[..., None]) -> None:
    packed = encrypted()[:MASKED]
    each(lambda: key().public_key.rerandomise(packed), MASKED)


def root_histograms() -> np.ndarray:
    columns = LocalColumns("", binned(), np.full(COLUMNS, BINS, np.int32), BINS, 1)
    whole = Gradients(gradients(), np.ones(ROWS, np.bool_), FRACTION_BITS, FRACTION_BITS)
    columns.begin_tree(0, whole, np.arange(COLUMNS, dtype=np.int32))
    nodes = np.array([ROOT], np.int32)
    return columns.histograms(Frontier(RowPartition(ROWS), nodes, nodes))().sums


def test_local_histogram(each: Callable[..., None]) -> None:
    each(root_histograms, ROWS * COLUMNS)


def test_split_search(each: Callable[..., None]) -> None:
    sums = np.repeat(root_histograms(), 16, axis=0)
    totals, wanted = sums[:, 0].sum(axis=1), np.ones(len(sums), np.bool_)
    columns = TreeColumns(
        np.full(COLUMNS, BINS, np.int32), np.zeros(COLUMNS, np.bool_), np.zeros(COLUMNS, np.int8)
    )
    scales, params = (2.0**-FRACTION_BITS,) * 2, BoosterParams()

    def search() -> object:
        return best_splits(sums, totals, wanted, columns, None, None, None, scales, params)

    each(search, sums[..., 0].size)


def test_route(each: Callable[..., None]) -> None:
    """Sides of a feature party's splits, for prediction."""
    rng, n_splits = np.random.default_rng(0), 500
    columns = rng.standard_normal((COLUMNS, ROWS)).astype(np.float32)
    features = rng.integers(0, COLUMNS, n_splits).astype(np.int32)
    thresholds = rng.standard_normal(n_splits).astype(np.float32)
    sides = np.zeros((n_splits, -(-ROWS // 8)), np.uint8)
    left = np.zeros(n_splits, np.bool_)
    rows = all_rows()[0]
    each(lambda: route_bits(columns, rows, features, thresholds, left, sides), ROWS * n_splits)


def test_predict(each: Callable[..., None]) -> None:
    """Walk 20 trees of one party."""
    from secureboost import SecureBoostClassifier

    X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    model = SecureBoostClassifier(n_estimators=20, max_depth=5, n_jobs=1).fit(X, X[:, 0] > X[:, 1])
    each(lambda: model.decision_function(X), ROWS * 20)
