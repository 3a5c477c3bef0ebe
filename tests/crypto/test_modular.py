"""Sums modulo a wide number against Python's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import modular, wide

MODULI = st.sampled_from([3, 251 * 239, 2**64 - 59, 2**128 - 159, 2**191 + 5])


@pytest.mark.kernels
@given(st.data(), MODULI, st.integers(1, 5))
def test_add_signed(data, modulus, addend_words):
    words = wide.words_for(modulus.bit_length())
    most = min(modulus - 1, 2 ** (64 * addend_words - 1) - 1)
    pairs = data.draw(st.lists(st.tuples(st.integers(0, modulus - 1), st.integers(-most, most))))
    pairs += [(modulus - 1, most), (0, -most), (modulus - 1, 0), (0, 0), (modulus - 1, 1), (0, -1)]
    numbers, addends = zip(*pairs, strict=True)
    with np.errstate(over="ignore"):  # words wrap on purpose
        sums = modular.add_signed(
            wide.from_integers(numbers, words),
            wide.from_integers(addends, addend_words, signed=True),
            modulus,
        )
    assert wide.to_integers(sums) == [(x + y) % modulus for x, y in pairs]


@pytest.mark.kernels
@given(st.data(), MODULI)
def test_add_centred(data, modulus):
    words = wide.words_for(modulus.bit_length())
    numbers = st.integers(0, modulus - 1)
    half = modulus // 2
    pairs = data.draw(st.lists(st.tuples(numbers, numbers)))
    pairs += [(half, 0), (half, 1), (modulus - 1, modulus - 1), (modulus - 1, 1), (0, 0)]
    with np.errstate(over="ignore"):
        sums = modular.add_centred(
            *(wide.from_integers(part, words) for part in zip(*pairs, strict=True)), modulus
        )
    expected = [(x + y) % modulus for x, y in pairs]
    assert wide.to_integers(sums, signed=True) == [x - modulus if x > half else x for x in expected]
