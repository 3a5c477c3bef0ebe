"""The vector kernels of ristretto255 against integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ristretto as naive

from crypto.kernels import ifma_ristretto as kernels
from crypto.kernels.ifma_engine import IfmaEngine

pytestmark = pytest.mark.skipif(
    not IfmaEngine.available(), reason="needs a CPU with AVX-512 IFMA, and numba's compiler"
)

P, ORDER = naive.P, naive.ORDER
EDGES = [0, 1, 2, 18, 19, 20, 2**51 - 1, 2**51, 2**204, 2**255 - 1, P - 1, P, P + 1, P - 2, P // 2]


def rows(values, width=32):
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, width)


def scalar_bytes(scalar):
    return scalar.to_bytes(32, "little")


def some_elements(count, seed=0):
    uniform = np.random.default_rng(seed).integers(0, 256, (count, 64), dtype=np.uint8)
    return [naive.encode(naive.hashed(bytes(row))) for row in uniform]


halves = st.one_of(
    st.sampled_from([value.to_bytes(32, "little") for value in EDGES] + [b"\xff" * 32]),
    st.binary(min_size=32, max_size=32),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(halves, halves), min_size=1, max_size=9))
def test_the_map_is_that_of_the_rfc(pairs):
    uniform = [first + second for first, second in pairs]
    out = kernels.multiply_hashes(rows(uniform, 64), None, n_jobs=1)
    assert [bytes(row) for row in out] == [naive.encode(naive.hashed(u)) for u in uniform]


@settings(max_examples=30)
@given(
    st.one_of(
        st.sampled_from([0, 1, 2, 7, 8, 9, 15, 16, 17, ORDER - 1, ORDER, ORDER + 1, 2**253 - 1]),
        st.integers(0, 2**253 - 1),
    )
)
def test_products_are_those_of_integers(scalar):
    elements = some_elements(9)
    out, valid = kernels.multiply_elements(rows(elements), scalar_bytes(scalar), n_jobs=1)
    assert valid.all()
    points = [naive.multiply(scalar, naive.decode(element)) for element in elements]
    assert [bytes(row) for row in out] == [naive.encode(point) for point in points]


@settings(max_examples=40)
@given(st.lists(halves, min_size=1, max_size=17))
def test_what_is_no_element_is_told(candidates):
    # canonical, as the caller has checked: below P and even
    numbers = [int.from_bytes(c, "little") % P & ~1 for c in candidates]
    encoded = [number.to_bytes(32, "little") for number in numbers]
    _, valid = kernels.multiply_elements(rows(encoded), scalar_bytes(5), n_jobs=1)
    wanted = [any(e) and naive.decode(e) is not None for e in encoded]
    assert valid.tolist() == wanted


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 33])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_any_number_of_elements_in_any_number_of_threads(count, n_jobs):
    elements = some_elements(33)[:count]
    out, valid = kernels.multiply_elements(rows(elements), scalar_bytes(3), n_jobs=n_jobs)
    assert out.shape == (count, 32)
    assert valid.shape == (count,)
    assert valid.all()
    assert [bytes(row) for row in out] == [
        naive.encode(naive.multiply(3, naive.decode(element))) for element in elements
    ]


def test_hashed_and_multiplied_at_once_or_one_after_the_other():
    uniform = np.random.default_rng(1).integers(0, 256, (20, 64), dtype=np.uint8)
    scalar = scalar_bytes(ORDER // 3)
    hashed = kernels.multiply_hashes(uniform, None, n_jobs=1)
    one_after_the_other, _ = kernels.multiply_elements(hashed, scalar, n_jobs=1)
    assert (kernels.multiply_hashes(uniform, scalar, n_jobs=2) == one_after_the_other).all()


def test_what_is_no_element_does_not_disturb_its_neighbours():
    elements = some_elements(8)
    elements[3] = bytes(32)
    out, valid = kernels.multiply_elements(rows(elements), scalar_bytes(7), n_jobs=1)
    assert valid.tolist() == [i != 3 for i in range(8)]
    for i in set(range(8)) - {3}:
        assert bytes(out[i]) == naive.encode(naive.multiply(7, naive.decode(elements[i])))


@given(st.integers(0, 2**253 - 1))
def test_digits_are_those_of_the_scalar(scalar):
    digits = kernels.digits_of(scalar_bytes(scalar))
    assert len(digits) == 64
    assert -8 <= digits.min() <= digits.max() <= 8
    assert sum(int(digit) << 4 * i for i, digit in enumerate(digits)) == scalar
