"""Constraints by name: what they mean, and every way to name them wrongly."""

import numpy as np
import pytest

from secureboost.gbdt.constraints import (
    OwnedColumns,
    check_names,
    interaction_groups,
    monotone_signs,
)

COLUMNS = OwnedColumns(
    ("age", "income", "region", "bureau/0", "bureau/1", "telco/0"),
    ("", "", "", "bureau", "bureau", "telco"),
    np.array([False, False, True, False, True, False]),
    np.array([0, 0, 0, 1, 0, -1], dtype=np.int8),
)
POOLED = OwnedColumns(
    ("age", "debt"), ("", "bureau"), np.zeros(2, dtype=bool), np.zeros(2, dtype=np.int8)
)


def test_signs_by_name_and_by_position():
    spec = {"income": -1, "bureau/0": 1, "telco/0": -1, "region": 0}
    assert monotone_signs(spec, COLUMNS).tolist() == [0, -1, 0, 1, 0, -1]
    assert monotone_signs((1, -1), COLUMNS).tolist() == [1, -1, 0, 0, 0, 0]
    assert monotone_signs(None, COLUMNS).tolist() == [0] * 6
    # in pooled training there is nobody who could declare anything
    assert monotone_signs({"debt": 1}, POOLED).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"agee": 1}, "names 'agee', which is no column. Did you mean 'age'"),
        ({"bureau/7": 1}, "names 'bureau/7', which is no column"),
        ({"age": 2}, r"monotone_constraints\['age'\]=2 must be 1"),
        ({"age": True}, r"monotone_constraints\['age'\]=True must be 1"),
        ({"region": 1}, "names 'region', a column of categories; categories have no order"),
        ({"bureau/0": -1}, r"\['bureau/0'\]=-1: party 'bureau' declared 1 for this column"),
        ({"bureau/1": 1}, "a column of categories"),
        ((1, 1, 0, 1), "has 4 signs for 3 own columns; name a partner's columns in a dictionary"),
    ],
)
def test_signs_that_cannot_be_meant(spec, message):
    with pytest.raises(ValueError, match=message):
        monotone_signs(spec, COLUMNS)


def test_a_sign_that_was_not_declared():
    undeclared = OwnedColumns(("b/0",), ("b",), np.array([False]), np.zeros(1, dtype=np.int8))
    with pytest.raises(ValueError, match=r"'b' has declared no sign .* ask it to declare the sign"):
        monotone_signs({"b/0": 1}, undeclared)


def test_groups_of_columns_and_of_parties():
    spec = [["age", "bureau"], ["telco/0", "label-party"], ["income"]]
    assert interaction_groups(spec, COLUMNS) == (
        frozenset({0, 3, 4}),
        frozenset({5, 0, 1, 2}),
        frozenset({1}),
    )
    assert interaction_groups(None, COLUMNS) == ()
    assert interaction_groups([["bureau"]], POOLED) == (frozenset({1}),)


def test_groups_that_cannot_be_meant():
    with pytest.raises(ValueError, match="names 'telcoo', which is no column"):
        interaction_groups([["age", "telcoo"]], COLUMNS)


def test_names_are_checked_before_anybody_is_connected():
    own, parties = ("age", "a/b"), ("bureau",)
    check_names({"age": 1, "bureau/12": 1, "a/b": 1}, [["bureau", "label-party"]], own, parties)
    check_names(None, None, own, parties)
    check_names((1, 0), None, own, parties)
    with pytest.raises(ValueError, match="monotone_constraints names 'telco/0'"):
        check_names({"telco/0": 1}, None, own, parties)
    with pytest.raises(ValueError, match=r"interaction_constraints names 'agee'.* mean 'age'"):
        check_names(None, [["agee"]], own, parties)
    for spec in ([[]], ["age"]):
        with pytest.raises(ValueError, match=r"holds .*; give lists of column or party names"):
            check_names(None, spec, own, parties)
    with pytest.raises(ValueError, match=r"monotone_constraints='\(1,0\)' is a text"):
        check_names("(1,0)", None, own, parties)
