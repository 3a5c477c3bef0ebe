"""P-256 by its x coordinates: which are taken, and products against the definition."""

import numpy as np
import pytest
from gmpy2 import invert, legendre, mpz, powmod

from crypto.errors import ElementError
from crypto.groups import GROUPS
from crypto.groups.p256_map import PRIME, A, B, add, hash_to_point, map_to_curve

GROUP = GROUPS["p256"]
TAG = b"SecureBoost-tests-v1"


def row(x):
    return np.frombuffer(int(x).to_bytes(32, "big"), dtype=np.uint8).reshape(1, 32)


def on_curve(point):
    x, y = point
    return (y * y - x * x * x - A * x - B) % PRIME == 0


def has_point(x):
    return legendre((x**3 + A * x + B) % PRIME, PRIME) >= 0


@pytest.mark.parametrize("x", [x for x in range(20) if not has_point(mpz(x))])
def test_an_x_without_a_point(x):
    with pytest.raises(ElementError) as caught:
        GROUP.multiply(row(x), GROUP.random_scalar())
    assert str(caught.value) == "element 0 of 1 is refused: no point of the curve has this x"


@pytest.mark.parametrize("x", [x for x in range(20) if has_point(mpz(x))])
def test_an_x_has_one_encoding(x):
    """The same number plus p is refused."""
    assert GROUP.multiply(row(x), GROUP.random_scalar()).shape == (1, 32)
    with pytest.raises(ElementError) as caught:
        GROUP.multiply(row(x + PRIME), GROUP.random_scalar())
    assert str(caught.value) == "element 0 of 1 is refused: its x is not below p"


def test_the_largest_x():
    with pytest.raises(ElementError, match="its x is not below p"):
        GROUP.multiply(row(2**256 - 1), GROUP.random_scalar())


@pytest.mark.parametrize("number", [3, 5, 6, 7, 11])
def test_products_are_repeated_sums(number):
    point = hash_to_point(b"customer", TAG)
    double = GROUP.multiply(row(point[0]), GROUP.scalar_from_bytes((2).to_bytes(32, "big")))
    total = double_of(point)
    assert int(total[0]) == int.from_bytes(double.tobytes(), "big")
    for _ in range(number - 2):
        total = add(total, point)
        assert on_curve(total)
    product = GROUP.multiply(row(point[0]), GROUP.scalar_from_bytes(number.to_bytes(32, "big")))
    assert product.tobytes() == int(total[0]).to_bytes(32, "big")


def double_of(point):
    x, y = (int(number) for number in point)
    slope = (3 * x * x + int(A)) * pow(2 * y, -1, int(PRIME)) % int(PRIME)
    third = (slope * slope - 2 * x) % int(PRIME)
    return mpz(third), mpz((slope * (x - third) - y) % int(PRIME))


@pytest.mark.parametrize("u", [1, 2, int(PRIME) - 1, int(PRIME) // 2])
def test_the_map_leads_to_the_curve(u):
    assert on_curve(map_to_curve(mpz(u)))


def test_the_map_where_its_denominator_vanishes():
    """``Z^2 u^4 + Z u^2 = 0`` for u = 0 and for the roots of ``-1 / Z = 1 / 10``."""
    root = powmod(invert(10, PRIME), (PRIME + 1) // 4, PRIME)
    assert root * root * 10 % PRIME == 1
    for u in (mpz(0), root, PRIME - root):
        x, _ = point = map_to_curve(u)
        assert on_curve(point)
        assert x == B * invert(-10 * A, PRIME) % PRIME


def test_numbers_and_their_negatives_map_to_opposite_points():
    for u in (mpz(1), mpz(12345)):
        (x, y), (other_x, other_y) = map_to_curve(u), map_to_curve(PRIME - u)
        assert x == other_x
        assert (y + other_y) % PRIME == 0
