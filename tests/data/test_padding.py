"""Where padding rows stand, and with which rows they go."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.aligned_rows import AlignedRows, in_common, nothing_common
from secureboost.alignment import ABSENT, Alignment
from secureboost.errors import DataError
from secureboost.padding import companions, draw, place_rows

SECRET = b"s" * 32


def aligned(rows, n_rows=None, secret=SECRET, **details):
    n_rows = max(rows, default=-1) + 1 if n_rows is None else n_rows
    alignment = Alignment(
        b"i" * 32, np.array(rows, np.int32), b"d" * 32, "label-party", "bureau", details, secret
    )
    return AlignedRows(pd.Index([f"r{i}" for i in range(n_rows)]), alignment)


@st.composite
def tables(draw_):
    """An aligned table, with rows of which not all are common, and padding."""
    n_rows, n_padding = draw_(st.integers(1, 30)), draw_(st.integers(0, 30))
    rng = np.random.default_rng(draw_(st.integers(0, 2**32)))
    n_common = int(rng.integers(1, n_rows + 1))
    rows = [*rng.permutation(n_rows)[:n_common], *[ABSENT] * n_padding]
    return aligned(rng.permutation(rows).tolist(), n_rows, rng.bytes(32)), rng


def test_draws_are_numbers_that_the_secret_decides():
    numbers = draw(SECRET, "column 0", 4000, 7)
    assert numbers.dtype == np.int64
    assert np.bincount(numbers).min() > 400
    assert len(np.bincount(numbers)) == 7
    np.testing.assert_array_equal(draw(SECRET, "column 0", 100, 7), numbers[:100])
    for secret, purpose in ((SECRET, "column 1"), (b"t" * 32, "column 0")):
        assert not np.array_equal(draw(secret, purpose, 4000, 7), numbers)
    assert len(draw(SECRET, "column 0", 0, 0)) == 0


@given(tables())
def test_padding_goes_with_one_row_whatever_is_asked(table):
    rows, rng = table
    common = rows.index[in_common(rows.index, {"bureau": rows})]
    part = rng.random(len(common)) < 0.5
    used = []
    for ids in (common[part], common[~part]):
        goes_with = companions(rows, ids)
        assert goes_with.max(initial=ABSENT) < len(ids)
        used.append(goes_with != ABSENT)
        standing = ~rows.padding & used[-1]
        assert rows.index[rows.alignment.rows[standing]].isin(ids).all()
    assert (used[0] ^ used[1]).all()


@given(tables())
def test_places(table):
    rows, rng = table
    common = rng.permutation(rows.index[in_common(rows.index, {"bureau": rows})])
    n_training = int(rng.integers(1, len(common) + 1))
    places = place_rows({"bureau": rows}, pd.Index(common), n_training)
    if not rows.padding.any():
        assert places is None
        return
    n_padding = int(rows.padding.sum())
    assert len(places.agreed) == len(common) + n_padding
    assert len(set(places.agreed.tolist())) == len(places.agreed)
    assert places.padding.sum() == n_padding
    trained = places.source[: places.n_training]
    assert set(trained[trained != ABSENT].tolist()) == set(range(n_training))
    at = places.of_rows
    np.testing.assert_array_equal(places.source[at], np.arange(len(common)))
    own = rows.alignment.rows[places.agreed[at]]
    assert rows.index[own].tolist() == common.tolist()
    values = rng.normal(size=n_training)
    placed = places.training(values, -9.0)
    assert placed[at[:n_training]].tolist() == values.tolist()
    assert (placed == -9.0).sum() == places.n_training - n_training
    X = rng.normal(size=(len(common), 2)).astype(np.float32)
    columns = places.columns(X)
    np.testing.assert_array_equal(columns[at], X)
    for feature in range(2):
        assert np.isin(columns[:, feature], X[:, feature]).all()


def test_parties_that_were_aligned_apart():
    parties = {"bureau": aligned([0, 1, ABSENT]), "telco": aligned([1, 0, ABSENT])}
    with pytest.raises(DataError, match="and 'telco' was aligned apart"):
        place_rows(parties, parties["bureau"].index, 2)


def test_alignments_that_do_not_fit_their_table():
    with pytest.raises(DataError, match="of a table with more than the 2 rows of this one"):
        aligned([0, 2], 2)
    with pytest.raises(DataError, match=r"has 1 row \(data row 2\) of the table several times"):
        aligned([0, 1, 1], 2)


def test_rows_are_looked_up_by_id():
    rows = aligned([3, ABSENT, 0], 4, **{"common keys": 3})
    assert rows.places.tolist() == [2, ABSENT, ABSENT, 0]
    assert rows.places_of(pd.Index(["r3", "r1"])).tolist() == [0, ABSENT]
    assert rows.covers(pd.Index(["r1", "r0"]))
    assert not rows.covers(pd.Index(["r1", "r7"]))
    assert not rows.complete
    assert aligned([3, ABSENT, 0], 4, **{"common keys": 2}).complete


def test_a_party_with_nothing_in_common():
    rows = nothing_common(pd.Index(["a", "b"]), "bureau")
    assert rows.complete
    assert not in_common(rows.index, {"bureau": rows}).any()
    assert len(companions(rows, rows.index)) == 0
