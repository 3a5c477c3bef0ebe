"""Arrays of a codec as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.payload import Part, layout_bytes, pack, unpack

DTYPES = ["uint8", "int8", "int16", "float32", "float64", "bool", "uint32"]
PARTS = st.lists(
    st.builds(
        Part,
        st.sampled_from(DTYPES),
        st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple),
    ),
    max_size=4,
).map(tuple)


@given(PARTS, st.integers(0, 2**32 - 1))
def test_there_and_back(layout, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 2, part.shape).astype(part.dtype) for part in layout]
    payload = pack(arrays, layout)
    assert len(payload) == layout_bytes(layout)
    assert len(payload) % 8 == 0
    for array, back in zip(arrays, unpack(payload, layout), strict=True):
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)


@pytest.mark.parametrize("n_bytes", [0, 7, 15, 17, 24])
def test_another_length_is_refused(n_bytes):
    layout = (Part("float32", (3, 1)),)
    with pytest.raises(PayloadError, match=f"{n_bytes} bytes at the cut, where 16 were due"):
        unpack(np.zeros(n_bytes, np.uint8), layout)


def test_a_codec_that_breaks_its_layout_is_found_out():
    with pytest.raises(TypeError, match="a codec made float64"):
        pack([np.zeros((2, 2))], (Part("float32", (2, 2)),))
