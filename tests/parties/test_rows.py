"""Both sides count in the same rows: a digest of ids, or an earlier agreement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parties.messages import Refusal, UseAlignment
from parties.rows import check_alignment, digest_rows

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


def test_an_earlier_agreement_is_known_and_of_the_same_length():
    request = UseAlignment(alignment=bytes(range(32)), n_rows=7)
    check_alignment(request, 7)
    with pytest.raises(Refusal, match=r"^unknown_alignment: .*no alignment 00010203; align again"):
        check_alignment(request, None)
    with pytest.raises(Refusal, match=r"^rows_differ: alignment 00010203 has 8 rows here, 7 at th"):
        check_alignment(request, 8)
