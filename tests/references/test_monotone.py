"""Monotone constraints by brute force: predictions along a column, everything else kept.

Rows of a random table are copied over a grid of values of one column, with values between, below
and above all that training saw. Missing values have no place in the order.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from support import real_tables
from support.real_tables import Folds

from secureboost import FeatureParty, SecureBoostClassifier, SecureBoostRegressor

N_TRAIN, N_ROWS = 150, 25
OBJECTIVES = [
    "binary:logistic",
    "multi:softprob",
    "reg:squarederror",
    "reg:pseudohubererror",
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
]


@st.composite
def problems(draw):
    """A table of the label party, one of a partner, a target, parameters, and signs by column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = N_TRAIN + N_ROWS
    ids = [f"K{number}" for number in range(n)]
    tables, signs, total = {}, {}, rng.normal(scale=0.5, size=n)
    for owner in ("own", "bureau"):
        columns = {}
        for number in range(draw(st.integers(1, 3))):
            name = f"{owner}{number}"
            few = draw(st.booleans())
            values = rng.integers(0, 6, n).astype(float) if few else rng.normal(size=n).round(2)
            # not the sign of the constraint, so that it binds
            total += rng.normal() * values + rng.normal() * np.sin(3 * values)
            values[rng.random(n) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
            columns[name] = values
            signs[name] = draw(st.sampled_from([1, -1, 0]))
        letters = rng.choice(list("abcde"), n)
        total += rng.normal(size=5)[np.searchsorted(list("abcde"), letters)]
        columns[f"{owner}_group"] = letters
        tables[owner] = pd.DataFrame(columns, index=ids)
    objective = draw(st.sampled_from(OBJECTIVES))
    parameters = {
        "objective": objective,
        "n_estimators": 6,
        "max_depth": draw(st.integers(1, 5)),
        "max_bin": draw(st.sampled_from([4, 64])),
        "learning_rate": draw(st.sampled_from([0.3, 1.0])),
        "min_child_weight": draw(st.sampled_from([0.0, 1.0])),
        "max_delta_step": draw(st.sampled_from([None, 0.3])),
        "reg_lambda": draw(st.sampled_from([0.0, 1.0])),
        "reg_alpha": draw(st.sampled_from([0.0, 0.5])),
        "grow_policy": draw(st.sampled_from(["depthwise", "lossguide"])),
        "sampling_method": draw(st.sampled_from(["uniform", "goss"])),
        "colsample_bynode": draw(st.sampled_from([0.7, 1.0])),
        "min_data_per_group": draw(st.sampled_from([1, 5])),
        "max_cat_to_onehot": draw(st.sampled_from([1, 4])),
        "random_state": 0,
        "n_jobs": 1,
    }
    return tables, signs, target(objective, (total - total.mean()) / total.std(), rng), parameters


def target(objective, signal, rng):
    if objective == "binary:logistic":
        return signal > np.median(signal)
    if objective == "multi:softprob":
        return np.digitize(signal, np.quantile(signal[:N_TRAIN], [0.3, 0.6]))
    if objective == "count:poisson":
        return rng.poisson(np.exp(signal))
    if objective == "reg:tweedie":
        return np.where(signal > 0, np.exp(signal), 0.0)
    return np.exp(signal) if objective == "reg:gamma" else signal


def grid_of(values):
    """Values between and beyond those of a column."""
    seen = np.unique(values[~np.isnan(values)]).astype(np.float32)
    middles = (seen[1:] + seen[:-1]) / 2
    every = np.unique(np.r_[seen[0] - 1, seen, middles, seen[-1] + 1])
    return every[np.linspace(0, len(every) - 1, min(len(every), 40)).astype(int)]


def copies(table, n):
    """Each row so often, with ids of their own."""
    ids = [f"{row_id}-{number}" for row_id in table.index for number in range(n)]
    return table.loc[table.index.repeat(n)].set_axis(ids)


def along(table, column, grid):
    """Each row as often as the grid has values, with those in the column if it is there."""
    rows = copies(table.iloc[N_TRAIN:], len(grid))
    return rows.assign(**{column: np.tile(grid, N_ROWS)}) if column in table else rows


def assert_monotone(scores, n_grid, sign):
    """``scores``: of the rows of `along`, raw, perhaps of several outputs. Equal is allowed."""
    steps = np.diff(scores.reshape(N_ROWS, n_grid, -1), axis=1)
    assert (sign * steps >= 0.0).all()


def kind(objective):
    classifier = objective in ("binary:logistic", "multi:softprob")
    return SecureBoostClassifier if classifier else SecureBoostRegressor


@settings(max_examples=60)
@given(problem=problems())
def test_predictions_never_go_the_other_way(problem):
    tables, signs, y, parameters = problem
    pooled = pd.concat(tables.values(), axis=1)
    model = kind(parameters["objective"])(**parameters, monotone_constraints=signs)
    model.fit(pooled.iloc[:N_TRAIN], y[:N_TRAIN])
    for column, sign in signs.items():
        if sign:
            grid = grid_of(pooled[column].to_numpy()[:N_TRAIN])
            rows = along(pooled, column, grid)
            assert_monotone(model.raw_scores(rows), len(grid), sign)


@settings(max_examples=10)
@given(problem=problems())
def test_columns_of_a_partner(problem):
    """The partner declares its signs; its rows are changed where they lie."""
    tables, signs, y, parameters = problem
    own, bureau = tables["own"], tables["bureau"]
    declared = {column: signs[column] for column in bureau if signs.get(column)}
    party = FeatureParty("bureau", bureau, monotone=declared)
    by_name = {f"bureau/{bureau.columns.get_loc(name)}": sign for name, sign in declared.items()}
    by_name |= {name: signs[name] for name in own if signs.get(name)}
    model = kind(parameters["objective"])(
        **parameters, monotone_constraints=by_name, scheme="plain"
    )
    model.fit(own.iloc[:N_TRAIN], y[:N_TRAIN], parties=[party])
    half = party.half(model.label_half_.model_id)
    for column, sign in signs.items():
        if sign:
            grid = grid_of((own if column in own else bureau)[column].to_numpy()[:N_TRAIN])
            there = FeatureParty("bureau", along(bureau, column, grid))
            there.store.save(half)
            scores = model.raw_scores(along(own, column, grid), parties=[there])
            assert_monotone(scores, len(grid), sign)


def test_without_the_constraint_they_would():
    """So the grid is fine enough to notice."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, N_TRAIN + N_ROWS)
    X, y = pd.DataFrame({"x": x}), np.cos(2 * x)
    for constraint in (None, {"x": 1}):
        model = SecureBoostRegressor(n_estimators=5, monotone_constraints=constraint)
        model.fit(X.iloc[:N_TRAIN], y[:N_TRAIN])
        grid = grid_of(x[:N_TRAIN])
        scores = model.raw_scores(along(X, "x", grid))
        if constraint:
            assert_monotone(scores, len(grid), 1)
        else:
            with pytest.raises(AssertionError):
                assert_monotone(scores, len(grid), 1)


@pytest.mark.data
def test_auc_is_that_of_xgboost_with_missing_values(data_folder):
    """On raw values with holes, where the two treat missing values a little differently."""
    xgboost = pytest.importorskip("xgboost", reason="the references need XGBoost")
    table = real_tables.credit(data_folder)
    X = table.drop(columns="default").astype(np.float64)
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    signs = {"LIMIT_BAL": -1}
    signs |= {name: 1 for name in X if name.startswith("PAY_") and "AMT" not in name}
    signs |= {name: -1 for name in X if name.startswith("PAY_AMT")}
    folds = Folds.of(X, table["default"])
    parameters = {"n_estimators": 50, "max_depth": 4, "learning_rate": 0.2, "max_bin": 64}
    ours = SecureBoostClassifier(**parameters, monotone_constraints=signs, n_jobs=2)
    theirs = xgboost.XGBClassifier(
        **parameters, monotone_constraints=signs, tree_method="hist", n_jobs=1
    )
    test, y = folds.part(folds.test)
    aucs = [
        roc_auc_score(y, model.fit(*folds.part(folds.train)).predict_proba(test)[:, 1])
        for model in (ours, theirs)
    ]
    assert aucs[0] == pytest.approx(aucs[1], rel=0.01)
