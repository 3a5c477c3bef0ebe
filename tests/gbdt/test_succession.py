"""Categories of a model that begins with another's trees: every value goes where it went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.gbdt.succession import MAX_CODES, carry_over, join_categories, join_names

NAMES = st.lists(st.sampled_from("abcdefghij"), unique=True).map(tuple)


@given(before=NAMES, today=NAMES, missing_left=st.booleans(), data=st.data())
def test_every_category_goes_where_it_went(before, today, missing_left, data):
    codes = data.draw(st.sets(st.sampled_from(range(len(before))))) if before else set()
    joined = join_names(today, before)
    assert joined[: len(today)] == today
    assert sorted(joined) == sorted({*today, *before})
    carried = carry_over(sorted(codes), missing_left, before, joined)
    assert list(carried) == sorted(carried)
    for name in "abcdefghij":
        goes_left = before.index(name) in codes if name in before else missing_left
        if name in joined:
            assert (joined.index(name) in carried) == goes_left


def test_names_of_all_columns():
    today = (None, ("x", "y"), ("p",))
    assert join_categories(today, (None, ("z", "x"), ())) == (None, ("x", "y", "z"), ("p",))


def test_as_many_categories_as_a_byte_can_name():
    names = tuple(map(str, range(MAX_CODES)))
    assert join_names(names, names[::-1]) == names
    with pytest.raises(ValueError, match="have 256 categories together, more than 255"):
        join_names(names, ("other",))
    with pytest.raises(ValueError, match=r"^column 1: the table and the earlier model"):
        join_categories((None, names), (None, ("other",)))
