"""Uniform random numbers: the law by enumerating what the system may answer."""

import os

import numpy as np
import pytest

from crypto import sampling, wide


@pytest.mark.parametrize("limit", [1, 2, 5, 256, 257, 2**64 - 1, 2**64, 2**64 + 1, 3**200])
def test_numbers_are_below_the_limit(limit):
    numbers = sampling.below(limit, 300)
    assert numbers.shape == (300, max(1, wide.words_for((limit - 1).bit_length())))
    assert all(number < limit for number in wide.to_integers(numbers))
    if limit > 2**63:
        assert len(set(wide.to_integers(numbers))) == 300
        assert max(wide.to_integers(numbers)) > limit // 2
    assert sampling.below(limit, 0).shape[0] == 0


@pytest.mark.parametrize("limit", [3, 129, 200, 255, 256])
def test_every_number_is_equally_likely(limit, monkeypatch):
    """Feed each value of the lowest byte equally often: each number must come out equally often."""
    values = iter(list(range(256)) * 3)

    def urandom(size):
        words = np.full(size // 8, 0xABCD_0000_0000_0000, dtype=np.uint64)
        return (words | np.array([next(values) for _ in words], dtype=np.uint64)).tobytes()

    # Ask for exactly what is needed, so that nothing drawn is thrown away at the end.
    monkeypatch.setattr(os, "urandom", urandom)
    bits = (limit - 1).bit_length()
    drawn = wide.to_integers(sampling.random_bits(bits, 3 * 256, 1))
    counts = np.bincount(drawn, minlength=1 << bits)
    assert (counts == 3 * 256 >> bits).all()
    kept = [number for number in drawn if number < limit]
    values = iter(drawn + [0] * 5000)
    assert wide.to_integers(sampling.below(limit, len(kept))) == kept


def test_words_above_the_bits_are_zero():
    for bits in (0, 1, 63, 64, 65, 128):
        numbers = sampling.random_bits(bits, 50, 3)
        assert all(number < 1 << bits for number in wide.to_integers(numbers))
        if bits > 60:
            assert max(wide.to_integers(numbers)) > 1 << (bits - 3)
