"""Prediction at the feature party: sides of splits by numbers and by categories."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.asking import (
    COLOURS,
    IDS,
    MIXED,
    Conversation,
    N,
    assert_refused,
    divide_by,
    finish,
    route,
)

from secureboost.alignment import ABSENT
from secureboost.gbdt.feature_routes import model_codes, route_codes, sides_of_rows
from secureboost.gbdt.model import PartnerSplit
from secureboost.gbdt.protocol import Division, Finished
from secureboost.party import feature_table


def trained(missing_left=0):
    """Reds go left."""
    talk = Conversation(MIXED).growing()
    assert isinstance(talk.ask(divide_by(2, missing_left=missing_left)), Division)
    assert isinstance(talk.ask(finish(1)), Finished)
    return talk.table.store


def ask_route(store, frame):
    return Conversation(feature_table("bureau", frame, store=store)).matched().ask(route(range(N)))


@pytest.mark.parametrize("missing_left", [0, 1])
@pytest.mark.parametrize(
    "colours",
    [
        COLOURS,
        ["red", "amber"] * (N // 2),  # other codes, and a category that was not there
        ["zinc"] * N,
        [None] * N,  # a column without values is of numbers, and fits
    ],
)
def test_categories_are_found_by_name(missing_left, colours):
    frame = pd.DataFrame({"up": 1.0, "colour": colours}, index=IDS)
    bits = ask_route(trained(missing_left), frame).goes_left
    known = ("blue", "green", "red")
    expected = [colour == "red" if colour in known else bool(missing_left) for colour in colours]
    assert np.unpackbits(bits[0], count=N, bitorder="little").tolist() == expected


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (MIXED.assign(colour=2.0), "column 2 holds numbers, and the model was trained with cat"),
        (MIXED.assign(up="a"), "column 1 holds categories, and the model was trained with numb"),
        (MIXED.rename(columns={"up": "UP"}), "has other columns than the model's"),
    ],
)
def test_columns_of_another_kind(frame, text):
    assert_refused(ask_route(trained(), frame), "unknown_model", text)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(0, 6))
def test_sides_against_twin(seed, n_rows, n_splits):
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 4, (3, 80)).astype(np.float32)
    columns[rng.random(columns.shape) < 0.2] = np.nan
    lookups = [None, np.array([2, -1, 254, 0], np.int32), None]
    rows = rng.permutation(80)[:n_rows].astype(np.int32)
    rows[rng.random(n_rows) < 0.2] = ABSENT
    values = np.where(rows == ABSENT, np.nan, columns[:, rows])
    splits = []
    for _ in range(n_splits):
        feature = int(rng.integers(0, 3))
        codes = tuple(np.flatnonzero(rng.random(255) < 0.5).tolist()) or (0,)
        splits.append(
            PartnerSplit(
                feature=feature,
                bin=-1 if feature == 1 else 0,
                threshold=None if feature == 1 else float(rng.integers(0, 3)),
                codes=codes if feature == 1 else None,
                missing_left=bool(rng.integers(0, 2)),
            )
        )
    bits = sides_of_rows(tuple(splits), columns, rows, lookups)
    assert bits.shape == (n_splits, -(-n_rows // 8))
    unpacked = np.unpackbits(bits, axis=1, bitorder="little").astype(bool)
    assert not unpacked[:, n_rows:].any()
    for split, line in zip(splits, unpacked, strict=True):
        assert line[:n_rows].tolist() == [
            naive_side(split, value, lookups[split.feature]) for value in values[split.feature]
        ]


def naive_side(split, value, lookup):
    if np.isnan(value):
        return split.missing_left
    if split.codes is None:
        return bool(value <= split.threshold)
    code = lookup[int(value)]
    return split.missing_left if code < 0 else code in split.codes


def test_codes_of_an_empty_column_are_missing():
    column = np.full(5, np.nan, np.float32)
    rows = np.array([4, 0], np.int32)
    assert model_codes(column, rows, None).tolist() == [255, 255]


@pytest.mark.kernels
@pytest.mark.parametrize("n_rows", [1, 7, 8, 9, 50])
def test_route_codes_against_twin(n_rows):
    rng = np.random.default_rng(n_rows)
    codes = rng.integers(0, 256, n_rows).astype(np.uint8)
    left = rng.random(256) < 0.5
    line = np.full(-(-n_rows // 8), 255, np.uint8)
    route_codes(codes, left, line)
    assert line.tolist() == np.packbits(left[codes], bitorder="little").tolist()
