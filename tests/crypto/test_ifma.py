"""The IFMA kernels against Python integers: bounds, lanes, and how work is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import wide
from crypto.kernels import ifma_lanes, ifma_products
from crypto.kernels.arrays import frozen
from crypto.kernels.ifma_constants import CUBE, ONE, SQUARE, UNIT, WORK, IfmaConstants
from crypto.kernels.ifma_emit import DIGIT_BITS, LANES
from crypto.kernels.ifma_engine import LEAST_PART, PARTS, IfmaEngine, Tasks
from crypto.kernels.threads import over_ranges

needs_ifma = pytest.mark.skipif(
    not IfmaEngine.available(),
    reason="needs a CPU with AVX-512 IFMA, and the JIT: the kernels are machine instructions",
)
MODULI = {
    "3": 3,
    "one limb of ones": 2**52 - 1,
    "516 bits": 2**516 - 1,  # the longest that fits 10 limbs with 4 bits of slack
    "517 bits": 2**517 - 1,
    "1024": 2**1023 + 1,
    "1536": 2**1536 - 1,
    "2048": 2**2048 - 1,
    "3072": 2**3071 + 3**500,
    "4096": 2**4096 - 3**7,
}
X, Y, OUT = WORK, WORK + 2, WORK + 4


@pytest.fixture(params=MODULI.values(), ids=MODULI.keys())
def constants(request):
    return IfmaConstants(request.param)


def lane_numbers(limit, seed):
    """Eight numbers below a limit, the extremes and digits that are all ones among them."""
    rng = np.random.default_rng(seed)
    ones = (1 << (limit.bit_length() - 1) // DIGIT_BITS * DIGIT_BITS) - 1
    numbers = [0, 1 % limit, limit - 1, ones]
    numbers += [int.from_bytes(rng.bytes(1100), "little") % limit for _ in range(4)]
    return [numbers[i] for i in rng.permutation(LANES)]


def put_pair(constants, workspace, slot, low, high):
    constants.set_lanes(workspace, slot, low)
    constants.set_lanes(workspace, slot + 1, high)


def get_pair(constants, workspace, slot):
    low, high = (constants.get_lanes(workspace, s) for s in (slot, slot + 1))
    m = constants.modulus
    # what the next product relies on; B may exceed 2 m by two units for m of a few bits
    assert max(low) <= 2 * m
    assert max(high) <= 2 * m + 2
    return [(a + b * m) % m**2 for a, b in zip(low, high, strict=True)]


def test_constants(constants):
    m, radix = constants.modulus, constants.radix
    assert radix >= 16 * m
    workspace = constants.workspace(WORK)
    assert workspace.ctypes.data % 64 == 0
    for slot, power in ((ONE, radix), (SQUARE, radix**2), (CUBE, radix**3)):
        assert get_pair(constants, workspace, slot) == [power % m**2] * LANES
    assert constants.get_lanes(workspace, UNIT) == [1] * LANES
    offset = workspace[constants.stride : constants.stride + constants.limbs].tolist()
    assert constants.integer(offset) % m == 0
    assert all(1 << DIGIT_BITS <= digit < 1 << (DIGIT_BITS + 1) for digit in offset)
    digits = constants.powers_of_radix(1)
    for i in (0, 1, 255):
        low, high = (constants.integer(half.tolist()) for half in np.split(digits[i], 2))
        assert low + high * m == pow(radix, 256 * i + 1, m**2)


@needs_ifma
@pytest.mark.parametrize("seed", range(4))
def test_products(constants, seed):
    m, limbs = constants.modulus, constants.limbs
    square, inverse = m**2, pow(constants.radix, -1, m**2)
    workspace = constants.workspace(OUT + 2)
    for limit in (m, 4 * m):  # reduced, and as lazy as is allowed
        low, high = lane_numbers(limit, seed), lane_numbers(limit, seed + 10)
        other_low, other_high = lane_numbers(2 * m, seed + 20), lane_numbers(2 * m, seed + 30)
        put_pair(constants, workspace, X, low, high)
        put_pair(constants, workspace, Y, other_low, other_high)
        x = [a + b * m for a, b in zip(low, high, strict=True)]
        y = [a + b * m for a, b in zip(other_low, other_high, strict=True)]
        ifma_products.multiply(workspace, limbs, OUT, X, Y)
        assert [v % m for v in constants.get_lanes(workspace, OUT)] == [
            a * b * inverse % m for a, b in zip(low, other_low, strict=True)
        ]
        assert max(constants.get_lanes(workspace, OUT)) <= 2 * m
        ifma_products.multiply_pairs(workspace, limbs, OUT, X, Y)
        expected = [a * b * inverse % square for a, b in zip(x, y, strict=True)]
        assert get_pair(constants, workspace, OUT) == expected
        ifma_products.multiply_pairs(workspace, limbs, X, X, Y)  # in place
        assert get_pair(constants, workspace, X) == expected
        ifma_products.square(workspace, limbs, Y)
        assert get_pair(constants, workspace, Y) == [b * b * inverse % square for b in y]


@needs_ifma
def test_a_short_factor_may_be_anything_below_the_radix(constants):
    m, limbs = constants.modulus, constants.limbs
    inverse = pow(constants.radix, -1, m**2)
    workspace = constants.workspace(OUT + 2)
    low, high, factor = lane_numbers(2 * m, 1), lane_numbers(2 * m, 2), [constants.radix - 1] * 4
    factor += lane_numbers(constants.radix, 3)[:4]
    put_pair(constants, workspace, X, [v % m for v in low], [v % m for v in high])
    constants.set_lanes(workspace, Y, factor)
    ifma_products.multiply_short(workspace, limbs, OUT, X, Y)
    assert get_pair(constants, workspace, OUT) == [
        (a % m + b % m * m) * c * inverse % m**2 for a, b, c in zip(low, high, factor, strict=True)
    ]


@needs_ifma
@pytest.mark.parametrize("words", [8, 16, 32, 48, 64])
def test_gathering_rows(words):
    constants = IfmaConstants(2 ** (64 * words) - 1)
    table = np.random.default_rng(words).integers(0, 2**64, (20, 2 * words), dtype=np.uint64)
    table[3] = 2**64 - 1
    rows = np.array([3, 19, 0, 1, 1, 7, 3, 9])
    workspace = constants.workspace(WORK + 1)
    ifma_products.prefetch(table, rows, words, words)
    ifma_products.gather(workspace, constants.limbs, WORK, table, rows, words)
    assert constants.get_lanes(workspace, WORK) == wide.to_integers(table[rows, :words])


@pytest.mark.kernels
@pytest.mark.parametrize("bits", [30, 1023])
def test_words_and_digits(bits):
    constants = IfmaConstants(2**bits - 1)
    limbs, words = constants.limbs, wide.words_for(52 * constants.limbs)
    workspace = constants.workspace(WORK + 1)
    numbers = lane_numbers(constants.radix, bits)
    with np.errstate(over="ignore"):  # words wrap on purpose
        for first_bit in (0, 1, 52, 700, 64 * words):
            for lane, row in enumerate(wide.from_integers(numbers, words)):
                ifma_lanes.put_words(workspace, limbs, WORK, lane, row, first_bit)
            expected = [(number >> first_bit) % constants.radix for number in numbers]
            assert constants.get_lanes(workspace, WORK) == expected
            taken = np.empty((LANES, words + 2), dtype=np.uint64)
            for lane in range(LANES):
                ifma_lanes.take_words(workspace, limbs, WORK, lane, taken[lane])
            assert wide.to_integers(taken) == expected


@pytest.mark.kernels
def test_sums_and_comparisons_of_lanes():
    constants = IfmaConstants(2**300 - 5)
    m, limbs = constants.modulus, constants.limbs
    workspace = constants.workspace(WORK + 4)
    xs = [0, m - 1, m, m + 1, 2 * m - 1, 2**299, 2**260 - 1, 1]
    ys = [m, 2**299, 0, 1, m - 1, 2**299, 2**260 - 1, 2**520 - 2]
    with np.errstate(over="ignore"):
        constants.set_lanes(workspace, WORK, xs)
        constants.set_lanes(workspace, WORK + 1, ys)
        ifma_lanes.add(workspace, limbs, WORK + 2, WORK, WORK + 1)
        added = [x + y for x, y in zip(xs, ys, strict=True)]
        assert constants.get_lanes(workspace, WORK + 2) == added
        ifma_lanes.subtract(workspace, limbs, WORK + 2, WORK, WORK + 1)
        subtracted = [(x - y) % constants.radix for x, y in zip(xs, ys, strict=True)]
        assert constants.get_lanes(workspace, WORK + 2) == subtracted
        ifma_lanes.copy(workspace, limbs, WORK + 2, WORK, 2)
        ifma_lanes.reduce_once(workspace, limbs, WORK)
        assert constants.get_lanes(workspace, WORK) == [x % m for x in xs]
        ifma_lanes.reduce_low(workspace, limbs, WORK + 2)
        assert constants.get_lanes(workspace, WORK + 2) == [x % m for x in xs]
        expected = [y + (x >= m) for x, y in zip(xs, ys, strict=True)]
        assert constants.get_lanes(workspace, WORK + 3) == expected
        ifma_lanes.clear(workspace, limbs, WORK)
        assert constants.get_lanes(workspace, WORK) == [0] * LANES


@given(st.lists(st.integers(0, 3000), min_size=1), st.integers(1, 4))
def test_tasks_cover_every_row_once(lengths, n_jobs):
    starts = np.cumsum([0, *lengths])
    tasks = Tasks.cut(starts, n_jobs)
    longest = max(LEAST_PART, -(-sum(lengths) // (PARTS * n_jobs)))
    assert (tasks.lengths >= 0).all()
    assert tasks.lengths.max() <= longest
    assert sorted(tasks.order) == list(range(len(tasks.starts)))
    assert (np.diff(tasks.lengths[tasks.order]) <= 0).all()
    for segment, length in enumerate(lengths):
        parts = slice(tasks.parts[segment], tasks.parts[segment + 1])
        assert tasks.lengths[parts].sum() == length
        assert parts.stop > parts.start
        ends = tasks.starts[parts] + tasks.lengths[parts]
        assert tasks.starts[parts][0] == starts[segment]
        assert (tasks.starts[parts][1:] == ends[:-1]).all()


@given(st.integers(0, 50), st.integers(1, 60), st.sampled_from([1, 8]))
def test_ranges_cover_all_in_order(count, n_jobs, multiple):
    ranges = over_ranges(lambda first, end: (first, end), count, n_jobs, multiple=multiple)
    assert [i for first, end in ranges for i in range(first, end)] == list(range(count))
    assert all(first % multiple == 0 for first, _ in ranges)
    assert len(ranges) <= n_jobs
    few = over_ranges(lambda first, end: end - first, count, n_jobs, multiple=multiple, least=10)
    assert sum(few) == count
    assert len(few) <= max(1, count // 10)


def test_frozen_arrays_are_views_where_possible():
    array = np.arange(6, dtype=np.uint64).reshape(2, 3)
    view = frozen(array)
    assert view.base is not None
    assert np.shares_memory(view, array)
    assert not view.flags.writeable
    assert array.flags.writeable
    strided = frozen(array[:, ::2])
    assert strided.flags.c_contiguous
    assert strided.tolist() == [[0, 2], [3, 5]]
    shifted = np.frombuffer(bytearray(33), dtype=np.uint8)[1:].view(np.uint64)
    assert frozen(shifted).flags.aligned
