import numpy as np
import pytest

from secureboost.objectives import MIN_HESSIAN, OBJECTIVES, BinaryLogistic

RAW = np.linspace(-6, 6, 25)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_derivatives_are_those_of_the_loss(name):
    objective = OBJECTIVES[name]()
    weight = np.linspace(0.5, 2, len(RAW))
    y = np.arange(len(RAW)) % 2.0
    g, h = objective.gradients(RAW, y, weight)
    step = 1e-5

    def loss(raw, i):
        one = slice(i, i + 1)
        return objective.loss(raw[one], y[one], weight[one]) * weight[i]

    for i in range(len(RAW)):
        numeric = (loss(RAW + step, i) - loss(RAW - step, i)) / (2 * step)
        assert g[i] == pytest.approx(numeric, abs=1e-8)
    g_up, _ = objective.gradients(RAW + step, y, weight)
    np.testing.assert_allclose(h, (g_up - g) / step, atol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_bounds_hold_at_the_extremes(name):
    objective = OBJECTIVES[name]()
    raw = np.array([-1e5, -800.0, -40.0, 0.0, 40.0, 800.0, 1e5] * 2)
    y = np.repeat([0.0, 1.0], 7)
    g, h = objective.gradients(raw, y, np.ones(14))
    assert np.all(np.abs(g) <= objective.max_abs_gradient)
    assert np.all((h >= MIN_HESSIAN) & (h <= objective.max_hessian))
    assert g.dtype == h.dtype == np.float64


def test_base_score_is_the_weighted_prior():
    objective = BinaryLogistic()
    raw = objective.base_score(np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.0]))
    assert objective.predict(np.array([raw]))[0] == pytest.approx(0.75)
    assert objective.raw_score(0.5) == 0.0


def test_refusals():
    objective = BinaryLogistic()
    for base_score in (0.0, 1.0, -3.0):
        with pytest.raises(ValueError, match=f"base_score={base_score}: binary:logistic takes"):
            objective.raw_score(base_score)
    with pytest.raises(ValueError, match="one of the two classes has no rows of positive weight"):
        objective.base_score(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
