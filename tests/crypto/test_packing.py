"""Packing against big integers: borrowing cells, extremes of the proven range, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import wide
from crypto.errors import CapacityError, CellRangeError, PlaintextError
from crypto.packing import GradientPacking


@st.composite
def packings(draw, max_outputs=1):
    n_rows = draw(st.integers(1, 2**30))
    limit = (2**62 - 1) // n_rows
    return GradientPacking(
        n_rows,
        draw(st.integers(0, limit)),
        draw(st.integers(0, limit)),
        draw(st.integers(1, max_outputs)),
    )


def naive_cell(packing, pairs):
    """A row's pairs, or a cell's, as one Python integer."""
    return sum(
        ((g << packing.hessian_bits) + h) << (packing.pair_bits * k)
        for k, (g, h) in enumerate(pairs)
    )


def naive_plaintexts(packing, cells, slots, words):
    """Cells as Python integers, shifted and added."""
    values = [(g << packing.hessian_bits) + h for g, h in cells]
    packed = [
        sum(v << (packing.cell_bits * j) for j, v in enumerate(values[i : i + slots]))
        for i in range(0, len(values), slots)
    ]
    return wide.from_integers(packed, words, signed=True)


@pytest.mark.kernels
@given(st.data(), packings(), st.integers(1, 5))
def test_unpack_reads_back_any_sums_in_the_proven_range(data, packing, slots):
    g_limit = packing.n_rows * packing.max_gradient
    h_limit = packing.n_rows * packing.max_hessian
    gradient = st.one_of(st.integers(-g_limit, g_limit), st.sampled_from([-g_limit, g_limit]))
    hessian = st.one_of(st.integers(0, h_limit), st.sampled_from([0, h_limit]))
    cells = data.draw(st.lists(st.tuples(gradient, hessian), max_size=12))
    words = slots * packing.cell_bits // 64 + 1
    plaintexts = naive_plaintexts(packing, cells, slots, words)
    result = packing.unpack(plaintexts, len(cells), slots)
    assert result.dtype == np.int64
    assert [tuple(row) for row in result.tolist()] == cells


@given(st.data(), packings())
def test_packed_rows_are_g_above_h(data, packing):
    rows = data.draw(
        st.lists(
            st.tuples(
                st.integers(-packing.max_gradient, packing.max_gradient),
                st.integers(0, packing.max_hessian),
            )
        )
    )
    packed = packing.pack(np.array(rows, dtype=np.int64).reshape(-1, 2))
    assert wide.to_integers(packed, signed=True) == [
        (g << packing.hessian_bits) + h for g, h in rows
    ]
    assert packing.cell_bits <= 125


@pytest.mark.kernels
def test_negative_cells_borrow_and_come_back():
    packing = GradientPacking(10, 7, 3)
    cells = [(-70, 0), (-1, 30), (-70, 30), (0, 0), (70, 30), (-1, 0), (-70, 0)]
    plaintexts = naive_plaintexts(packing, cells, 3, 1)
    assert packing.unpack(plaintexts, 7, 3).tolist() == [list(cell) for cell in cells]


def test_a_full_plaintext_of_extremes_stays_within_its_bits():
    packing = GradientPacking(30_000, 2**30, 2**28)
    slots = packing.cells_per_ciphertext(2046)
    assert (packing.hessian_bits, packing.cell_bits, slots) == (43, 89, 22)
    for g, h in ((-30_000 * 2**30, 0), (30_000 * 2**30, 30_000 * 2**28)):
        value = (g << packing.hessian_bits) + h
        assert abs(sum(value << (packing.cell_bits * j) for j in range(slots))) < 2**2046


@pytest.mark.kernels
@pytest.mark.parametrize("cell", [(71, 0), (-71, 0), (0, 31), (127, 31), (-128, 0)])
@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_cell_outside_its_range_is_named(cell, position):
    packing = GradientPacking(10, 7, 3)
    cells = [(1, 1)] * 5
    cells[position] = cell
    with pytest.raises(CellRangeError, match=f"cell {position} of 5 decrypts to a sum") as caught:
        packing.unpack(naive_plaintexts(packing, cells, 3, 2), 5, 3)
    assert caught.value.position == position


@pytest.mark.kernels
@pytest.mark.parametrize("excess", [1, -1, 2**50, -(2**50)])
def test_something_above_the_last_cell_is_refused(excess):
    packing = GradientPacking(10, 7, 3)
    total = excess << (2 * packing.cell_bits)
    plaintexts = wide.from_integers([0, total], 2, signed=True)
    with pytest.raises(CellRangeError) as caught:
        packing.unpack(plaintexts, 4, 2)
    assert caught.value.position == 3


def test_no_cells():
    assert GradientPacking(10, 7, 3).unpack(np.empty((0, 2), np.uint64), 0, 3).shape == (0, 2)


def test_sums_that_could_overflow_are_refused_with_the_numbers():
    message = r"n_rows=1048576 times max_gradient=8796093022208 needs 64 bits, more than 62"
    with pytest.raises(CapacityError, match=message):
        GradientPacking(2**20, 2**43, 1)
    with pytest.raises(CapacityError, match="max_hessian=8796093022208 needs"):
        GradientPacking(2**20, 1, 2**43)


def test_widths_are_plain_integers_whatever_comes_in():
    packing = GradientPacking(np.int64(2**20), np.int64(2**30), np.int32(2**20))
    assert {type(packing.cell_bits), type(packing.hessian_bits), type(packing.n_rows)} == {int}
    with pytest.raises(CapacityError, match="needs 82 bits"):
        GradientPacking(np.int64(2**40), np.int64(2**41), 1)


def test_senseless_numbers_are_refused():
    with pytest.raises(CapacityError, match="n_rows=0 must be at least 1"):
        GradientPacking(0, 1, 1)
    with pytest.raises(CapacityError, match="max_hessian=-1 must be at least 0"):
        GradientPacking(1, 1, -1)


def test_a_cell_wider_than_the_plaintext_is_refused():
    with pytest.raises(CapacityError, match=r"a cell of 89 bits .* a plaintext of 62 bits"):
        GradientPacking(30_000, 2**30, 2**28).cells_per_ciphertext(62)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((8, 0), "row 1: the gradient exceeds max_gradient=7"),
        ((-8, 0), "row 1: the gradient exceeds max_gradient=7"),
        ((0, -1), "row 1: the hessian is negative"),
        ((0, 4), "row 1: the hessian exceeds max_hessian=3"),
        ((-(2**63), 0), "row 1: the gradient exceeds max_gradient=7"),
    ],
)
def test_a_row_outside_its_bounds_is_refused(row, message):
    with pytest.raises(PlaintextError, match=message) as caught:
        GradientPacking(10, 7, 3).pack(np.array([(0, 0), row], dtype=np.int64))
    assert caught.value.position == 1


def test_a_wrong_number_of_plaintexts_is_refused():
    packing = GradientPacking(10, 7, 3)
    with pytest.raises(CapacityError, match="5 cells in 2 slots need 3 plaintexts, not 2"):
        packing.unpack(np.zeros((2, 2), np.uint64), 5, 2)
    with pytest.raises(CapacityError, match="slots=20 of 13 bits do not fit plaintexts of 128"):
        packing.unpack(np.zeros((1, 2), np.uint64), 5, 20)


@pytest.mark.kernels
@given(st.data(), packings(max_outputs=7), st.integers(200, 700))
def test_several_outputs_survive_packing_adding_and_reading(data, packing, plaintext_bits):
    packing = packing.fitting(plaintext_bits)
    m, parts = packing.outputs_per_cell, packing.parts
    assert m * parts >= packing.n_outputs > m * (parts - 1)
    assert packing.cell_bits <= plaintext_bits
    pair = st.tuples(
        st.integers(-packing.max_gradient, packing.max_gradient),
        st.integers(0, packing.max_hessian),
    )
    row = st.lists(pair, min_size=packing.n_outputs, max_size=packing.n_outputs)
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    values = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
    packed = wide.to_integers(packing.pack(values), signed=True)
    by_part = [row[part * m : (part + 1) * m] for row in rows for part in range(parts)]
    assert packed == [naive_cell(packing, pairs) for pairs in by_part]

    # cells of one row each, in `slots` slots, part after part, as a feature party sends them
    slots = packing.cells_per_ciphertext(plaintext_bits)
    plaintexts = [
        sum(
            packed[row * parts + part] << (packing.cell_bits * j)
            for j, row in enumerate(range(first, min(first + slots, len(rows))))
        )
        for part in range(parts)
        for first in range(0, len(rows), slots)
    ]
    words = wide.from_integers(plaintexts, plaintext_bits // 64 + 1, signed=True)
    assert np.array_equal(packing.unpack(words, len(rows), slots), values)


def test_outputs_that_do_not_exist_must_be_zero():
    packing = GradientPacking(10, 5, 5, n_outputs=3).fitting(30)
    assert (packing.parts, packing.outputs_per_cell) == (2, 2)
    values = np.array([[1, 2, 3, 4, -5, 5]])
    words = wide.resize(packing.pack(values), 1)
    assert np.array_equal(packing.unpack(words, 1, 1), values)
    words[1] = wide.add_constant(words[1:], 1 << packing.pair_bits)[0]
    with pytest.raises(CellRangeError, match="cell 0 of 1") as caught:
        packing.unpack(words, 1, 1)
    assert caught.value.position == 0
