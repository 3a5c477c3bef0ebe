"""Every engine that runs here against Python's own arithmetic, with the same numbers.

All results are exact, so engines that agree with Python agree with each other.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise, product

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpz
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import insecure_paillier_key

from crypto import kernels, wide
from crypto.errors import EngineUnavailableError
from crypto.kernels import ENGINES, VARIABLE, portable_powers, portable_sums
from crypto.kernels.portable import PortableEngine, PortableSquareModulus
from crypto.kernels.portable_limbs import BLOCK, add_product, add_two_products, negative_inverse
from crypto.kernels.power_table import PowerTable
from crypto.residues import from_pairs, invert_all, pairs_to_words, to_pairs

AVAILABLE = [name for name, engine in ENGINES.items() if engine.available()]
JIT = PortableEngine.available()
needs_compiler = pytest.mark.skipif(
    not JIT, reason="the kernels are LLVM instructions (128-bit products), which Python lacks"
)
INSECURE_BITS = (16, 30, 130, 256)
ROOTS = {
    "1024 ones": 2**1024 - 1,
    "1024 sparse": 2**1023 + 1,
    "1100": 2**1099 + 3**600,
    "2048": 2**2048 - 3**1000 * 5,
    "2048 sparse": 2**2047 + 1,
    "3072": 2**3071 + 3**1800,
}
"""Odd roots of the sizes in use, that of a prime of 2048 bits included, and the edges of limbs."""


@cache
def modulus_of(name: str, root: str | int):
    n = insecure_paillier_key(root).public_key.n if isinstance(root, int) else ROOTS[root]
    return ENGINES[name]().modulus(n)


@pytest.fixture(params=product(AVAILABLE, [*INSECURE_BITS, *ROOTS]), ids=str)
def modulus(request):
    return modulus_of(*request.param)


def numbers_below(limit, seed, count):
    """Random numbers, after the extremes; the first is the largest of limbs that are all ones."""
    rng = np.random.default_rng(seed)
    ones = (1 << (limit.bit_length() - 1) // 64 * 64) - 1
    numbers = [ones % limit, 0, 1, 2, limit - 1, limit - 2]
    return numbers + [int.from_bytes(rng.bytes(800), "little") % limit for _ in range(count)]


def residue_numbers(modulus, seed, count):
    root = modulus.root
    return [root - 1, root, root + 1, *numbers_below(root**2, seed, count)]


def units(modulus, seed, count):
    numbers = residue_numbers(modulus, seed, count)
    return [number for number in numbers if gmpy2.gcd(number, modulus.root) == 1]


def residues(modulus, numbers):
    return wide.from_integers(numbers, 2 * modulus.words)


def pair_words(modulus, low, high):
    return np.hstack(
        [wide.from_integers(low, modulus.words), wide.from_integers(high, modulus.words)]
    )


def test_segment_products(modulus):
    root, rng = modulus.root, np.random.default_rng(1)
    low = [a for a in numbers_below(root, 1, 8) if a and gmpy2.gcd(a, root) == 1]
    high = numbers_below(root, 2, 8)
    pairs = list(product(low, high))
    numbers = [a * (1 + t * root) % root**2 for a, t in pairs]
    words = pair_words(modulus, *zip(*pairs, strict=True))
    lengths = np.array([0, 1, 1, 0, 0, 2, 3, 8, 9, 40, 5000, 255, 256, 257, 1, 0])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = rng.integers(0, len(numbers), starts[-1])  # so most rows are in several segments
    rows[starts[10] : starts[10] + 300] = len(numbers) - 1
    square, expected = mpz(root) ** 2, []
    for start, end in pairwise(starts):
        value = mpz(1)
        for row in rows[start:end]:
            value = value * numbers[row] % square
        expected.append(value)
    for n_jobs in (1, 2, 50):
        products = modulus.segment_products(words, rows, starts, n_jobs=n_jobs)
        assert wide.to_integers(products) == expected


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_segments_without_rows(modulus, n_jobs):
    pairs = pair_words(modulus, [1, 2], [0, modulus.root - 1])
    rows = np.empty(0, dtype=np.int64)
    none = modulus.segment_products(pairs, rows, np.array([0]), n_jobs=n_jobs)
    assert none.shape == (0, 2 * modulus.words)
    empty = modulus.segment_products(pairs, rows, np.array([0, 0, 0]), n_jobs=n_jobs)
    assert wide.to_integers(empty) == [1, 1]


def test_inputs_that_are_read_only_or_strided(modulus):
    """What comes out of a message is read-only; no engine may compile anew for it."""
    root = modulus.root
    pairs = pair_words(modulus, [1, root - 1, 2, 4], [5, root - 1, 0, 1])[::2]
    rows = np.array([0, 9, 1, 9])[::2]
    numbers = residues(modulus, [2, 4])
    for array in (pairs, rows, numbers):
        array.flags.writeable = False
    products = modulus.segment_products(pairs, rows, np.array([0, 2]), n_jobs=1)
    assert wide.to_integers(products) == [2 * (1 + 5 * root)]
    assert wide.to_integers(modulus.powers(numbers, 2, n_jobs=1)) == [4, 16]
    assert wide.to_integers(modulus.horner(numbers, 2, 1, n_jobs=1)) == [32]
    if isinstance(modulus, PortableSquareModulus):
        assert len(portable_sums.fold.signatures) == 1
        assert len(portable_powers.raise_all.signatures) == 1


def test_fewer_factors_than_rows(modulus):
    root = modulus.root
    pairs = pair_words(modulus, [1, root - 1, 2], [5, root - 1, 0])
    products = modulus.segment_products(pairs, np.array([1]), np.array([0, 1]), n_jobs=1)
    assert wide.to_integers(products) == [(root - 1) * (1 + (root - 1) * root) % root**2]


@pytest.mark.parametrize("n_jobs", [1, 2, 50])
def test_powers(modulus, n_jobs):
    root = modulus.root
    numbers = residue_numbers(modulus, 3, 2)
    exponents = [0, 1, 2, 3, 31, 32, 2**64 - 1, root % 2**200]
    if n_jobs == 2:
        exponents = [root, 2 ** root.bit_length() - 1]
        numbers = numbers[-2:]
    for exponent in exponents:
        powers = modulus.powers(residues(modulus, numbers), exponent, n_jobs=n_jobs)
        assert wide.to_integers(powers) == [gmpy2.powmod(x, exponent, root**2) for x in numbers]
    assert modulus.powers(residues(modulus, []), 3, n_jobs=n_jobs).shape == (0, 2 * modulus.words)


@pytest.mark.parametrize(("slots", "shift"), [(1, 5), (2, 1), (3, 64), (7, 20), (100, 5)])
def test_horner(modulus, slots, shift):
    numbers, square = units(modulus, 4, 6), mpz(modulus.root) ** 2  # as all ciphertexts are
    expected = []
    for first in range(0, len(numbers), slots):
        value = mpz(1)
        for j, number in enumerate(numbers[first : first + slots]):
            value = value * gmpy2.powmod(number, 1 << (shift * j), square) % square
        expected.append(value)
    for n_jobs in (1, 2, 50):
        packed = modulus.horner(residues(modulus, numbers), slots, shift, n_jobs=n_jobs)
        assert wide.to_integers(packed) == expected


@pytest.mark.parametrize("n_jobs", [1, 50])
def test_power_table(modulus, n_jobs):
    bits = min(modulus.root.bit_length(), 75)
    exponents = [0, 1, 255, 256, 2**64 - 1, 2**bits - 1]
    exponents = [e for e in exponents if e < 2**bits] + numbers_below(2**bits, 5, 10)
    base = units(modulus, 6, 5)[-1]
    powers = PowerTable(modulus, base, bits).powers(
        wide.from_integers(exponents, modulus.words), n_jobs=n_jobs
    )
    expected = [gmpy2.powmod(base, e, modulus.root**2) for e in exponents]
    assert wide.to_integers(pairs_to_words(powers, modulus.root)) == expected


def test_results_as_pairs(modulus):
    root, square = mpz(modulus.root), mpz(modulus.root) ** 2
    numbers = units(modulus, 7, 6)
    words = pair_words(modulus, *to_pairs([mpz(x) for x in numbers], root))

    def values(pairs):
        halves = (wide.to_mpz(half) for half in np.hsplit(pairs, 2))
        return from_pairs(*halves, root)

    rows, starts = np.arange(len(numbers)), np.array([0, 0, 1, len(numbers)])
    products = modulus.segment_pairs(words, rows, starts, n_jobs=2)
    expected = [mpz(1), numbers[0], gmpy2.mpz(1)]
    for number in numbers[1:]:
        expected[2] = expected[2] * number % square
    assert values(products) == expected
    raised = modulus.power_pairs(residues(modulus, numbers), 77, n_jobs=2)
    assert values(raised) == [gmpy2.powmod(x, 77, square) for x in numbers]
    packed = modulus.horner_pairs(words, 2, 9, n_jobs=2)
    shifted = [gmpy2.powmod(x, 1 << 9, square) for x in numbers[1::2]] + [mpz(1)]
    assert values(packed) == [x * y % square for x, y in zip(numbers[::2], shifted, strict=False)]


def test_modulo_the_root(modulus):
    root = modulus.root
    numbers, factor = numbers_below(root, 8, 5), root - 2
    scaled = modulus.scale(wide.from_integers(numbers, modulus.words), factor, n_jobs=2)
    assert wide.to_integers(scaled) == [x * factor % root for x in numbers]
    units_only = [x for x in numbers if gmpy2.gcd(x, root) == 1]
    for count in range(1, len(units_only) + 1):
        words = wide.from_integers(units_only[:count], modulus.words)
        assert modulus.all_units(words, n_jobs=2)
    assert not modulus.all_units(wide.from_integers([*units_only, 0], modulus.words), n_jobs=2)


@pytest.mark.parametrize("n_jobs", [1, 2, 50])
def test_powers_modulo_the_root(modulus, n_jobs):
    root = modulus.root
    numbers = residue_numbers(modulus, 12, 3)
    exponents = [0, 1, 2, 3, 31, 32, 65537, 2**64 - 1, root % 2**200]
    if n_jobs == 2:
        exponents = [root, 2 ** root.bit_length() - 1]
        numbers = [*numbers[-2:], root**2 * 2**64 + 1]  # longer than any number that is at hand
    words = wide.from_integers(numbers, 2 * modulus.words + 2)
    words.flags.writeable = False
    for exponent in exponents:
        powers = modulus.root_powers(words, exponent, n_jobs=n_jobs)
        assert wide.to_integers(powers) == [gmpy2.powmod(x, exponent, root) for x in numbers]
        assert powers.shape[1] == modulus.words
    assert modulus.root_powers(words[:0], 3, n_jobs=n_jobs).shape == (0, modulus.words)


@pytest.mark.parametrize("name", AVAILABLE)
def test_two_threads_use_one_modulus(name):
    root = ROOTS["1100"]
    modulus = ENGINES[name]().modulus(root)  # fresh, so both meet it unprepared
    numbers = residue_numbers(modulus, 9, 10)
    words = residues(modulus, numbers)
    pairs = pair_words(modulus, [2, 3, root - 1], [0, root - 1, 7])
    rows, starts = np.arange(600) % 3, np.arange(0, 601, 100)

    def work(exponent):
        powers = modulus.powers(words, exponent, n_jobs=2)
        return powers, modulus.segment_products(pairs, rows, starts, n_jobs=2)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(40, 60)))
    for exponent, (powers, products) in zip(range(40, 60), results, strict=True):
        assert wide.to_integers(powers) == [gmpy2.powmod(x, exponent, root**2) for x in numbers]
        assert (products == results[0][1]).all()


@needs_compiler
@pytest.mark.parametrize("blocks", [2, 3, 4])
def test_limb_products_are_exact(blocks):
    limbs = blocks * BLOCK
    radix = 1 << (64 * limbs)
    rng = np.random.default_rng(10)
    for modulus in (radix - 1, radix // 2 + 1, 1, 3**20):
        inverse = negative_inverse(modulus)
        for _ in range(20):
            pool = numbers_below(radix, int(rng.integers(1 << 30)), 4)
            numbers = [pool[i] for i in rng.integers(0, len(pool), 5)]
            addend, *factors = wide.from_integers(numbers, limbs)
            for product_of, used in ((add_product, 2), (add_two_products, 4)):
                total, quotient = np.append(addend, np.uint64(0)), np.empty(limbs, np.uint64)
                root = wide.from_integers([modulus], limbs)[0]
                product_of(total, quotient, *factors[:used], root, inverse)
                (result,), (q,) = (wide.to_integers(x[None]) for x in (total, quotient))
                expected = numbers[0] + numbers[1] * numbers[2] + q * modulus
                if used == 4:
                    expected += numbers[3] * numbers[4]
                assert result * radix == expected


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
    for unset in (None, "", "auto"):
        monkeypatch.delenv(VARIABLE, raising=False)
        if unset is not None:
            monkeypatch.setenv(VARIABLE, unset)
        assert kernels.engine().name == AVAILABLE[0]
    for name in AVAILABLE:
        monkeypatch.setenv(VARIABLE, name)
        assert kernels.engine().name == name
        choice = kernels.describe_choice()
        assert (choice.name, choice.why) == (name, f"because {VARIABLE}={name}")
        assert choice.available == tuple(AVAILABLE)
        assert sorted([*choice.available, *choice.missing]) == sorted(ENGINES)
    monkeypatch.setenv(VARIABLE, "abacus")
    with pytest.raises(
        EngineUnavailableError,
        match=r"^SECUREBOOST_ENGINE='abacus' is not an engine; use one of: auto, .*gmpy2$",
    ):
        kernels.engine()


@pytest.mark.parametrize(
    ("name", "needed"),
    [("ifma", "AVX-512 IFMA instructions"), ("portable", "numba's compiler")],
)
def test_an_engine_that_this_machine_lacks_is_refused_with_the_reason(monkeypatch, name, needed):
    class Lacking(PortableEngine):
        @classmethod
        def available(cls):
            return False

    monkeypatch.setitem(ENGINES, name, Lacking)
    monkeypatch.setenv(VARIABLE, name)
    usable = [key for key in AVAILABLE if key != name]
    with pytest.raises(EngineUnavailableError, match=f"{name}.*cannot run here.*{needed}") as info:
        kernels.engine()
    assert str(info.value).endswith(f"use one of: {', '.join(['auto', *usable])}")
    monkeypatch.delenv(VARIABLE)
    choice = kernels.describe_choice()
    assert choice.name == usable[0]
    assert choice.why == (
        f"the fastest of those that run here: {', '.join(usable)}"
        if usable[1:]
        else "the only one that runs here"
    )
    assert needed in choice.missing[name]


@pytest.mark.kernels
def test_without_the_compiler_gmpy2_does_the_work(monkeypatch):
    """Run with and without the JIT: the compiled engines hold instructions that Python lacks."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (kernels.engine().name == "gmpy2") == (not JIT)
    assert ("portable" in kernels.describe_choice().missing) == (not JIT)
