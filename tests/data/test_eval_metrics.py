"""Metrics of evaluation rows against scikit-learn, XGBoost and plain definitions."""

import copy
import math
import pickle

import numpy as np
import pytest
from sklearn import metrics as sklearn

from secureboost.eval_metrics import METRICS, EvalMetric, get_metric
from secureboost.objectives import OBJECTIVES, make_objective

N = 400
BINARY = make_objective("binary:logistic")
MULTI = make_objective("multi:softprob", n_classes=4)
POISSON = make_objective("count:poisson")
GAMMA = make_objective("reg:gamma")
TWEEDIE = make_objective("reg:tweedie", tweedie_variance_power=1.3)
HUBER = make_objective("reg:pseudohubererror", huber_slope=0.4)
SQUARED = make_objective("reg:squarederror")


def rows_of(objective, seed):
    """Raw scores (of one output with ties), labels and weights, some of them zero."""
    draws = np.random.default_rng(seed)
    # of several outputs without ties: which probabilities are equal would depend on the rounding
    raw = draws.normal(size=(N, objective.n_outputs)).round(1 if objective.n_outputs == 1 else 9)
    y = {
        "binary": draws.integers(0, 2, N),
        "multiclass": draws.integers(0, max(objective.n_outputs, 2), N),
        "regression": draws.gamma(2, 1, N),
    }[objective.task]
    if objective is POISSON:
        y = draws.poisson(1.5, N)
    if objective is TWEEDIE:
        y = y * draws.integers(0, 2, N)
    weight = draws.uniform(0, 3, N) * draws.integers(0, 4, N)
    return raw if objective.n_outputs > 1 else raw[:, 0], y.astype(np.float64), weight


def ks_by_definition(y, p, sample_weight):
    ones, zeros = sample_weight * (y == 1), sample_weight * (y == 0)
    return max(
        abs(ones[p <= cut].sum() / ones.sum() - zeros[p <= cut].sum() / zeros.sum())
        for cut in np.unique(p)
    )


def auc(y, p, sample_weight):
    return sklearn.roc_auc_score(y, p, sample_weight=sample_weight)


def multi_auc(y, p, sample_weight):
    """As scikit-learn's one-vs-rest, but rows weigh in the classes' shares, as in XGBoost."""
    shares = [sample_weight[y == k].sum() for k in range(p.shape[1])]
    return np.average([auc(y == k, p[:, k], sample_weight) for k in range(4)], weights=shares)


REFERENCES = [
    ("auc", BINARY, auc),
    ("auc", MULTI, multi_auc),
    ("gini", BINARY, lambda y, p, sample_weight: 2 * auc(y, p, sample_weight) - 1),
    ("ks", BINARY, ks_by_definition),
    ("logloss", BINARY, sklearn.log_loss),
    ("mlogloss", MULTI, sklearn.log_loss),
    ("error", BINARY, lambda y, p, **w: sklearn.zero_one_loss(y, p > 0.5, **w)),
    ("error@0.3", BINARY, lambda y, p, **w: sklearn.zero_one_loss(y, p > 0.3, **w)),
    ("merror", MULTI, lambda y, p, **w: sklearn.zero_one_loss(y, p.argmax(axis=1), **w)),
    ("rmse", SQUARED, sklearn.root_mean_squared_error),
    ("mae", SQUARED, sklearn.mean_absolute_error),
    ("mae", GAMMA, sklearn.mean_absolute_error),
    ("poisson-deviance", POISSON, sklearn.mean_poisson_deviance),
    ("gamma-deviance", GAMMA, sklearn.mean_gamma_deviance),
    (
        "tweedie-deviance",
        TWEEDIE,
        lambda y, p, **w: sklearn.mean_tweedie_deviance(y, p, power=1.3, **w),
    ),
    (
        "tweedie-deviance@1.8",
        POISSON,
        lambda y, p, **w: sklearn.mean_tweedie_deviance(y, p, power=1.8, **w),
    ),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "objective", "reference"), REFERENCES, ids=lambda value: getattr(value, "name", value)
)
def test_against_scikit_learn(name, objective, reference, seed):
    raw, y, weight = rows_of(objective, seed)
    metric = get_metric(name, objective)
    metric.check_rows(y, weight)
    prediction = objective.predict(raw)
    for w in (weight, np.ones(N)):
        expected = reference(y, prediction, sample_weight=w)
        assert metric(y, prediction, w) == pytest.approx(expected, rel=1e-12)
    assert metric.name == name


def xgboost_value(xgboost, name, objective, rows):
    raw, y, weight = rows
    params = {"objective": objective.name, "eval_metric": name, "base_score": 0.5, "nthread": 1}
    params |= objective.parameters
    if objective.n_outputs > 1:
        params["num_class"] = objective.n_outputs
    table = xgboost.DMatrix(np.zeros((N, 1)), label=y, weight=weight, base_margin=raw)
    booster = xgboost.train({**params, "eta": 0.0}, table, 1)
    return float(booster.eval(table).rpartition(":")[2])


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        *((name, BINARY) for name in ("auc", "aucpr", "logloss", "error", "error@0.3")),
        *((name, MULTI) for name in ("auc", "aucpr", "mlogloss", "merror")),
        *((name, SQUARED) for name in ("rmse", "mae", "mphe")),
        ("mphe", HUBER),
        *((name, POISSON) for name in ("poisson-nloglik", "tweedie-nloglik@1.6", "rmse")),
        *((name, GAMMA) for name in ("gamma-deviance", "gamma-nloglik")),
        ("tweedie-nloglik@1.3", TWEEDIE),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_against_xgboost(name, objective):
    xgboost = pytest.importorskip("xgboost")
    rows = rows_of(objective, 7)
    ours = get_metric(name, objective)(rows[1], objective.predict(rows[0]), rows[2])
    assert ours == pytest.approx(xgboost_value(xgboost, name, objective, rows), rel=1e-5)


def test_every_metric_has_a_reference():
    by_xgboost = {"aucpr", "mphe", "poisson-nloglik", "gamma-nloglik", "tweedie-nloglik"}
    assert {name.partition("@")[0] for name, *_ in REFERENCES} | by_xgboost == METRICS.keys()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_default_metric_of_an_objective_fits_it(name):
    objective = make_objective(name, n_classes=3 if name == "multi:softprob" else 2)
    assert get_metric(objective.default_metric, objective).name == objective.default_metric


def test_directions():
    maximised = {name for name, kind in METRICS.items() if kind.maximise}
    assert maximised == {"auc", "aucpr", "ks", "gini"}
    assert get_metric("auc", BINARY).maximise
    assert not get_metric("logloss", BINARY).maximise


def test_scores_that_say_nothing_or_all():
    y, ones = np.array([0.0, 1.0, 0.0, 1.0]), np.ones(4)
    for name, nothing in (("auc", 0.5), ("ks", 0.0), ("gini", 0.0), ("aucpr", 0.5)):
        metric = get_metric(name, BINARY)
        assert metric(y, np.full(4, 0.3), ones) == nothing
        assert metric(y, y, ones) == 1.0
    assert get_metric("logloss", BINARY)(y, y, ones) == 0.0
    assert get_metric("logloss", BINARY)(y, 1.0 - y, ones) == pytest.approx(-math.log(1e-16))


@pytest.mark.parametrize("name", ["auc", "aucpr", "ks", "gini"])
@pytest.mark.parametrize(
    ("y", "weight"), [([1, 1, 1], [1, 1, 1]), ([0, 0, 0], [1, 1, 1]), ([0, 1, 1], [0, 1, 1])]
)
def test_a_class_is_missing(name, y, weight):
    with pytest.raises(ValueError) as caught:
        get_metric(name, BINARY).check_rows(np.array(y, np.float64), np.array(weight, np.float64))
    assert str(caught.value) == (
        f"eval_metric='{name}' needs rows of every class; 1 of the 2 classes have none of positive "
        "weight here. Add rows, or choose another metric."
    )


@pytest.mark.parametrize(
    ("name", "objective", "y", "weight", "message"),
    [
        ("auc", MULTI, [0, 0, 1], [1, 1, 1], "eval_metric='auc' needs rows of every class; 2 of"),
        ("rmse", SQUARED, [0, 0, 1], [0, 0, 0], "eval_metric='rmse' needs rows of positive weight"),
        ("rmse", SQUARED, [], [], "eval_metric='rmse' needs rows of positive weight"),
        ("gamma-deviance", POISSON, [0, 1, 2], [1, 1, 1], "needs labels above 0, which they are "
         "not in 1 row (data row 1)"),
    ],
)  # fmt: skip
def test_rows_that_a_metric_is_not_defined_on(name, objective, y, weight, message):
    with pytest.raises(ValueError) as caught:
        get_metric(name, objective).check_rows(np.array(y, float), np.array(weight, float))
    assert message in str(caught.value)


def own(y_true, y_pred):
    return float(np.abs(y_true - y_pred).max())


@pytest.mark.parametrize(
    ("spec", "objective", "message"),
    [
        ("logless", BINARY, "eval_metric='logless' is unknown. Did you mean 'logloss'? Known are"),
        ("rmse", BINARY, "eval_metric='rmse' does not fit objective='binary:logistic' (binary, "
         "predicts probabilities); auc, aucpr, ks, gini, logloss, error and functions do"),
        ("auc", GAMMA, "not fit objective='reg:gamma' (regression, predicts positive numbers)"),
        ("ks", MULTI, "multiclass, predicts probabilities); auc, aucpr, mlogloss, merror and"),
        ("poisson-deviance", SQUARED, "numbers of any sign); rmse, mae, mphe and functions do"),
        ("logloss", make_objective(lambda y, p: (y, p)), "objective='custom' (binary, predicts raw "
         "scores); auc, aucpr, ks, gini and functions do"),
        ("auc@0.3", BINARY, "eval_metric='auc@0.3': auc takes no number"),
        ("mphe@2", HUBER, "eval_metric='mphe@2': mphe takes no number"),
        ("error@", BINARY, "eval_metric='error@': '' is not a number"),
        ("error@2", BINARY, "eval_metric='error@2': number=2.0: error takes a number at least 0 "
         "and at most 1"),
        ("error@nan", BINARY, "eval_metric='error@nan': number=nan is not a finite number"),
        ("tweedie-deviance@2", TWEEDIE, "number=2.0: tweedie-deviance takes a number above 1 and"),
        ("tweedie-deviance", POISSON, "eval_metric='tweedie-deviance' needs a number with "
         "objective='count:poisson', as in 'tweedie-deviance@1.5'"),
        (None, BINARY, "eval_metric=None is neither a name nor a function"),
        (lambda y: 1.0, BINARY, "eval_metric='<lambda>': a function must be callable as f(y_true"),
        (EvalMetric("mine", own, tasks=frozenset({"regression"})), BINARY, "eval_metric='mine' "
         "does not fit objective='binary:logistic'"),
    ],
)  # fmt: skip
def test_specifications_that_cannot_be_used(spec, objective, message):
    with pytest.raises(ValueError) as caught:
        get_metric(spec, objective)
    assert message in str(caught.value)


def test_own_functions():
    raw, y, weight = rows_of(SQUARED, 1)
    metric = get_metric(own, SQUARED)
    assert (metric.name, metric.maximise) == ("own", False)
    metric.check_rows(y, np.ones(N))
    assert metric(y, raw, np.ones(N)) == own(y, raw)
    with pytest.raises(ValueError, match="eval_metric='own' has no parameter `sample_weight`, but"):
        metric.check_rows(y, weight)

    r2 = get_metric(EvalMetric.of(sklearn.r2_score, name="R2", maximise=True), SQUARED)
    r2.check_rows(y, weight)
    assert (r2.name, r2.maximise) == ("R2", True)
    assert r2(y, raw, weight) == sklearn.r2_score(y, raw, sample_weight=weight)
    for again in (pickle.loads(pickle.dumps(r2)), copy.deepcopy(r2)):  # noqa: S301
        assert again(y, raw, weight) == r2(y, raw, weight)


def test_own_functions_get_copies():
    def spoils(y_true, y_pred):
        y_true[:] = y_pred[:] = 0
        return np.float32(1)

    y = np.ones(3)
    assert get_metric(spoils, SQUARED)(y, y, y) == 1.0
    assert y.all()


@pytest.mark.parametrize(("value", "what"), [(math.nan, "nan"), (None, "NoneType"), ("1", "str")])
def test_own_functions_that_return_no_number(value, what):
    metric = get_metric(lambda y_true, y_pred: value, SQUARED)
    with pytest.raises(ValueError, match=f"eval_metric='<lambda>' returned {what}; a number is"):
        metric(np.ones(3), np.ones(3), np.ones(3))
