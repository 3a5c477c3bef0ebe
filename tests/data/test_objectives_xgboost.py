"""Objectives against XGBoost itself: gradients, hessians and intercepts."""

import json

import numpy as np
import pytest

from secureboost.objectives import make_objective

xgboost = pytest.importorskip("xgboost")

DRAWS = np.random.default_rng(4)
RAW, WEIGHT = DRAWS.normal(size=12), DRAWS.uniform(0.2, 3, 12)
LABELS = {
    "binary:logistic": DRAWS.integers(0, 2, 12),
    "reg:squarederror": DRAWS.normal(size=12),
    "reg:pseudohubererror": DRAWS.normal(size=12),
    "count:poisson": DRAWS.poisson(2, 12),
    "reg:gamma": DRAWS.gamma(2, 1, 12),
    "reg:tweedie": DRAWS.gamma(2, 1, 12) * DRAWS.integers(0, 2, 12),
    "multi:softprob": np.arange(12) % 3,
}
PENALTY = 1e6
"""Keeps leaf values away from `max_delta_step`, which Poisson regression has by default."""

SETTINGS = [
    *((name, {}) for name in LABELS),
    ("reg:pseudohubererror", {"huber_slope": 0.4}),
    ("count:poisson", {"max_delta_step": 0.2}),
    ("reg:tweedie", {"tweedie_variance_power": 1.15}),
]


def xgboost_gradients(params, raw, y, weight):
    """Of one row: the value and cover of a tree that is a single leaf."""
    row = xgboost.DMatrix(np.zeros((1, 1)), label=[y], weight=[weight])
    row.set_base_margin(raw)
    params = {**params, "eta": 1.0, "lambda": PENALTY, "min_child_weight": 0, "base_score": 0.5}
    params["nthread"] = 1
    trees = xgboost.train(params, row, 1).get_dump(with_stats=True, dump_format="json")
    leaves = [json.loads(tree) for tree in trees]
    hessian = np.array([leaf["cover"] for leaf in leaves])
    return -np.array([leaf["leaf"] for leaf in leaves]) * (hessian + PENALTY), hessian


@pytest.mark.parametrize(("name", "parameters"), SETTINGS)
def test_gradients_are_those_of_xgboost(name, parameters):
    objective = make_objective(name, n_classes=3 if name == "multi:softprob" else 2, **parameters)
    y = LABELS[name].astype(np.float64)
    raw = np.column_stack([RAW, RAW[::-1], 0.5 * RAW]) if objective.n_outputs == 3 else RAW
    params = {"objective": name, **parameters}
    if objective.n_outputs == 3:
        params["num_class"] = 3
    gradient, hessian = objective.gradients(raw, y, WEIGHT)
    for i in range(len(y)):
        theirs = xgboost_gradients(params, np.atleast_2d(raw[i]), y[i], WEIGHT[i])
        np.testing.assert_allclose(gradient[i], np.squeeze(theirs[0]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(hessian[i], np.squeeze(theirs[1]), rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in LABELS if name != "reg:pseudohubererror"])
def test_intercepts_are_those_of_xgboost(name):
    """But for the pseudo-Huber error, where XGBoost's is one Newton step and ours the minimum."""
    if xgboost.__version__ < "3.1" and name == "multi:softprob":
        pytest.skip("every class began with 0.5")
    y = LABELS[name].astype(np.float64)
    objective = make_objective(name, n_classes=3 if name == "multi:softprob" else 2)
    params = {"objective": name, "eta": 0.0}
    if objective.n_outputs == 3:
        params["num_class"] = 3
    table = xgboost.DMatrix(np.zeros((12, 1)), label=y, weight=WEIGHT)
    margin = xgboost.train(params, table, 1).predict(table, output_margin=True)[0]
    ours = objective.base_score(y, WEIGHT)
    np.testing.assert_allclose(ours, np.atleast_1d(margin), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("step", [None, 0.0, 0.3])
def test_the_two_meanings_of_max_delta_step(step):
    """One parameter in XGBoost: of the hessian, and of the largest leaf value."""
    y = np.repeat([0.0, 30.0], 6)
    table = xgboost.DMatrix(y[:, np.newaxis], label=y)
    params = {"objective": "count:poisson", "eta": 1.0, "lambda": 0.0, "base_score": 1.0}
    given = {} if step is None else {"max_delta_step": step}
    margin = xgboost.train({**params, **given}, table, 1).predict(table, output_margin=True)

    objective = make_objective("count:poisson", **given)
    limit = objective.default_max_delta_step if step is None else step
    gradient, hessian = objective.gradients(np.zeros(12), y, np.ones(12))
    values = -gradient / hessian
    if limit > 0.0:
        values = np.clip(values, -limit, limit)
    np.testing.assert_allclose(margin, values, rtol=1e-5)
