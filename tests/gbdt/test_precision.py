"""Rounding moves sums, leaf values, gains and scores by no more than is stated."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.boosting import train
from support.tables import random_table

from crypto.fixed_point import FixedPoint, Quantiser
from secureboost.binning import BinMapper
from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.precision import (
    CURVATURE,
    HESSIAN_ERROR,
    LEAF_ERROR,
    ROUNDING_ERROR,
    SCORE_ERROR,
    STEPS,
)
from secureboost.objectives import BinaryLogistic

LAMBDA = Fraction(1)


@st.composite
def leaves(draw):
    """Gradients and hessians of a leaf: scores with few values, so that errors can add up."""
    scores = np.array(draw(st.lists(st.floats(-6, 6), min_size=1, max_size=20)))
    raw = np.repeat(scores, draw(st.integers(1, 20)))
    y = np.resize(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=20)), len(raw))
    return BinaryLogistic().gradients(raw, y, np.ones(len(raw)))


def exact_sums(gradients):
    return [sum(map(Fraction, part.tolist())) for part in gradients]


def rounded_sums(gradients, quantise):
    sums = []
    for part, rounded in zip(gradients, quantise, strict=True):
        integers, bits = rounded(part)
        sums.append(int(integers.sum()) * Fraction(2) ** -bits)
    return sums


def fixed(bits):
    """The same unit for everything."""
    return (lambda part: (FixedPoint(bits).encode(part), bits),) * 2


def chosen(n_rows):
    """What the product takes."""
    return Quantiser(n_rows, ROUNDING_ERROR), Quantiser(n_rows, HESSIAN_ERROR)


def value(sums):
    return -sums[0] / (sums[1] + LAMBDA)


def score(sums):
    return sums[0] ** 2 / (sums[1] + LAMBDA)


@given(leaves(), st.integers(4, 40))
def test_errors_stay_within_their_bounds(gradients, bits):
    n_rows, half_unit = len(gradients[0]), Fraction(2) ** -(bits + 1)
    exact, rounded = exact_sums(gradients), rounded_sums(gradients, fixed(bits))
    for one, other in zip(exact, rounded, strict=True):
        assert abs(one - other) <= n_rows * half_unit
    moved = abs(value(exact) - value(rounded))
    hessian = rounded[1] + LAMBDA
    assert moved <= half_unit * (1 + abs(value(exact))) * n_rows / hessian
    largest = max(abs(value(exact)), abs(value(rounded)))
    assert abs(score(exact) - score(rounded)) <= n_rows * half_unit * (2 * largest + largest**2)


@given(leaves())
def test_curved_leaves_have_the_promised_values(gradients):
    n_rows = len(gradients[0])
    exact, rounded = exact_sums(gradients), rounded_sums(gradients, chosen(n_rows))
    error = abs(value(exact) - value(rounded))
    curvature = (rounded[1] + LAMBDA) / (n_rows * (1 + abs(value(exact))))
    assert error * curvature <= Fraction(LEAF_ERROR) * Fraction(CURVATURE)


def test_the_stated_error_takes_thirty_bits():
    assert pytest.approx(SCORE_ERROR) == STEPS * LEAF_ERROR == STEPS / CURVATURE * ROUNDING_ERROR
    for n_rows in (1, 30_000, 2**31 - 1):
        assert FixedPoint.for_bound(1.0, n_rows, ROUNDING_ERROR).fraction_bits == 30
        assert FixedPoint.for_bound(0.25, n_rows, HESSIAN_ERROR).fraction_bits == 30


@given(
    st.lists(st.floats(-1e300, 1e300).filter(lambda x: x == 0 or abs(x) > 1e-100), min_size=1),
    st.sampled_from([ROUNDING_ERROR, HESSIAN_ERROR, 0.5, 1e-3]),
)
def test_no_integer_exceeds_what_widths_are_proven_for(values, error):
    largest = max(map(abs, values))
    if not 1e-100 < largest < 1e100 and largest:
        return
    quantise = Quantiser(10, error)
    integers, bits = quantise(np.array(values))
    assert np.abs(integers).max() <= quantise.max_integer
    for value, integer in zip(values, integers.tolist(), strict=True):
        off = abs(Fraction(value) - integer * Fraction(2) ** -bits)
        assert off <= Fraction(largest) * Fraction(error)


def leaf_of_row(tree, binned, max_bin):
    """Walk the rows down a tree, one by one."""
    found = []
    for bins in binned.T:
        node = 0
        while tree["left"][node] >= 0:
            b = bins[tree["feature"][node]]
            missing_left = b == max_bin and tree["missing_left"][node]
            goes_left = b <= tree["bin"][node] or missing_left
            node = tree["left" if goes_left else "right"][node]
        found.append(node)
    return np.array(found)


def test_scores_are_those_of_float64_where_the_trees_are():
    """The same trees, their leaves filled in float64 from the first tree to the last."""
    table, params = random_table(5, 300), BoosterParams(n_estimators=40, max_depth=4)
    mapper, objective = BinMapper.fit(table.X, params.max_bin), BinaryLogistic()
    kept = []
    ensemble = train(
        table,
        params,
        quantise=chosen(len(table.y)),
        on_round=lambda model: kept.append(model.raw.copy()),
    )
    binned, exact = mapper.transform(table.X), np.full(len(table.y), ensemble.base_score[0])
    worst = 0.0
    for tree, raw in zip(ensemble.trees, kept, strict=True):
        gradient, hessian = objective.gradients(exact, table.y, table.weight)
        leaf_of = leaf_of_row(tree, binned, params.max_bin)
        for leaf in np.unique(leaf_of):
            rows = leaf_of == leaf
            weight = -gradient[rows].sum() / (hessian[rows].sum() + params.reg_lambda)
            exact[rows] += params.learning_rate * weight
        worst = max(worst, np.abs(raw - exact).max())
    assert 0.0 < worst <= SCORE_ERROR
