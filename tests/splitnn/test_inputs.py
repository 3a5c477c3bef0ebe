"""From columns to tensors."""

import numpy as np
import pytest
import torch

from secureboost.alignment import ABSENT
from secureboost.errors import DataError
from secureboost.splitnn import inputs
from secureboost.splitnn.inputs import FARTHEST, Inputs, content_digest, prepare
from secureboost.splitnn.table import ColumnTable

NAN = np.nan
ROWS = np.arange(6, dtype=np.int32)
TABLE = ColumnTable(
    ("income", "town", "gaps", "constant", "empty"),
    np.array(
        [
            [1.0, 2.0, 3.0, 4.0, 100.0, 1e38],
            [2.0, 0.0, 2.0, NAN, 1.0, 3.0],
            [5.0, NAN, 7.0, NAN, 6.0, NAN],
            [3.0] * 6,
            [NAN] * 6,
        ],
        np.float32,
    ),
    (None, ("a", "b", "c", "d"), None, None, None),
)
TRAINING = np.array([3, 1, 0, 2], np.int32)


def test_what_is_measured_is_of_the_training_rows_alone():
    prepared = prepare(TABLE, TRAINING)
    assert prepared.means == (2.5, 0.0, 6.0, 3.0, 0.0)
    assert prepared.scales == (np.sqrt(1.25), 1.0, 1.0, 1.0, 1.0)
    assert prepared.gaps == (False, False, True, False, True)
    assert prepared.categories == (None, ("a", "c"), None, None, None)
    spec = prepared.spec
    assert spec.numbers == (
        *("income", "gaps", "constant", "empty"),
        *("gaps is missing", "empty is missing"),
    )
    assert spec.categories == ("town",)
    assert spec.n_codes == (3,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch(dtype):
    numbers, codes = Inputs(TABLE, prepare(TABLE, TRAINING), dtype).batch(
        np.array([4, 1, 5], np.int32)
    )
    far = FARTHEST
    expected = [
        [far, 0.0, 0.0, 0.0, 0.0, 1.0],
        [-0.5 / np.sqrt(1.25), 0.0, 0.0, 0.0, 1.0, 1.0],
        [far, 0.0, 0.0, 0.0, 1.0, 1.0],
    ]
    assert numbers.dtype == getattr(torch, dtype)
    assert np.allclose(numbers.numpy(), expected, rtol=1e-6)
    assert codes.tolist() == [[0], [1], [0]]  # b and d are not among the training rows
    assert codes.dtype == torch.int64


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kept_rows_are_the_same(dtype, monkeypatch):
    monkeypatch.setattr(inputs, "MADE_ROWS", 4)
    prepared, rows = prepare(TABLE, TRAINING), np.array([4, ABSENT, 0, 5, 4], np.int32)
    picked = Inputs(TABLE, prepared, dtype).batch(rows)
    kept = Inputs(TABLE, prepared, dtype, keep=True)
    monkeypatch.setattr(inputs, "KEPT_BYTES", 100)
    too_large = Inputs(TABLE, prepared, dtype, keep=True)
    monkeypatch.setattr(inputs, "pick", None)  # what is kept needs the columns no more
    for mine, theirs in zip(kept.batch(rows), picked, strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(TypeError):
        too_large.batch(rows)


def test_codes_go_by_name_in_another_table():
    prepared = prepare(TABLE, TRAINING)
    other = ColumnTable(
        TABLE.feature_names,
        np.vstack([np.ones((1, 3)), [[0.0, 1.0, NAN]], np.ones((3, 3))]).astype(np.float32),
        (None, ("c", "new"), None, None, None),
    )
    _, codes = Inputs(other, prepared, "float32").batch(ROWS[:3])
    assert codes.tolist() == [[2], [0], [0]]


def test_another_kind_of_column_is_refused_unless_it_is_empty():
    prepared = prepare(TABLE, TRAINING)
    numbers = ColumnTable(TABLE.feature_names, TABLE.columns, (None,) * 5)
    with pytest.raises(DataError, match="column 2 holds numbers"):
        Inputs(numbers, prepared, "float32")
    values = TABLE.columns.copy()
    values[1] = NAN
    empty = ColumnTable(TABLE.feature_names, values, (None,) * 5)
    _, codes = Inputs(empty, prepared, "float32").batch(ROWS)
    assert codes.ravel().tolist() == [0] * 6


def test_columns_of_one_kind_only():
    for features, shapes in (([0, 3], [(6, 2), (6, 0)]), ([1], [(6, 0), (6, 1)])):
        part = TABLE.pick(features)
        numbers, codes = Inputs(part, prepare(part, ROWS), "float32").batch(ROWS)
        assert [numbers.shape, codes.shape] == shapes


def test_picking_neighbours_copies_nothing():
    assert np.shares_memory(TABLE.pick([1, 2]).columns, TABLE.columns)
    assert TABLE.pick([3, 0]).feature_names == ("constant", "income")


def test_batches_are_made_of_the_table_without_a_copy_of_it():
    import tracemalloc

    columns = np.ones((30, 200_000), np.float32)  # 24 MB
    table = ColumnTable(tuple(f"c{i}" for i in range(30)), columns, (None,) * 30)
    tracemalloc.start()
    inputs = Inputs(table, prepare(table, np.arange(200_000, dtype=np.int32)), "float32")
    for first in range(0, 50_000, 1024):
        inputs.batch(np.arange(first, first + 1024, dtype=np.int32))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12e6


def test_the_digest_is_of_names_rows_and_values():
    rows = np.array([0, 1], np.int32)
    digests = {
        content_digest(TABLE, rows),
        content_digest(TABLE, rows[::-1]),
        content_digest(TABLE.pick([0]), rows),
        content_digest(ColumnTable(("other",), TABLE.columns[:1], (None,)), rows),
    }
    assert len(digests) == 4
    assert content_digest(TABLE, rows) == content_digest(TABLE, [0, 1])


def test_numbers_at_the_ends_of_float32():
    values = np.array([[3e38, -3e38, 3e38, 1e-45], [1e-45, 0.0, 0.0, 0.0]], np.float32)
    table = ColumnTable(("far", "tiny"), values, (None, None))
    inputs = Inputs(table, prepare(table, ROWS[3:4]), "float32")
    numbers, _ = inputs.batch(ROWS[:4])
    assert numbers[:3, 0].tolist() == [FARTHEST, -FARTHEST, FARTHEST]
    everything = Inputs(table, prepare(table, ROWS[:4]), "float32").batch(ROWS[:4])[0]
    assert torch.isfinite(everything).all()
