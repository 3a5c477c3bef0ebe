import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from secureboost.gbdt.params import BoosterParams
from secureboost.gbdt.splitter import best_splits, leaf_value, score

MAX_BIN, SCALE = 6, 2.0**-10
LIMITS = [
    {},
    {"reg_lambda": 0.0, "min_child_weight": 0.0},
    {"gamma": 5.0},
    {"min_child_weight": 25.0},
    {"reg_alpha": 3.0},
    {"max_delta_step": 0.1},
    {"max_delta_step": 0.1, "reg_alpha": 3.0},
]


def random_sums(rng, n_nodes, n_bins, scale=2000):
    """Sums that add up to the same total in every column, as those of one set of rows do."""
    totals = np.stack(
        [rng.integers(-scale * 10, scale * 10, n_nodes), rng.integers(scale, 60 * scale, n_nodes)],
        axis=-1,
    )
    sums = np.zeros((n_nodes, len(n_bins), MAX_BIN + 1, 2), dtype=np.int64)
    for node in range(n_nodes):
        for f, bins in enumerate(n_bins):
            used = [*range(bins), MAX_BIN]
            share = rng.dirichlet(np.ones(len(used)))
            sums[node, f, used, 1] = (share * totals[node, 1]).astype(np.int64)
            sums[node, f, used, 0] = rng.integers(-scale * 3, scale * 3, len(used))
            sums[node, f, 0] += totals[node] - sums[node, f].sum(axis=0)
    return sums, totals


def brute_force(sums, total, n_bins, allowed, params):
    """All cuts with their gains, the best by the order of ties."""
    cuts = []
    for f, bins in enumerate(n_bins):
        for cut in range(bins):
            for side in (0, 1):
                if allowed is not None and not allowed[f, cut, side]:
                    continue
                left = sums[f, : cut + 1].sum(axis=0) + side * sums[f, MAX_BIN]
                (gl, hl), (gr, hr) = left * SCALE, (total - left) * SCALE
                g, h = total * SCALE
                if min(hl, hr) <= 0 or min(hl, hr) < params.min_child_weight:
                    continue
                gain = float(naive_score(gl, hl, params) + naive_score(gr, hr, params))
                gain -= naive_score(g, h, params)
                if gain > 1e-6 and gain >= params.gamma:
                    cuts.append((gain, -f, -cut, -side, *left.tolist()))
    if not cuts:
        return (0.0, -1, 0, 0, 0, 0)
    gain, f, cut, side, left_g, left_h = max(cuts)
    return (gain, -f, -cut, -side, left_g, left_h)


def naive_score(g, h, params):
    shrunk = np.sign(g) * max(abs(g) - params.reg_alpha, 0.0)
    if params.max_delta_step == 0:
        return shrunk * shrunk / (h + params.reg_lambda)
    w = np.clip(-shrunk / (h + params.reg_lambda), -params.max_delta_step, params.max_delta_step)
    return -(2.0 * g * w + (h + params.reg_lambda) * w * w)


@pytest.mark.kernels
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_best_splits_against_brute_force(limits, masked):
    params = BoosterParams(**limits)
    rng = np.random.default_rng(len(str(limits)) + masked)
    n_bins = np.array([6, 1, 3, 4], dtype=np.int32)
    sums, totals = random_sums(rng, 12, n_bins)
    sums[:6, 2] = sums[:6, 0]  # ties between columns (of the bins both have)
    sums[:6, 2, 0] += sums[:6, 2, 3:MAX_BIN].sum(axis=1)
    sums[:6, 2, 3:MAX_BIN] = 0
    sums[3:9, 3, 0] += sums[3:9, 3, MAX_BIN]  # no missing values: ties between the sides
    sums[3:9, 3, MAX_BIN] = 0
    allowed = rng.random((12, 4, MAX_BIN, 2)) < 0.5 if masked else None
    wanted = np.ones(12, dtype=bool)
    wanted[1] = False
    best = best_splits(sums, totals, wanted, n_bins, allowed, SCALE, params)
    assert best[1]["feature"] == -1
    found = 0
    for node in np.flatnonzero(wanted):
        mask = None if allowed is None else allowed[node]
        assert best[node].tolist() == brute_force(sums[node], totals[node], n_bins, mask, params)
        found += best[node]["feature"] >= 0
    assert found > 0


def one_cut(left, right, **limits):
    """Gain of the only cut between two sides' (G, H), None if it does not count."""
    sums = np.zeros((1, 1, MAX_BIN + 1, 2), dtype=np.int64)
    sums[0, 0, 0], sums[0, 0, 1] = np.array(left) / SCALE, np.array(right) / SCALE
    best = best_splits(
        sums,
        sums.sum(axis=(1, 2)),
        np.array([True]),
        np.array([2], dtype=np.int32),
        None,
        SCALE,
        BoosterParams(**limits),
    )[0]
    return float(best["gain"]) if best["feature"] >= 0 else None


def test_gain_of_a_known_cut():
    assert one_cut((-2, 3), (4, 1)) == pytest.approx(4 / 4 + 16 / 2 - 4 / 5)


def test_gamma_is_the_least_gain():
    gain = one_cut((-2, 3), (4, 1))
    assert one_cut((-2, 3), (4, 1), gamma=gain) == gain
    assert one_cut((-2, 3), (4, 1), gamma=np.nextafter(gain, np.inf)) is None


def test_min_child_weight_is_a_limit_of_both_sides():
    assert one_cut((-2, 3), (4, 2), min_child_weight=2) is not None
    assert one_cut((-2, 3), (4, 2), min_child_weight=2.001) is None
    assert one_cut((-2, 2), (4, 3), min_child_weight=2.001) is None


def test_a_side_without_hessian_does_not_count():
    assert one_cut((-2, 0), (4, 2), min_child_weight=0, reg_lambda=0) is None


def test_reg_alpha_takes_away_from_the_gradient():
    expected = 1.5**2 / 4 + 3.5**2 / 2 - 1.5**2 / 5
    assert one_cut((-2, 3), (4, 1), reg_alpha=0.5) == pytest.approx(expected)


def test_max_delta_step_clips_the_value_and_scores_it():
    def clipped(g, h, w):
        return -(2 * g * w + (h + 1) * w * w)

    expected = clipped(-2, 3, 0.5) + clipped(4, 1, -0.7) - clipped(2, 4, -0.4)
    assert one_cut((-2, 3), (4, 1), max_delta_step=0.7) == pytest.approx(expected)
    assert one_cut((-2, 3), (4, 1), max_delta_step=9) == pytest.approx(one_cut((-2, 3), (4, 1)))


def test_no_gain_is_no_cut():
    assert one_cut((2, 2), (2, 2), reg_lambda=0) is None


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize(("g", "h"), [(3.7, 30.0), (-12.0, 40.0), (0.2, 25.0)])
def test_leaf_value_minimises_the_loss(g, h, limits):
    params = BoosterParams(**limits)
    bound = params.max_delta_step or 100.0
    found = minimize_scalar(
        lambda w: g * w + (h + params.reg_lambda) * w * w / 2 + params.reg_alpha * abs(w),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert leaf_value(g, h, params) == pytest.approx(found.x, abs=1e-6)


def test_leaf_value_without_enough_hessian_is_zero():
    assert leaf_value(2.0, 0.5, BoosterParams(min_child_weight=1)) == 0.0
    assert leaf_value(2.0, 0.0, BoosterParams(min_child_weight=0, reg_lambda=0)) == 0.0
    assert score(2.0, 0.0, 0.0, 0.0, 0.0) == 0.0
