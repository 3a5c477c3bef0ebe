"""The digest that tells equal lists of row ids from different ones."""

from hypothesis import given
from hypothesis import strategies as st

from parties.rows import digest_rows

KEY = bytes(range(32))


def test_depends_on_ids_their_order_their_borders_and_the_key():
    digests = {
        digest_rows(KEY, ["a", "b"]),
        digest_rows(KEY, ["b", "a"]),
        digest_rows(KEY, ["ab", ""]),
        digest_rows(KEY, ["ab"]),
        digest_rows(KEY[::-1], ["a", "b"]),
    }
    assert len(digests) == 5


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_lists_have_different_digests(first, second):
    assert (digest_rows(KEY, first) == digest_rows(KEY, second)) == (first == second)
