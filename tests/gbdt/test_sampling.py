"""Draws: shares, independence of who owns what, and GOSS against the LightGBM paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.sampling import (
    draw_columns,
    draw_features,
    draw_rows,
    goss,
    round_draws,
    sample_rows,
)


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0.001, 1.0))
def test_rows_are_drawn_without_replacement(n_rows, share):
    mask = draw_rows(np.random.default_rng(0), n_rows, share)
    assert mask.sum() == max(1, int(share * n_rows))


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.floats(0.01, 1.0))
def test_columns_are_drawn_over_all_owners(counts, share):
    total = sum(counts)
    features = draw_features(np.random.default_rng(7), counts, share)
    (pooled,) = draw_features(np.random.default_rng(7), [total], share)
    ends = np.cumsum(counts)
    joined = [f + end - n for f, end, n in zip(features, ends, counts, strict=True)]
    assert np.concatenate(joined).tolist() == pooled.tolist()
    assert len(pooled) == (max(1, int(share * total)) if total else 0)


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_round_draws_the_same_whenever_it_comes(seed, number):
    one, two = (round_draws(seed, number).random(3) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert one.tolist() != round_draws(seed, number + 1).random(3).tolist()
    assert one.tolist() != round_draws(seed + 1, number).random(3).tolist()


@given(st.integers(0, 30), st.floats(0.01, 1.0))
def test_columns_of_a_share(n, share):
    columns = 3 * np.arange(n)
    drawn = draw_columns(np.random.default_rng(1), columns, share)
    assert np.all(np.diff(drawn) > 0)
    assert set(drawn.tolist()) <= set(columns.tolist())
    assert len(drawn) == (min(n, max(1, int(share * n))) if n else 0)


def reference_goss(gradient, top_rate, other_rate, choose):
    """Algorithm 2 of the LightGBM paper, line by line, over Python lists.

    Returns used rows and their weights; `choose` is RandomPick.
    """
    n = len(gradient)
    fact = (1 - top_rate) / other_rate
    top_n, rand_n = int(top_rate * n), int(other_rate * n)
    w = [1.0] * n
    ordered = sorted(range(n), key=lambda i: -abs(gradient[i]))
    top_set = ordered[:top_n]
    rand_set = choose(ordered[top_n:], rand_n)
    for i in rand_set:
        w[i] *= fact
    return sorted([*top_set, *rand_set]), w


@given(
    st.lists(st.floats(-1, 1), min_size=20, max_size=80),
    st.sampled_from([(0.2, 0.1), (0.1, 0.5), (0.5, 0.5), (0.0, 0.3)]),
    st.integers(0, 5),
)
def test_goss_is_the_papers(values, rates, seed):
    gradient = np.array(values)
    large, drawn = goss(np.random.default_rng(seed), gradient, *rates)
    used, weights = reference_goss(
        values, *rates, choose=lambda rest, count: [i for i in drawn.tolist() if i in rest][:count]
    )
    assert sorted([*large.tolist(), *drawn.tolist()]) == used

    params = BoosterParams(sampling_method="goss", top_rate=rates[0], other_rate=rates[1])
    g, h = gradient.copy(), np.ones(len(gradient))
    mask = sample_rows(np.random.default_rng(seed), g, h, params)
    assert np.flatnonzero(mask).tolist() == used
    assert g.tolist() == (gradient * weights).tolist()
    assert h.tolist() == weights


def test_goss_keeps_large_gradients_and_not_small_ones():
    """A sampler that keeps the small ones passes most other tests."""
    gradient = np.concatenate([np.full(80, 0.01), np.full(20, -0.9)])
    large, drawn = goss(np.random.default_rng(0), gradient, 0.2, 0.1)
    assert large.tolist() == list(range(80, 100))
    assert set(drawn.tolist()) <= set(range(80))


def test_goss_is_unbiased():
    rng = np.random.default_rng(5)
    gradient = rng.normal(size=1000)
    params = BoosterParams(sampling_method="goss", top_rate=0.3, other_rate=0.2)
    sums = []
    for seed in range(400):
        g, h = gradient.copy(), np.ones(1000)
        mask = sample_rows(np.random.default_rng(seed), g, h, params)
        sums.append((g[mask].sum(), h[mask].sum()))
    mean, error = np.mean(sums, axis=0), np.std(sums, axis=0) / 20
    assert abs(mean[0] - gradient.sum()) < 4 * error[0]
    assert mean[1] == pytest.approx(1000)


def test_goss_adds_outputs_up():
    gradient = np.array([[0.5, -0.5], [0.9, 0.0], [0.1, 0.1], [0.0, 0.0]])
    large, _ = goss(np.random.default_rng(0), gradient, 0.25, 0.25)
    assert large.tolist() == [0]
