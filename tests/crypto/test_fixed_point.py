"""Rounding: its error bound, its refusals, and that sums fit."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import CapacityError, PlaintextError
from crypto.fixed_point import FixedPoint


@given(st.floats(-1, 1), st.integers(1, 50))
def test_the_error_is_at_most_half_a_unit(value, fraction_bits):
    integer = FixedPoint(fraction_bits).encode(np.array([value]))
    error = abs(Fraction(value) - Fraction(int(integer[0]), 2**fraction_bits))
    assert error <= Fraction(1, 2 ** (fraction_bits + 1))


def test_ties_go_to_even():
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5])
    assert FixedPoint(0).encode(values).tolist() == [0, 2, 2, 0, -2]


def test_decode_inverts_encode_for_multiples():
    values = np.array([[-1.0, 0.25], [1 / 1024, 0.0]])
    fixed_point = FixedPoint(30)
    assert (fixed_point.decode(fixed_point.encode(values)) == values).all()


@given(st.floats(1e-6, 1e9), st.integers(1, 2**40), st.floats(1e-18, 0.5))
def test_sums_of_values_within_the_bound_fit(bound, n_rows, rounding_error):
    try:
        fixed_point = FixedPoint.for_bound(bound, n_rows, rounding_error)
    except CapacityError:
        assert n_rows > 2**61 * rounding_error
        return
    largest = fixed_point.max_integer(bound)
    assert n_rows * largest < 2**62
    assert abs(int(fixed_point.encode(np.array([-bound]))[0])) == largest
    assert 1 <= largest <= 1 / rounding_error + 0.5


@given(st.floats(1e-100, 1e100), st.floats(1e-12, 0.5))
def test_no_fewer_bits_would_do(bound, rounding_error):
    allowed = Fraction(bound) * Fraction(rounding_error)
    half_unit = Fraction(2) ** -(FixedPoint.for_bound(bound, 1, rounding_error).fraction_bits + 1)
    # to the last digit of the product of two floats
    assert half_unit * (1 - Fraction(2) ** -52) <= allowed < 2 * half_unit


@given(st.data(), st.floats(1e-6, 1e9), st.integers(1, 40))
def test_sums_are_as_exact_as_stated(data, bound, bits):
    values = np.array(data.draw(st.lists(st.floats(-bound, bound), min_size=1, max_size=50)))
    values = np.repeat(values, data.draw(st.integers(1, 20)))  # equal values have equal errors
    fixed_point = FixedPoint.for_bound(bound, len(values), 2.0**-bits)
    total = int(fixed_point.encode(values).sum()) / Fraction(2) ** fixed_point.fraction_bits
    error = abs(total - sum(map(Fraction, values.tolist())))
    assert error <= len(values) * Fraction(bound) / 2**bits


@pytest.mark.parametrize(
    ("bound", "bits"), [(1.0, 30), (0.5, 31), (0.25, 32), (1.5, 30), (2.0, 29), (1000.0, 21)]
)
def test_precision_is_relative_to_the_bound(bound, bits):
    assert FixedPoint.for_bound(bound, 1000, 2.0**-31).fraction_bits == bits


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_position(bad):
    with pytest.raises(PlaintextError, match="gradient at position 1 is not finite") as caught:
        FixedPoint(30).encode(np.array([0.0, bad]), "gradient")
    assert caught.value.position == 1


def test_a_value_that_is_too_large_is_refused_without_showing_it():
    with pytest.raises(
        PlaintextError, match=r"position 0 does not fit 2\*\*61 at fraction_bits=30"
    ):
        FixedPoint(30).encode(np.array([1.25e10]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 5, 0.1), "bound=0.0 must be a positive finite number"),
        ((np.inf, 5, 0.1), "bound=inf must be a positive finite number"),
        ((1.0, 0, 0.1), "n_rows=0 must be at least 1"),
        ((1.0, 5, 0.0), "rounding_error=0.0 must be above 0"),
        ((1.0, 5, 0.6), "rounding_error=0.6 must be above 0 and at most 0.5"),
        ((1.0, 5, np.nan), "rounding_error=nan must be above 0"),
        ((1.0, 2**40, 2.0**-23), r"n_rows=1099511627776 and .* need sums of 63 bits, more than 62"),
    ],
)
def test_impossible_bounds_are_refused(arguments, message):
    with pytest.raises(CapacityError, match=message):
        FixedPoint.for_bound(*arguments)


def test_absurd_scales_are_refused():
    with pytest.raises(CapacityError, match="fraction_bits=501"):
        FixedPoint(501)
