"""What GOSS is worth on a real table, against all rows, as many drawn evenly, and LightGBM's.

Which rows it draws is compared with the paper's algorithm in tests/gbdt/test_sampling.py.
"""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support import real_tables
from support.real_tables import Folds

from secureboost import SecureBoostClassifier

pytestmark = pytest.mark.data

PARAMETERS = {"n_estimators": 30, "max_depth": 5, "learning_rate": 0.2, "max_bin": 32, "n_jobs": 2}
SEEDS = range(3)


@pytest.fixture(scope="module")
def folds(data_folder):
    table = real_tables.credit_scaled(data_folder)
    return Folds.of(table.drop(columns="y"), table["y"], 20_000)


def auc(folds, parameters):
    """Mean AUC of held-out rows over several seeds."""
    X, y = folds.part(folds.test)
    aucs = []
    for seed in SEEDS:
        model = SecureBoostClassifier(**PARAMETERS | parameters, random_state=seed)
        model.fit(*folds.part(folds.train))
        aucs.append(roc_auc_score(y, model.predict_proba(X)[:, 1]))
    return np.mean(aucs)


@pytest.fixture(scope="module")
def all_rows(folds):
    return auc(folds, {})


@pytest.mark.parametrize("rates", [(0.2, 0.1), (0.3, 0.2)])
def test_auc_beside_all_rows_and_an_even_draw(rates, all_rows, folds):
    top, other = rates
    goss = auc(folds, {"sampling_method": "goss", "top_rate": top, "other_rate": other})
    even = auc(folds, {"subsample": top + other})
    assert goss > all_rows - 0.006
    assert goss > even - 0.002


def test_hidden_rows_give_the_same_trees(folds):
    """They are sent as zeros; with min_child_samples=1 what counts as a row changes nothing."""
    X, y = folds.part(folds.train[:2_000])
    scores = [
        SecureBoostClassifier(
            **PARAMETERS, sampling_method="goss", goss_hide_rows=hide, random_state=1
        )
        .fit(X, y)
        .decision_function(X)
        for hide in (False, True)
    ]
    assert np.array_equal(*scores)


def test_auc_is_that_of_lightgbm(folds):
    lightgbm = pytest.importorskip("lightgbm", reason="the references need LightGBM")
    rates = {"top_rate": 0.2, "other_rate": 0.1}
    ours = auc(folds, {"sampling_method": "goss", **rates})
    X, y = folds.part(folds.test)
    theirs = []
    for seed in SEEDS:
        twin = lightgbm.LGBMClassifier(
            n_estimators=30, num_leaves=32, max_depth=5, learning_rate=0.2, max_bin=32,
            data_sample_strategy="goss", reg_lambda=1.0, min_child_weight=1.0,
            min_child_samples=1, random_state=seed, n_jobs=1, verbose=-1, **rates,
        )  # fmt: skip
        twin.fit(*folds.part(folds.train))
        theirs.append(roc_auc_score(y, twin.predict_proba(X)[:, 1]))
    assert ours == pytest.approx(np.mean(theirs), rel=0.01)
