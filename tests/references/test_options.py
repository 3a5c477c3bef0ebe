"""What shapes trees and draws, against XGBoost with the same parameters, on the same bins.

Without draws the models are the same but for rounding. The two libraries draw differently, so with
draws only the mean over several seeds is alike.
"""

import numpy as np
import pytest
from support import real_tables
from support.real_tables import Folds
from support.xgboost_twin import histories

from secureboost import SecureBoostClassifier

pytestmark = pytest.mark.data

PARAMETERS = {"n_estimators": 50, "max_depth": 4, "learning_rate": 0.2, "max_bin": 32, "n_jobs": 2}
STATUS = [f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6)]
PAID = [f"PAY_AMT{month}" for month in range(1, 7)]
BILLS = [f"BILL_AMT{month}" for month in range(1, 7)]


@pytest.fixture(scope="module")
def folds(data_folder):
    table = real_tables.credit(data_folder)
    return Folds.of(table.drop(columns="default"), table["default"]).on_bins(32)


def signs(folds, spec):
    return str(tuple(spec.get(name, 0) for name in folds.X))


def groups(folds, spec):
    return str([[folds.X.columns.get_loc(name) for name in group] for group in spec])


RISING = {"LIMIT_BAL": -1, **dict.fromkeys(STATUS, 1), **dict.fromkeys(PAID, -1)}
GROUPS = [STATUS, [*PAID, "LIMIT_BAL"], ["LIMIT_BAL", "AGE", *STATUS[:2]]]  # the rest stand alone


@pytest.mark.parametrize(
    ("parameters", "theirs"),
    [
        ({}, {}),
        ({"max_delta_step": 0.3}, {}),
        ({"scale_pos_weight": 3.0}, {}),
        ({"reg_alpha": 2.0, "gamma": 1.0, "min_child_weight": 10.0}, {}),
        ({"grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0}, {}),
        (
            {"monotone_constraints": RISING},
            {"monotone_constraints": lambda folds: signs(folds, RISING)},
        ),
        (
            {"monotone_constraints": RISING, "reg_alpha": 1.0, "max_delta_step": 0.5},
            {"monotone_constraints": lambda folds: signs(folds, RISING)},
        ),
        (
            {"interaction_constraints": GROUPS},
            {"interaction_constraints": lambda folds: groups(folds, GROUPS)},
        ),
    ],
    ids=lambda value: ",".join(value),
)
def test_options_without_draws(parameters, theirs, folds):
    model = SecureBoostClassifier(**PARAMETERS | parameters)
    more = {name: make(folds) for name, make in theirs.items()}
    ours, theirs = histories(model, folds.sets, **more)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_constraints_change_the_model(folds):
    free, _ = histories(SecureBoostClassifier(**PARAMETERS), folds.sets)
    for constraint in (
        {"monotone_constraints": RISING},
        {"interaction_constraints": GROUPS},
    ):
        bound, _ = histories(SecureBoostClassifier(**PARAMETERS, **constraint), folds.sets)
        assert bound[0, -1] > 1.005 * free[0, -1]  # less can be fitted,
        assert bound[1, -1] < 1.01 * free[1, -1]  # and what these constraints forbid is noise


@pytest.mark.parametrize(
    "parameters",
    [
        {"colsample_bytree": 0.4},
        {"colsample_bylevel": 0.4},
        {"colsample_bynode": 0.4},
        {"colsample_bytree": 0.7, "colsample_bylevel": 0.7, "colsample_bynode": 0.7},
        {"subsample": 0.5},
    ],
    ids=str,
)
def test_draws(parameters, folds):
    runs = [
        histories(
            SecureBoostClassifier(**PARAMETERS, **parameters, random_state=seed),
            folds.sets,
            seed=seed,
        )
        for seed in range(3)
    ]
    ours, theirs = np.mean(runs, axis=0)
    np.testing.assert_allclose(ours[:, -1], theirs[:, -1], rtol=0.01)
