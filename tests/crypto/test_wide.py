"""Wide integers against Python's."""

import gmpy2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import wide

SIGNED_192 = st.integers(-(2**191), 2**191 - 1)
INTERESTING = [0, 1, -1, 2**63, -(2**63), 2**64, -(2**64), 2**64 - 1, 2**126, -(2**126), 2**127 - 1]


@given(st.lists(SIGNED_192))
def test_signed_round_trip(values):
    array = wide.from_integers(values, 3, signed=True)
    assert array.shape == (len(values), 3)
    assert array.dtype == np.uint64
    assert wide.to_integers(array, signed=True) == values


@given(st.lists(st.integers(0, 2**192 - 1)))
def test_unsigned_round_trip(values):
    array = wide.from_integers(values, 3)
    assert wide.to_integers(array) == values
    assert wide.to_mpz(array) == values
    assert (wide.from_integers([gmpy2.mpz(v) for v in values], 3) == array).all()


def test_words_are_little_endian_and_writable():
    array = wide.from_integers([1 + (2 << 64)], 2)
    assert array.tolist() == [[1, 2]]
    array[0, 0] = 5


def test_a_value_that_does_not_fit_is_an_error():
    with pytest.raises(OverflowError):
        wide.from_integers([2**64], 1)
    with pytest.raises(OverflowError):
        wide.from_integers([-1], 1)


def test_a_strided_view_is_read_in_order():
    array = wide.from_integers([1, 2, 3, 4], 2)
    assert wide.to_integers(array[::2, :1]) == [1, 3]


@given(
    st.lists(st.one_of(SIGNED_192, st.sampled_from(INTERESTING)), min_size=1), st.integers(1, 191)
)
def test_first_outside(values, bits):
    array = wide.from_integers(values, 3, signed=True)
    expected = next((i for i, v in enumerate(values) if abs(v) >= 2**bits), None)
    assert wide.first_outside(array, bits) == expected


@pytest.mark.parametrize("bits", [1, 63, 64, 65, 126, 127, 128, 190, 191])
def test_first_outside_at_the_limits(bits):
    for value in (2**bits - 1, -(2**bits) + 1, 2**bits, -(2**bits), -(2**bits) - 1):
        if -(2**191) <= value < 2**191:
            array = wide.from_integers([0, value], 3, signed=True)
            assert wide.first_outside(array, bits) == (1 if abs(value) >= 2**bits else None)


@given(st.lists(st.integers(0, 2**128 - 1)), st.integers(1, 2**130))
def test_first_not_below(values, limit):
    values = [*values, limit - 1, limit] if limit < 2**128 else values
    array = wide.from_integers(values, 2)
    expected = next((i for i, v in enumerate(values) if v >= limit), None)
    assert wide.first_not_below(array, limit) == expected


@given(st.lists(SIGNED_192), st.integers(0, 2**192 - 1))
def test_add_constant(values, constant):
    array = wide.from_integers(values, 3, signed=True)
    expected = [(v + constant) % 2**192 for v in values]
    assert wide.to_integers(wide.add_constant(array, constant)) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(1, 4))
def test_resize(values, words):
    array = wide.from_integers(values, 2, signed=True)
    assert wide.to_integers(wide.resize(array, words), signed=True) == values


@given(st.data(), st.integers(0, 62))
def test_join(data, low_bits):
    pairs = data.draw(
        st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**low_bits - 1)))
    )
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    joined = wide.join(array[:, 0], array[:, 1], low_bits)
    assert wide.to_integers(joined, signed=True) == [(g << low_bits) + h for g, h in pairs]
