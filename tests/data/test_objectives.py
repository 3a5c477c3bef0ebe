"""Objectives: derivatives against their loss, the best constant, domains, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureboost.objectives import (
    MIN_HESSIAN,
    OBJECTIVES,
    BinaryLogistic,
    Gamma,
    Poisson,
    PseudoHuberError,
    Softprob,
    SquaredError,
    Tweedie,
    make_objective,
)

ANY = st.floats(-5, 5)
AMOUNT = st.floats(0.01, 20)
COUNT = st.integers(0, 9).map(float)
CASES = {
    "binary:logistic": (BinaryLogistic(), st.sampled_from([0.0, 1.0])),
    "reg:squarederror": (SquaredError(), ANY),
    "reg:pseudohubererror": (PseudoHuberError(), ANY),
    "slope": (PseudoHuberError(huber_slope=0.3), ANY),
    "count:poisson": (Poisson(), COUNT),
    "step": (Poisson(max_delta_step=0.0), COUNT),
    "reg:gamma": (Gamma(), AMOUNT),
    "reg:tweedie": (Tweedie(), AMOUNT | st.just(0.0)),
    "power": (Tweedie(tweedie_variance_power=1.1), AMOUNT | st.just(0.0)),
    "multi:softprob": (Softprob(3), st.sampled_from([0.0, 1.0, 2.0])),
}
CASE = pytest.mark.parametrize("case", CASES)
WEIGHT = st.floats(0.1, 4)


def rows_of(data, objective, label, least=1):
    """Raw scores, labels and weights of some rows."""
    n = data.draw(st.integers(least, 6))
    column = st.lists(st.floats(-3, 3), min_size=n, max_size=n)
    raw = np.array([data.draw(column) for _ in range(objective.n_outputs)]).T
    y = np.array(data.draw(st.lists(label, min_size=n, max_size=n)))
    weight = np.array(data.draw(st.lists(WEIGHT, min_size=n, max_size=n)))
    return (raw[:, 0] if objective.n_outputs == 1 else raw), y, weight


def naive_derivative(function, raw, row, output):
    step = np.zeros((len(raw), raw.size // len(raw)))
    step[row, output] = 1e-5
    step = step.reshape(raw.shape)
    return (function(raw + step) - function(raw - step)) / 2e-5


def test_every_objective_is_tested():
    assert OBJECTIVES.keys() <= CASES.keys()
    assert [CASES[name][0].name for name in OBJECTIVES] == list(OBJECTIVES)


@CASE
@given(data=st.data())
def test_gradients_are_those_of_the_loss(case, data):
    objective, label = CASES[case]
    raw, y, weight = rows_of(data, objective, label)
    gradient, _ = objective.gradients(raw, y, weight)
    assert gradient.shape == raw.shape
    for place in np.ndindex(gradient.reshape(len(y), -1).shape):
        naive = naive_derivative(lambda scores: objective.loss(scores, y, weight), raw, *place)
        expected = pytest.approx(naive * weight.sum(), rel=1e-4, abs=1e-5)
        assert gradient.reshape(len(y), -1)[place] == expected


@CASE
@given(data=st.data())
def test_hessians_are_the_derivatives_of_the_gradients(case, data):
    """But for the two factors that XGBoost damps steps by."""
    objective, label = CASES[case]
    factor = {"count:poisson": np.exp(getattr(objective, "max_delta_step", 0)), "multi:softprob": 2}
    raw, y, weight = rows_of(data, objective, label)
    _, hessian = objective.gradients(raw, y, weight)
    assert hessian.shape == raw.shape
    for place in np.ndindex(hessian.reshape(len(y), -1).shape):

        def own_gradient(scores, place=place):
            return objective.gradients(scores, y, weight)[0].reshape(len(y), -1)[place]

        naive = naive_derivative(own_gradient, raw, *place)
        expected = pytest.approx(naive * factor.get(objective.name, 1), rel=1e-4, abs=1e-6)
        assert hessian.reshape(len(y), -1)[place] == expected


@CASE
@given(data=st.data())
def test_the_base_score_is_the_best_constant(case, data):
    objective, label = CASES[case]
    _, y, weight = rows_of(data, objective, label, least=2)
    k = objective.n_outputs
    if objective.task != "regression":
        y = np.append(y, np.arange(max(2, k)))
        weight = np.append(weight, np.ones(max(2, k)))
    elif not y.any():
        y[0] = 1.0
    best = objective.base_score(y, weight)
    assert best.shape == (k,)

    def loss(constant):
        raw = np.tile(constant, (len(y), 1))
        return objective.loss(raw if k > 1 else raw[:, 0], y, weight)

    for output in range(k):
        for step in (-1e-2, 1e-2):
            other = best.copy()
            other[output] += step
            assert loss(best) <= loss(other) + 1e-12


@CASE
def test_extremes_stay_finite(case):
    objective, _ = CASES[case]
    scores = np.array([-1e300, -1e5, -800.0, -89.0, 0.0, 89.0, 800.0, 1e5, 1e300])
    label = {"binary": [0.0, 1.0], "multiclass": [0.0, 2.0]}.get(objective.task, [1e-45, 3e38])
    if objective.n_outputs > 1:
        scores = np.column_stack([scores, np.zeros(len(scores)), -scores])
    raw = np.concatenate([scores, scores])
    y = np.repeat(label, len(scores))
    objective.check_labels(y)
    gradient, hessian = objective.gradients(raw, y, np.ones(len(y)))
    for array in (gradient, hessian, objective.predict(raw)):
        assert np.isfinite(array).all()
        assert array.dtype == np.float64
    assert (hessian >= 0.0).all()
    if objective.task != "regression":
        assert hessian.min() == MIN_HESSIAN


@CASE
def test_weights_multiply(case):
    objective, _ = CASES[case]
    raw = np.linspace(-1, 1, 4 * objective.n_outputs).reshape(4, -1)
    raw = raw[:, 0] if objective.n_outputs == 1 else raw
    y = np.array([1.0, 0.0, 1.0, 1.0])
    y += objective.name == "reg:gamma"
    weight = np.array([0.0, 2.0, 1.0, 0.5])
    plain = objective.gradients(raw, y, np.ones(4))
    for array, expected in zip(objective.gradients(raw, y, weight), plain, strict=True):
        assert np.array_equal(array, (expected.T * weight).T)


@CASE
@given(prediction=st.floats(0.001, 0.999))
def test_the_link_is_the_inverse_of_predict(case, prediction):
    objective, _ = CASES[case]
    if objective.n_outputs > 1:
        alike = np.full((1, objective.n_outputs), objective.raw_score(prediction))
        np.testing.assert_allclose(objective.predict(alike), 1 / objective.n_outputs)
    else:
        raw = np.array([objective.raw_score(prediction)])
        assert objective.predict(raw)[0] == pytest.approx(prediction)


def test_base_scores():
    y, weight = np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.0])
    assert BinaryLogistic().predict(BinaryLogistic().base_score(y, weight)) == pytest.approx(0.75)
    assert SquaredError().base_score(y, weight) == pytest.approx([0.75])
    assert Poisson().base_score(y, weight) == pytest.approx([np.log(0.75)])
    shares = Softprob(2).base_score(y, weight)
    assert shares.sum() == pytest.approx(0.0)
    assert Softprob(2).predict(shares[np.newaxis])[0] == pytest.approx([0.25, 0.75])


def test_the_huber_constant_of_distant_labels():
    """Where XGBoost's single Newton step from 0 leaves the float range."""
    y = np.array([1e6, 1e6 + 1, 1e6 + 2, 2e6])
    best = PseudoHuberError().base_score(y, np.ones(4))
    assert 1e6 + 1 < best[0] < 1e6 + 2


@pytest.mark.parametrize(
    ("case", "labels", "message"),
    [
        ("binary:logistic", [0, 2, 1], "label must be 0 or 1 for binary:logistic; it is not in 1 "
         "row (data row 2)"),
        ("reg:gamma", [0, 1, -1], "label must be positive for reg:gamma; it is not in 2 rows (data "
         "rows 1 and 3)"),
        ("count:poisson", [0, 1, -7], "label must be non-negative for count:poisson"),
        ("reg:tweedie", [-7, 1, 0], "label must be non-negative for reg:tweedie"),
        ("multi:softprob", [0, 7, 0.5], "in the range of [0, 3) for multi:softprob; it is not in"),
        ("reg:squarederror", [1, np.nan, 7e38], "finite number within float32's range (about "
         "3.4e38); it is not in 2 rows (data rows 2 and 3)"),
        ("reg:pseudohubererror", [1, -np.inf, 0], "not in 1 row (data row 2). Correct or drop"),
    ],
)  # fmt: skip
def test_labels_outside_the_domain(case, labels, message):
    with pytest.raises(ValueError) as caught:
        CASES[case][0].check_labels(np.array(labels, dtype=np.float64))
    assert message in str(caught.value)
    assert "7" not in str(caught.value)


@pytest.mark.parametrize(
    ("case", "labels", "weight", "message"),
    [
        ("binary:logistic", [0, 1], [1, 0], "one of the two classes has no rows of positive"),
        ("multi:softprob", [0, 0, 2], [1, 1, 0], "2 of the 3 classes have no rows of positive"),
        ("count:poisson", [0, 3], [1, 0], "every label of positive weight is zero; count:poisson"),
        ("reg:tweedie", [0, 0], [1, 1], "every label of positive weight is zero; reg:tweedie"),
    ],
)
def test_labels_without_a_constant(case, labels, weight, message):
    with pytest.raises(ValueError, match=message):
        CASES[case][0].base_score(np.array(labels, np.float64), np.array(weight, np.float64))


@pytest.mark.parametrize(
    ("case", "base_score"),
    [
        ("binary:logistic", 0.0), ("binary:logistic", 1.0), ("binary:logistic", -3.0),
        ("reg:gamma", 0.0), ("count:poisson", -1.0), ("reg:tweedie", 0.0),
    ],
)  # fmt: skip
def test_base_scores_that_are_no_predictions(case, base_score):
    with pytest.raises(ValueError, match=f"base_score={base_score}: {case} takes a"):
        CASES[case][0].raw_score(base_score)


def test_making_by_name():
    for name, kind in OBJECTIVES.items():
        assert isinstance(make_objective(name), kind)
    assert make_objective("reg:tweedie", tweedie_variance_power=1.2) == Tweedie(1.2)
    assert make_objective("multi:softprob", n_classes=5).n_outputs == 5
    assert make_objective("reg:gamma", n_classes=1) == Gamma()
    assert Poisson.default_max_delta_step == Poisson().max_delta_step == 0.7
    assert {kind.default_max_delta_step for kind in OBJECTIVES.values()} == {0.0, 0.7}


def test_parameters_are_those_that_differ():
    assert Tweedie().parameters == Softprob(4).parameters == {}
    for objective in (Tweedie(1.25), Poisson(0.1), PseudoHuberError(3.0)):
        assert make_objective(objective.name, **objective.parameters) == objective
        assert len(objective.parameters) == 1


@pytest.mark.parametrize(
    ("spec", "parameters", "message"),
    [
        ("reg:gama", {}, "objective='reg:gama' is unknown. Did you mean 'reg:gamma'? Known are"),
        (None, {}, "objective=None is unknown"),
        ("reg:tweedie", {"tweedie_variance_powr": 1.2}, "tweedie_variance_powr is not a parameter "
         "of objective reg:tweedie; it takes tweedie_variance_power. Did you mean"),
        ("reg:gamma", {"huber_slope": 1}, "huber_slope is not a parameter of objective reg:gamma; "
         "it takes none."),
        ("reg:tweedie", {"tweedie_variance_power": 2}, "tweedie_variance_power=2: reg:tweedie "
         "takes a number above 1 and below 2"),
        ("reg:tweedie", {"tweedie_variance_power": "1.5"}, "tweedie_variance_power='1.5' is not a "
         "finite number"),
        ("reg:pseudohubererror", {"huber_slope": 0}, "huber_slope=0: reg:pseudohubererror takes a "
         "number at least 1e-30 and at most 1e+30"),
        ("count:poisson", {"max_delta_step": -1}, "max_delta_step=-1: count:poisson takes a number "
         "at least 0"),
        ("binary:logistic", {"n_classes": 4}, "objective='binary:logistic' is for 2 classes, but y "
         "has 4; multi:softprob is for several"),
        ("multi:softprob", {"n_classes": 1}, "objective='multi:softprob' needs 2 classes or more"),
    ],
)  # fmt: skip
def test_making_what_cannot_be_made(spec, parameters, message):
    with pytest.raises(ValueError) as caught:
        make_objective(spec, **parameters)
    assert message in str(caught.value)


def test_objectives_can_be_copied():
    for objective, _ in CASES.values():
        assert pickle.loads(pickle.dumps(objective)) == copy.deepcopy(objective) == objective  # noqa: S301


# The user's own functions


def squared(y_true, y_pred):
    return y_pred - y_true, np.ones_like(y_true)


def weighted(y_true, y_pred, *, sample_weight=None):
    return (y_pred - y_true) * sample_weight, sample_weight


RAW, Y, ONES = np.array([0.5, 1.0, 2.0]), np.array([0.0, 1.0, 0.0]), np.ones(3)


def test_a_function_as_xgboost_takes_it():
    own = make_objective(squared, n_classes=1)
    assert (own.name, own.task, own.n_outputs, own.default_metric) == (
        "custom", "regression", 1, "rmse",
    )  # fmt: skip
    for got, expected in zip(
        own.gradients(RAW, Y, ONES), SquaredError().gradients(RAW, Y, ONES), strict=True
    ):
        assert np.array_equal(got, expected)
    weight = np.array([1.0, 2.0, 0.0])
    for got, expected in zip(
        make_objective(weighted).gradients(RAW, Y, weight),
        SquaredError().gradients(RAW, Y, weight),
        strict=True,
    ):
        assert np.array_equal(got, expected)
    assert own.predict(RAW) is RAW
    assert own.raw_score(3) == 3.0
    assert np.array_equal(own.base_score(Y, ONES), [0.0])
    assert np.isnan(own.loss(RAW, Y, ONES))


def test_a_function_of_several_classes():
    def softprob(y_true, y_pred):
        return Softprob(3).gradients(y_pred, y_true, np.ones(len(y_true)))

    own = make_objective(softprob, n_classes=3)
    assert (own.task, own.n_outputs, own.default_metric) == ("multiclass", 3, "merror")
    raw = np.arange(9.0).reshape(3, 3)
    gradient, hessian = own.gradients(raw, np.arange(3.0), ONES)
    assert gradient.shape == hessian.shape == (3, 3)
    assert make_objective(squared, n_classes=2).task == "binary"


def test_a_function_gets_copies():
    def spoils(y_true, y_pred):
        y_pred -= y_true
        y_true[:] = 9
        return y_pred, [[1.0], [1.0], [1]]

    raw, y = RAW.copy(), Y.copy()
    gradient, hessian = make_objective(spoils).gradients(raw, y, ONES)
    assert np.array_equal(raw, RAW)
    assert np.array_equal(y, Y)
    assert gradient.shape == hessian.shape == (3,)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "must return (gradient, hessian)"),
        ((RAW,), "must return (gradient, hessian)"),
        ((RAW[:2], ONES), "the gradient has shape (2,), but the raw scores have (3,)"),
        ((RAW, np.ones((3, 3))), "the hessian has shape (3, 3), but the raw scores have (3,)"),
        (([0, np.nan, np.inf], ONES), "the gradient is not finite in 2 rows (data rows 2 and 3)"),
        ((RAW, [1, 1, -1e-9]), "the hessian is negative in 1 row (data row 3); clip it"),
    ],
)
def test_results_that_cannot_be_used(result, message):
    def own(y_true, y_pred):
        return result

    with pytest.raises(ValueError) as caught:
        make_objective(own).gradients(RAW, Y, ONES)
    assert f"objective=own{'' if message.startswith('must') else ':'} {message}" in str(
        caught.value
    )


def test_functions_that_cannot_be_called():
    for function in (lambda y: y, lambda y, p, z: y, int):
        with pytest.raises(ValueError, match=r"callable as f\(y_true, y_pred\)"):
            make_objective(function)
    with pytest.raises(ValueError, match="huber_slope is not a parameter of objective a function"):
        make_objective(squared, huber_slope=1.0)
    with pytest.raises(ValueError, match="Custom objective doesn't have the `sample_weight` param"):
        make_objective(squared).gradients(RAW, Y, 2 * ONES)
