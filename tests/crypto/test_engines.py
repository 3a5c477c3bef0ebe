"""Every engine that runs here against Python's own arithmetic."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import insecure_paillier_key

from crypto import kernels, wide
from crypto.errors import EngineUnavailableError
from crypto.kernels import ENGINES, VARIABLE
from crypto.residues import from_pairs, invert_all, to_pairs

AVAILABLE = [name for name, engine in ENGINES.items() if engine.available()]


@pytest.fixture(params=[(name, bits) for name in AVAILABLE for bits in (16, 30, 130, 256)], ids=str)
def modulus(request):
    name, bits = request.param
    return ENGINES[name]().modulus(insecure_paillier_key(bits).public_key.n)


def units(root, rng, count):
    """Random numbers modulo root**2, among them the extremes."""
    numbers = [1, root**2 - 1, 2, root - 1, root + 1]
    numbers += [int.from_bytes(rng.bytes(70), "little") % root**2 for _ in range(count)]
    return [number for number in numbers if np.gcd.reduce([number % root, root]) == 1]


def residues(modulus, numbers):
    return wide.from_integers(numbers, 2 * modulus.words)


def pairs(modulus, numbers):
    low, high = to_pairs(numbers, modulus.root)
    return np.hstack(
        [wide.from_integers(low, modulus.words), wide.from_integers(high, modulus.words)]
    )


def test_segment_products(modulus):
    rng = np.random.default_rng(1)
    numbers = units(modulus.root, rng, 20)
    rows = rng.integers(0, len(numbers), 100)
    starts = np.array([0, 1, 1, 30, 31, 33, 100, 100])
    for part in (slice(0, 100), slice(0, 3)):  # more and fewer summands than ciphertexts
        cut = np.minimum(starts, len(rows[part]))
        products = modulus.segment_products(pairs(modulus, numbers), rows[part], cut, n_jobs=2)
        expected = []
        for start, end in pairwise(cut):
            value = 1
            for row in rows[start:end]:
                value = value * numbers[row] % modulus.root**2
            expected.append(value)
        assert wide.to_integers(products) == expected


@pytest.mark.parametrize("n_jobs", [1, 2, 50])
def test_powers(modulus, n_jobs):
    numbers = units(modulus.root, np.random.default_rng(2), 10)
    for exponent in (0, 1, 2, modulus.root):
        powers = modulus.powers(residues(modulus, numbers), exponent, n_jobs=n_jobs)
        assert wide.to_integers(powers) == [pow(x, exponent, modulus.root**2) for x in numbers]
    assert modulus.powers(residues(modulus, []), 3, n_jobs=n_jobs).shape == (0, 2 * modulus.words)


@pytest.mark.parametrize("slots", [1, 2, 3, 7, 100])
def test_horner(modulus, slots):
    numbers = units(modulus.root, np.random.default_rng(3), 10)
    square = modulus.root**2
    expected = []
    for first in range(0, len(numbers), slots):
        value = 1
        for j, number in enumerate(numbers[first : first + slots]):
            value = value * pow(number, 1 << (5 * j), square) % square
        expected.append(value)
    packed = modulus.horner(residues(modulus, numbers), slots, 5, n_jobs=2)
    assert wide.to_integers(packed) == expected


def test_fixed_base(modulus):
    root = modulus.root
    bits = root.bit_length()
    rng = np.random.default_rng(4)
    exponents = [0, 1, 255, 256, 2**bits - 1]
    exponents = [e for e in exponents if e < 2**bits]
    exponents += [int.from_bytes(rng.bytes(40), "little") % 2**bits for _ in range(20)]
    base = units(root, rng, 5)[-1]
    table = modulus.fixed_base(base, bits)
    powers = table.powers(wide.from_integers(exponents, modulus.words), n_jobs=2)
    assert wide.to_integers(powers) == [pow(base, e, root**2) for e in exponents]


@settings(max_examples=50)
@given(st.lists(st.integers(1, 10_000_000).filter(lambda x: x % 10_007)))
def test_pairs_and_batch_inversion(numbers):
    root = 10_007
    inverses = invert_all([x % root for x in numbers], root)
    assert all(x * y % root == 1 for x, y in zip(numbers, inverses, strict=True))
    low, high = to_pairs(numbers, root)
    assert [a * (1 + t * root) % root**2 for a, t in zip(low, high, strict=True)] == numbers
    assert from_pairs(low, high, root) == numbers


def test_what_is_no_unit_has_no_inverse():
    with pytest.raises(ZeroDivisionError):
        invert_all([2, 7, 4], 21)


def test_the_environment_picks_the_engine(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert kernels.engine().name == AVAILABLE[0]
    for name in AVAILABLE:
        monkeypatch.setenv(VARIABLE, name)
        assert kernels.engine().name == name
    monkeypatch.setenv(VARIABLE, "abacus")
    with pytest.raises(
        EngineUnavailableError,
        match=r"ENGINE='abacus' is not an engine that runs here; use one of: auto, .*gmpy2",
    ):
        kernels.engine()
