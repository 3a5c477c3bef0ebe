"""Columns of categories against LightGBM with the same parameters, on real tables.

The two differ a little (see `gbdt.category_splits`), and so do their bins, so metrics of held-out
rows are compared, not trees.
"""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from support import real_tables

from secureboost import SecureBoostClassifier

lightgbm = pytest.importorskip("lightgbm", reason="the references need LightGBM")

PARAMETERS = {
    "n_estimators": 50,
    "learning_rate": 0.1,
    "max_depth": 5,
    "max_bin": 64,
    "min_child_samples": 20,
    "min_child_weight": 1.0,
    "reg_lambda": 1.0,
    "cat_smooth": 10.0,
    "cat_l2": 10.0,
    "min_data_per_group": 10,
}


def twin(parameters):
    """LightGBM with these parameters; a tree may have as many leaves as its depth allows."""
    return lightgbm.LGBMClassifier(
        **parameters, num_leaves=2 ** parameters["max_depth"], n_jobs=1, verbose=-1
    )


def held_out(model, X, y, folds, seeds=(0,)):
    """Mean AUC and log-loss of out-of-fold predictions."""
    values = []
    for seed in seeds:
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        p = cross_val_predict(model, X, y, cv=splitter, method="predict_proba")[:, 1]
        values.append((roc_auc_score(y, p), log_loss(y, p)))
    return np.mean(values, axis=0)


@pytest.mark.data
@pytest.mark.parametrize(
    "cat_parameters",
    [
        {},
        {"max_cat_to_onehot": 1},
        {"max_cat_to_onehot": 12},
        {"max_cat_threshold": 2},
        {"min_data_per_group": 100},
    ],
    ids=str,
)
def test_german_credit(cat_parameters, data_folder):
    table = real_tables.german(data_folder)
    X, y = table.drop(columns="bad"), table["bad"].to_numpy()
    parameters = PARAMETERS | cat_parameters
    ours = held_out(SecureBoostClassifier(**parameters, n_jobs=2), X, y, 5, range(3))
    theirs = held_out(twin(parameters), X, y, 5, range(3))
    np.testing.assert_allclose(ours, theirs, rtol=0.01)


@pytest.mark.data
@pytest.mark.parametrize("cat_parameters", [{}, {"min_data_per_group": 100}], ids=str)
def test_bank_marketing(cat_parameters, data_folder):
    table = real_tables.bank(data_folder)
    X, y = table.drop(columns="y"), table["y"].to_numpy()
    parameters = PARAMETERS | cat_parameters
    ours = held_out(SecureBoostClassifier(**parameters, n_jobs=2), X, y, 2)
    theirs = held_out(twin(parameters), X, y, 2)
    np.testing.assert_allclose(ours, theirs, rtol=0.01)


@pytest.mark.data
def test_categories_are_worth_more_than_their_codes(data_folder):
    """German credit with categories in alphabetical order, as numbers, loses."""
    table = real_tables.german(data_folder)
    X, y = table.drop(columns="bad"), table["bad"].to_numpy()
    coded = X.apply(lambda column: column.cat.codes if column.dtype == "category" else column)
    model = SecureBoostClassifier(**PARAMETERS, n_jobs=2)
    assert held_out(model, X, y, 5, range(3))[0] > held_out(model, coded, y, 5, range(3))[0] + 0.005


@pytest.mark.parametrize("n_categories", [3, 30, 200])
def test_generated_categories(n_categories):
    """An effect for each category, two columns of them, numbers and missing values beside them.

    LightGBM leaves out categories of fewer than `cat_smooth` rows, so that is our floor here.
    """
    rng = np.random.default_rng(5)
    n = 8_000
    shares = rng.dirichlet(np.full(n_categories, 2.0), 2)
    codes = np.column_stack([rng.choice(n_categories, n, p=share) for share in shares])
    numbers = rng.normal(size=(n, 3))
    effects = rng.normal(size=(2, n_categories))
    raw = effects[0][codes[:, 0]] + effects[1][codes[:, 1]] + numbers @ [0.5, -0.5, 0.2] - 0.5
    y = (rng.random(n) < 1 / (1 + np.exp(-raw))).astype(int)
    numbers[rng.random((n, 3)) < 0.1] = np.nan
    X = pd.DataFrame(numbers, columns=list("abc"))
    for number, name in enumerate(("d", "e")):
        X[name] = pd.Categorical([f"c{code}" for code in codes[:, number]])
    parameters = PARAMETERS | {"max_bin": 255, "min_child_samples": 10}
    ours = held_out(SecureBoostClassifier(**parameters, n_jobs=2), X, y, 2)
    theirs = held_out(twin(parameters), X, y, 2)
    np.testing.assert_allclose(ours, theirs, rtol=0.01)
