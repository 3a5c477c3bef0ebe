"""The identity scheme's kernels against Python integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import wide
from crypto.plain import pack_slots, sum_segments

NUMBERS = st.lists(st.integers(-(2**126) + 1, 2**126 - 1), min_size=1, max_size=20)


@pytest.mark.kernels
@given(st.data(), NUMBERS)
def test_sum_segments(data, numbers):
    segments = data.draw(st.lists(st.lists(st.integers(0, len(numbers) - 1), max_size=6)))
    rows = np.array([row for segment in segments for row in segment], dtype=np.int64)
    starts = np.cumsum([0] + [len(segment) for segment in segments]).astype(np.int64)
    # Without the JIT these are numpy scalars, which warn where words wrap on purpose.
    with np.errstate(over="ignore"):
        sums = sum_segments(wide.from_integers(numbers, 2, signed=True), rows, starts)
    assert wide.to_integers(sums) == [
        sum(numbers[row] for row in segment) % 2**128 for segment in segments
    ]


@pytest.mark.kernels
@given(st.data(), NUMBERS, st.integers(1, 6))
def test_pack_slots(data, numbers, slots):
    slot_bits = data.draw(st.integers(1, 126 // slots))
    with np.errstate(over="ignore"):
        packed = pack_slots(wide.from_integers(numbers, 2, signed=True), slot_bits, slots)
    assert wide.to_integers(packed) == [
        sum(v << (slot_bits * j) for j, v in enumerate(numbers[i : i + slots])) % 2**128
        for i in range(0, len(numbers), slots)
    ]
