"""Early stopping against a loop by hand and XGBoost; every metric against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn
from support.federation import Federation, InsecureKeyClassifier
from support.tables import random_table

from secureboost import (
    EvalMetric,
    SecureBoostClassifier,
    SecureBoostRegressor,
    joined_trees,
    pool_tables,
)

PARAMETERS = {"max_depth": 3, "learning_rate": 0.5, "max_bin": 16, "n_jobs": 1}
N_ROUNDS = 30


def noisy(seed, n=260, n_classes=2):
    """A table that is soon learnt by heart, and two sets that were held out."""
    table = random_table(seed, n, ("continuous", "few", "mostly_zero", "continuous"))
    rng = np.random.default_rng(seed)
    y = (table.y + rng.integers(0, n_classes, n) * (rng.random(n) < 0.4)).astype(int) % n_classes
    X = pd.DataFrame(table.X, columns=list("abcd"))
    return [(X[part], y[part]) for part in (slice(0, 140), slice(140, 200), slice(200, None))]


def stop_by_hand(values, patience, maximise):
    """Round of the best value, and how many rounds were trained."""
    sign = 1 if maximise else -1
    best, best_round = -np.inf, 0
    for number, value in enumerate(values):
        if sign * value > best:
            best, best_round = sign * value, number
        elif number - best_round >= patience:
            return best_round, number + 1
    return best_round, len(values)


@pytest.mark.parametrize("metrics", [["logloss"], ["logloss", "auc"], ["auc", "logloss"], "ks"])
@pytest.mark.parametrize("patience", [1, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_the_loop_by_hand(seed, patience, metrics):
    sets = noisy(seed)
    parameters = PARAMETERS | {"n_estimators": N_ROUNDS, "eval_metric": metrics}
    full = SecureBoostClassifier(**parameters).fit(*sets[0], eval_set=sets)
    watched = [metrics] if isinstance(metrics, str) else metrics
    values = full.evals_result_["validation_2"][watched[-1]]
    best, trained = stop_by_hand(values, patience, maximise=watched[-1] != "logloss")
    model = SecureBoostClassifier(**parameters, early_stopping_rounds=patience)
    model.fit(*sets[0], eval_set=sets)
    assert model.best_iteration_ == best
    assert model.best_score_ == values[best]
    assert len(joined_trees(model.label_half_)) == best + 1
    for name, history in model.evals_result_.items():
        for metric in watched:
            assert history[metric] == full.evals_result_[name][metric][:trained]
    X = sets[1][0]
    assert np.array_equal(
        model.decision_function(X), full.decision_function(X, iteration_range=(0, best + 1))
    )


def test_xgboost_stops_in_the_same_round():
    xgboost = pytest.importorskip("xgboost", reason="the references need XGBoost")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.integers(0, 12, (300, 4)).astype(float), columns=list("abcd"))
        y = (X["a"] + X["b"] > 11).to_numpy() ^ (rng.random(300) < 0.3)
        sets = [(X[:200], y[:200].astype(int)), (X[200:], y[200:].astype(int))]
        more = {"n_estimators": N_ROUNDS, "early_stopping_rounds": 4, "eval_metric": "logloss"}
        ours = SecureBoostClassifier(**PARAMETERS, **more).fit(*sets[0], eval_set=sets)
        theirs = xgboost.XGBClassifier(**PARAMETERS, **more, tree_method="hist")
        theirs.fit(*sets[0], eval_set=sets, verbose=False)
        assert ours.best_iteration_ == theirs.best_iteration
        assert ours.best_score_ == pytest.approx(theirs.best_score, rel=1e-5)
        assert len(ours.evals_result_["validation_0"]["logloss"]) == len(
            theirs.evals_result()["validation_0"]["logloss"]
        )


def assert_history(model, sets, weights, references):
    """Each value of each round is the reference's of the model's first rounds."""
    for number, (X, y) in enumerate(sets):
        history = model.evals_result_[f"validation_{number}"]
        assert list(history) == list(references)
        for rounds in range(1, model.n_estimators + 1):
            cut = {"iteration_range": (0, rounds)}
            predicted = (
                model.predict_proba(X, **cut)
                if hasattr(model, "classes_")
                else model.predict(X, **cut)
            )
            for name, reference in references.items():
                expected = reference(y, predicted, sample_weight=weights[number])
                assert history[name][rounds - 1] == pytest.approx(expected, rel=1e-9)


def of_positive(function):
    return lambda y, p, sample_weight: function(y, p[:, 1], sample_weight=sample_weight)


def test_metrics_of_two_classes():
    sets = noisy(4)
    weights = [np.random.default_rng(0).uniform(0, 2, len(y)) for _, y in sets]
    references = {
        "auc": of_positive(sklearn.roc_auc_score),
        "gini": of_positive(lambda *a, **k: 2 * sklearn.roc_auc_score(*a, **k) - 1),
        "logloss": sklearn.log_loss,
        "error": lambda y, p, sample_weight: (
            1 - sklearn.accuracy_score(y, p[:, 1] > 0.5, sample_weight=sample_weight)
        ),
    }
    model = SecureBoostClassifier(**PARAMETERS, n_estimators=5, eval_metric=list(references))
    model.fit(*sets[0], sample_weight=weights[0], eval_set=sets, sample_weight_eval_set=weights)
    assert_history(model, sets, weights, references)


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_metrics_of_three_classes(strategy):
    sets = noisy(5, n_classes=3)
    weights = [np.random.default_rng(0).uniform(0, 2, len(y)) for _, y in sets]
    references = {
        "mlogloss": sklearn.log_loss,
        "merror": lambda y, p, sample_weight: (
            1 - sklearn.accuracy_score(y, p.argmax(axis=1), sample_weight=sample_weight)
        ),
    }
    model = SecureBoostClassifier(
        **PARAMETERS, n_estimators=5, multi_strategy=strategy, eval_metric=list(references)
    )
    model.fit(*sets[0], eval_set=sets, sample_weight_eval_set=weights)
    assert_history(model, sets, weights, references)


def test_metrics_of_numbers():
    sets = [(X, np.exp(X["a"].to_numpy() + 0.5 * y)) for X, y in noisy(6)]
    references = {
        "rmse": sklearn.root_mean_squared_error,
        "mae": sklearn.mean_absolute_error,
        "poisson-deviance": sklearn.mean_poisson_deviance,
        "gamma-deviance": sklearn.mean_gamma_deviance,
        "tweedie-deviance@1.3": lambda y, p, sample_weight: sklearn.mean_tweedie_deviance(
            y, p, sample_weight=sample_weight, power=1.3
        ),
        "median": lambda y, p, sample_weight: float(np.median(np.abs(y - p))),
    }

    def median(y, p):
        return float(np.median(np.abs(y - p)))

    model = SecureBoostRegressor(
        **PARAMETERS,
        n_estimators=5,
        objective="reg:gamma",
        eval_metric=[*list(references)[:-1], EvalMetric.of(median)],
    )
    model.fit(*sets[0], eval_set=sets)
    assert_history(model, sets, [None] * 3, references)


def test_federated_is_pooled():
    """Rows for evaluation of all parties: other ids than those of training, and some of them."""
    federation = Federation(
        random_table(3, 200, ("continuous", "few", "mostly_zero", "few")), (2, 2)
    )
    X, y = federation.X, federation.y
    parameters = PARAMETERS | {
        "n_estimators": 12, "early_stopping_rounds": 2, "eval_metric": ["auc", "logloss"]
    }  # fmt: skip
    parts = [slice(0, 120), slice(60, 160), slice(140, 200)]
    model = InsecureKeyClassifier(**parameters).fit(
        X[parts[0]],
        y[parts[0]],
        parties=federation.parties(),
        eval_set=[(X[part], y[part]) for part in parts[1:]],
    )
    pooled, owner = pool_tables(X, federation.tables)
    twin = SecureBoostClassifier(**parameters).fit(
        pooled[parts[0]],
        y[parts[0]],
        column_owner=owner,
        eval_set=[(pooled[part], y[part]) for part in parts[1:]],
    )
    assert model.evals_result_ == twin.evals_result_
    assert model.best_iteration_ == twin.best_iteration_ < 11
    assert np.array_equal(model.predict_proba(X), twin.predict_proba(pooled))
    (half,) = (p.half(model.label_half_.model_id) for p in model.parties_)
    splits = sum(
        int((tree["party"] == "party1").sum())
        for tree in joined_trees(twin.label_half_, column_owner=owner)
    )
    assert len(half.splits) == splits  # of the rounds that were dropped the party keeps nothing
