"""The numbers that a run reports, by what was learnt."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, mean_gamma_deviance, r2_score

from secureboost.errors import DataError
from secureboost.eval_metrics import get_metric
from secureboost.metrics import evaluate
from secureboost.objectives import make_objective
from secureboost.quality import mean_by_group, measure, quality_table, watched_metrics


def test_two_classes():
    draws = np.random.default_rng(0)
    p = draws.random(50)
    y = (draws.random(50) < p).astype(float)
    found, expected = measure(make_objective("binary:logistic"), y, p), evaluate(y, p)
    assert found.rows == 50
    assert found.values == {
        name: getattr(expected, name) for name in ("auc", "ks", "gini", "log_loss", "brier")
    }
    assert found.main == ("auc", expected.auc)
    assert found.as_json() == {**found.values, "rows": 50}
    with pytest.raises(DataError, match="metrics need both classes"):
        measure(make_objective("binary:logistic"), np.ones(50), p)


def test_several_classes():
    draws = np.random.default_rng(0)
    p = draws.dirichlet([1, 1, 1], 60)
    y = np.array([draws.choice(3, p=row) for row in p])
    objective = make_objective("multi:softprob", n_classes=3)
    values = measure(objective, y, p).values
    assert list(values) == ["accuracy", "auc", "log_loss"]
    assert values["accuracy"] == accuracy_score(y, p.argmax(axis=1))
    assert values["log_loss"] == pytest.approx(log_loss(y, p))
    assert values["auc"] == get_metric("auc", objective)(y, p, np.ones(60))
    few = measure(objective, np.zeros(3), p[:3]).values  # a fold that lacks classes
    assert list(few) == ["accuracy", "log_loss"]


def test_numbers():
    draws = np.random.default_rng(0)
    predicted = draws.uniform(1, 2, 40)
    y = predicted * draws.uniform(0.5, 1.5, 40)
    values = measure(make_objective("reg:gamma"), y, predicted).values
    assert list(values) == ["rmse", "mae", "r2", "gamma-deviance"]
    assert values["r2"] == pytest.approx(r2_score(y, predicted))
    assert values["gamma-deviance"] == pytest.approx(mean_gamma_deviance(y, predicted))
    assert list(measure(make_objective("reg:squarederror"), y, predicted).values) == [
        "rmse", "mae", "r2",
    ]  # fmt: skip
    same = measure(make_objective("reg:squarederror"), np.ones(3), np.ones(3)).values
    assert "r2" not in same  # no spread to explain


def test_what_is_watched_by_default():
    assert watched_metrics(make_objective("binary:logistic")) == ["logloss", "auc"]
    assert watched_metrics(make_objective("multi:softprob", n_classes=3)) == ["merror", "mlogloss"]
    assert watched_metrics(make_objective("reg:squarederror")) == ["rmse"]
    assert watched_metrics(make_objective("count:poisson")) == ["rmse", "poisson-nloglik"]


def test_a_table_of_folds_with_different_numbers():
    objective = make_objective("multi:softprob", n_classes=2)
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    folds = {
        "train": measure(objective, np.array([0.0, 1.0]), p),
        "test": measure(objective, np.array([0.0, 0.0]), p),
    }
    heads, rows = quality_table(folds)
    assert heads == ("fold", "rows", "accuracy", "AUC", "log-loss")
    assert rows[0][:4] == ("train", 2, 1.0, 1.0)
    assert rows[1][:4] == ("test", 2, 0.5, None)


def test_means_of_groups():
    y, p = np.arange(10.0), np.arange(10.0)[::-1]
    assert mean_by_group(y, p, 5)[0] == (0.5, 8.5)
    assert len(mean_by_group(y[:3], p[:3], 5)) == 3
