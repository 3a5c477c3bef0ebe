"""The estimator as scikit-learn's users know it, with and without parties."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.federation import Federation, InsecureKeyClassifier
from support.options import InsecureRegressor
from support.tables import KINDS, random_table

from secureboost import (
    FeatureParty,
    SecureBoostClassifier,
    SecureBoostRegressor,
    joined_trees,
    pool_tables,
)

PARAMETERS = {"n_estimators": 3, "max_bin": 16, "max_depth": 3, "scheme": "plain"}


def expected_failures(estimator):
    check = "check_sample_weight_equivalence_on_dense_data"
    if estimator.subsample < 1 or estimator.sampling_method == "goss":
        return {check: "rows are drawn, and a row of weight 2 is not drawn like two rows"}
    if estimator.multi_strategy != "multi_output_tree" and is_classifier(estimator):
        return {check: "two cuts have one gain, and rounding decides"}
    return {}


@parametrize_with_checks(
    [
        SecureBoostClassifier(n_estimators=5),
        SecureBoostClassifier(
            n_estimators=3, grow_policy="lossguide", max_leaves=7, subsample=0.8, random_state=0
        ),
        SecureBoostClassifier(n_estimators=5, multi_strategy="multi_output_tree"),
        SecureBoostRegressor(n_estimators=5),
        SecureBoostRegressor(
            n_estimators=5, objective="reg:pseudohubererror", sampling_method="goss", random_state=0
        ),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture
def federation():
    return Federation(random_table(8, 150, ("continuous", *KINDS)), (2, 2, 2))


@pytest.fixture
def parties(federation):
    return federation.parties()


@pytest.fixture
def model(federation, parties):
    return SecureBoostClassifier(**PARAMETERS).fit(federation.X, federation.y, parties=parties)


# --- scikit-learn's machinery


def test_clone_forgets_everything_but_the_parameters(model):
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "parties_")
    with pytest.raises(NotFittedError):
        copy.predict([[0.0]])


def test_pickle_leaves_parties_where_they_are(model, federation, parties):
    model.set_params(scheme="paillier")
    data = pickle.dumps(model)
    assert federation.tables["party1"].index[0].encode() not in data  # tables stay behind
    copy = pickle.loads(data)  # noqa: S301
    assert not hasattr(copy, "parties_")
    with pytest.raises(Exception, match="trained with 'party1', 'party2', which are not among"):
        copy.predict(federation.X)
    assert np.array_equal(
        copy.predict_proba(federation.X, parties=parties), model.predict_proba(federation.X)
    )


def test_pickle_without_parties(federation):
    model = federation.fit_pooled(**PARAMETERS)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301
    pooled = federation.pooled(federation.X)
    assert np.array_equal(copy.predict_proba(pooled), model.predict_proba(pooled))


def test_a_party_can_be_pickled_with_its_halves(model, federation, parties):
    copies = pickle.loads(pickle.dumps(parties))  # noqa: S301
    assert np.array_equal(
        model.decision_function(federation.X, parties=copies), model.decision_function(federation.X)
    )
    assert repr(copies[0]) == repr(parties[0]) == "FeatureParty('party1', 200 rows, 2 columns)"
    assert copies[0].feature_names == parties[0].feature_names


def test_grid_search_with_parties(federation, parties):
    grid = {"max_depth": [1, 3], "subsample": [0.6, 1.0]}
    parameters = {"n_estimators": 3, "max_bin": 16, "random_state": 0}
    search, pooled = (
        GridSearchCV(model, grid, cv=3, scoring="roc_auc")
        for model in (InsecureKeyClassifier(**parameters), SecureBoostClassifier(**parameters))
    )
    search.fit(federation.X, federation.y, parties=parties)
    pooled.fit(federation.pooled(federation.X), federation.y)
    for name in ("split0_test_score", "split1_test_score", "split2_test_score"):
        assert search.cv_results_[name].tolist() == pooled.cv_results_[name].tolist()
    assert search.best_params_ == pooled.best_params_
    assert np.array_equal(
        search.predict_proba(federation.X),
        pooled.predict_proba(federation.pooled(federation.X)),
    )


@pytest.mark.parametrize("regression", [False, True])
def test_cross_validation_with_parties(regression, federation, parties):
    kinds = (
        (InsecureRegressor, SecureBoostRegressor)
        if regression
        else (InsecureKeyClassifier, SecureBoostClassifier)
    )
    y = np.linspace(-1, 1, 150) ** 2 if regression else federation.y
    scores, pooled = (
        cross_val_score(kind(n_estimators=3, max_bin=16), X, y, params=more, cv=3)
        for kind, X, more in (
            (kinds[0], federation.X, {"parties": parties}),
            (kinds[1], federation.pooled(federation.X), {}),
        )
    )
    assert scores.tolist() == pooled.tolist()
    assert np.isfinite(scores).all()


def test_pipeline_that_prepares_the_own_columns(federation, parties):
    pipeline = make_pipeline(
        SimpleImputer().set_output(transform="pandas"), SecureBoostClassifier(**PARAMETERS)
    )
    pipeline.fit(federation.X, federation.y, secureboostclassifier__parties=parties)
    imputed = SimpleImputer().set_output(transform="pandas").fit_transform(federation.X)
    alone = SecureBoostClassifier(**PARAMETERS).fit(imputed, federation.y, parties=parties)
    assert np.array_equal(pipeline.predict_proba(federation.X), alone.predict_proba(imputed))


# --- classes


@pytest.mark.parametrize(
    "classes",
    [("bad", "good"), (False, True), (-1, 1), (1, 2), (0.0, 1.0), (0, 1), ("b", "a")],
    ids=str,
)
@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_any_two_classes(classes, container, federation, parties, tmp_path):
    y = container([classes[int(value == "good")] for value in federation.y])
    model = SecureBoostClassifier(**PARAMETERS).fit(federation.X, y, parties=parties)
    assert model.classes_.tolist() == sorted(classes)
    predicted = model.predict(federation.X)
    assert set(predicted.tolist()) == set(classes)
    assert model.score(federation.X, y) > 0.7
    p = model.predict_proba(federation.X)
    assert np.array_equal(predicted == model.classes_[1], p[:, 1] > 0.5)
    assert np.allclose(p.sum(axis=1), 1.0)  # a sum of rounded numbers, no comparison of models
    model.save(tmp_path)
    loaded = SecureBoostClassifier.load(tmp_path)
    assert loaded.classes_.tolist() == model.classes_.tolist()
    assert [type(c) for c in loaded.classes_.tolist()] == [type(c) for c in model.classes_.tolist()]
    assert np.array_equal(loaded.predict(federation.X, parties=parties), predicted)


# --- saving


def test_save_and_load(model, federation, tmp_path):
    folder = tmp_path / "new" / "model"
    model.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "label.json",
        "party1.json",
        "party2.json",
    ]
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    loaded = SecureBoostClassifier.load(folder)
    assert loaded.get_params() == model.get_params()
    assert loaded.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert loaded.n_features_in_ == model.n_features_in_
    fresh = federation.parties()  # another process: these parties never saw the training
    for rows in (federation.X, federation.unseen):
        assert np.array_equal(loaded.predict_proba(rows, parties=fresh), model.predict_proba(rows))
    assert np.array_equal(loaded.feature_importances_, model.feature_importances_)
    assert loaded.feature_names_out_.tolist() == model.feature_names_out_.tolist()
    halves = [party.half(model.label_half_.model_id) for party in fresh]
    assert [tree.tolist() for tree in joined_trees(loaded.label_half_, halves)] == [
        tree.tolist()
        for tree in joined_trees(
            model.label_half_, {p.name: p.half(model.label_half_.model_id) for p in model.parties_}
        )
    ]
    loaded.save(tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_save_and_load_pooled_arrays(federation, tmp_path):
    X = federation.pooled(federation.X).to_numpy()
    model = SecureBoostClassifier(**PARAMETERS, random_state=np.random.RandomState(1))
    model.fit(X, federation.y).save(tmp_path)
    loaded = SecureBoostClassifier.load(tmp_path)
    assert not hasattr(loaded, "feature_names_in_")
    assert loaded.feature_names_out_.tolist() == [f"x{i}" for i in range(X.shape[1])]
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_halves_are_not_forced_on_a_party_that_has_its_own(model, federation, tmp_path):
    model.save(tmp_path)
    loaded = SecureBoostClassifier.load(tmp_path)
    party = model.parties_[0]
    own = party.half(model.label_half_.model_id)
    loaded.predict(federation.X, parties=model.parties_)
    assert party.half(model.label_half_.model_id) is own


# --- prediction


def test_parties_are_found_by_name_whatever_their_order(model, federation, parties):
    rows = federation.unseen
    expected = model.predict_proba(rows)
    stranger = FeatureParty("stranger", federation.tables["party1"])
    others = [stranger, *reversed(parties)]
    assert np.array_equal(model.predict_proba(rows, parties=others), expected)


def test_new_rows_with_new_parties(model, federation, parties):
    twin = federation.fit_pooled(**PARAMETERS)
    new = Federation(random_table(99, 90, ("continuous", *KINDS)), (2, 2, 2), seed=5)
    fresh = new.parties()
    for old, party in zip(parties, fresh, strict=True):
        party.store.save(old.half(model.label_half_.model_id))
    weightless = twin.set_params(**PARAMETERS)
    assert np.array_equal(
        model.predict_proba(new.X, parties=fresh), weightless.predict_proba(new.pooled(new.X))
    )


def test_columns_of_a_frame_must_be_in_order(model, federation):
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.predict(federation.X.iloc[:, ::-1])


# --- what is learnt about columns


def test_importances(model, federation):
    twin = federation.fit_pooled(**PARAMETERS)
    half = model.label_half_
    for kind in ("gain", "total_gain", "weight"):
        model.set_params(importance_type=kind)
        twin.set_params(importance_type=kind)
        assert np.array_equal(model.feature_importances_, twin.feature_importances_)
        assert model.feature_importances_.sum() == pytest.approx(1)
    assert model.feature_names_out_.tolist() == [
        "c0", "c1", "party1/0", "party1/1", "party2/0", "party2/1",
    ]  # fmt: skip
    assert twin.feature_names_out_.tolist() == [f"c{i}" for i in range(6)]
    counts = [*half.split_counts, *(n for p in half.partners for n in p.split_counts)]
    assert np.array_equal(model.feature_importances_, np.array(counts) / sum(counts))
    halves = [party.half(half.model_id) for party in model.parties_]
    inner = np.concatenate([t[t["left"] >= 0]["column"] for t in joined_trees(half, halves)])
    assert [int((inner == f"c{i}").sum()) for i in range(6)] == counts


def test_importances_of_a_model_without_splits(federation):
    model = SecureBoostClassifier(**PARAMETERS, gamma=1e9).fit(federation.X, federation.y)
    assert model.feature_importances_.tolist() == [0.0, 0.0]


def test_pooled_columns_that_share_a_name(federation):
    lender = federation.X.set_axis(["x0", "x1"], axis="columns")
    bureau = federation.tables["party1"].set_axis(["x0", "debt"], axis="columns")
    telco = federation.tables["party2"].set_axis(["x0", "debt"], axis="columns")
    pooled, owner = pool_tables(lender, {"bureau": bureau, "telco": telco})
    assert list(pooled.columns) == ["x0", "x1", "bureau.x0", "debt", "telco.x0", "telco.debt"]
    assert owner == {"bureau": ["bureau.x0", "debt"], "telco": ["telco.x0", "telco.debt"]}
    assert pooled.index.equals(lender.index)
    model = SecureBoostClassifier(**PARAMETERS).fit(pooled, federation.y, column_owner=owner)
    assert model.feature_names_out_.tolist() == list(pooled.columns)
    assert model.column_owner_ == owner
    found = np.concatenate(
        [t["party"] for t in joined_trees(model.label_half_, column_owner=owner)]
    )
    assert {"bureau", "telco"} < set(found.tolist()) | {"bureau", "telco"}
    assert set(found.tolist()) <= {"", "bureau", "telco"}


# --- following the training


def test_eval_set_is_that_of_the_pooled_model(federation, parties):
    half = len(federation.X) // 2
    X, y = federation.X, federation.y
    sets = [slice(None, half), slice(half, None), slice(None)]
    parameters = PARAMETERS | {"eval_metric": ["auc", "logloss"]}
    model = SecureBoostClassifier(**parameters).fit(
        X, y, parties=parties, eval_set=[(X[part], y[part]) for part in sets]
    )
    pooled, owner = pool_tables(X, federation.tables)
    twin = SecureBoostClassifier(**parameters).fit(
        pooled, y, column_owner=owner, eval_set=[(pooled[part], y[part]) for part in sets]
    )
    assert model.evals_result_ == twin.evals_result_
    assert list(model.evals_result_) == ["validation_0", "validation_1", "validation_2"]
    assert {name: len(v) for name, v in model.evals_result_["validation_2"].items()} == {
        "auc": 3,
        "logloss": 3,
    }
    from sklearn.metrics import log_loss, roc_auc_score

    p = model.predict_proba(X)[:, 1]
    last = {name: values[-1] for name, values in model.evals_result_["validation_2"].items()}
    assert last == {
        "auc": pytest.approx(roc_auc_score(y == "good", p)),
        "logloss": pytest.approx(log_loss(y == "good", p)),
    }


def test_traffic_is_counted(model):
    assert set(model.traffic_) == {"party1", "party2"}
    for traffic in model.traffic_.values():
        assert {"Hello", "MatchRows", "Setup", "GradientBlock", "Finish"} <= set(traffic)
        assert traffic["GradientBlock"].messages == 3
        assert traffic["GradientBlock"].bytes_sent > 3 * 150 * 16


# --- randomness


@pytest.mark.parametrize("seed", [3, np.int64(3), "state"])
def test_the_same_seed_gives_the_same_model(seed, federation, parties):
    def fit():
        state = np.random.RandomState(3) if seed == "state" else seed
        model = SecureBoostClassifier(
            **PARAMETERS, subsample=0.5, colsample_bytree=0.5, random_state=state
        )
        return model.fit(federation.X, federation.y, parties=parties)

    first, second = fit(), fit()
    assert np.array_equal(
        first.decision_function(federation.X), second.decision_function(federation.X)
    )
    other = SecureBoostClassifier(
        **PARAMETERS, subsample=0.5, colsample_bytree=0.5, random_state=4
    ).fit(federation.X, federation.y, parties=parties)
    assert not np.array_equal(
        first.decision_function(federation.X), other.decision_function(federation.X)
    )


def test_a_random_state_moves_on_from_fit_to_fit(federation):
    state = np.random.RandomState(0)
    model = SecureBoostClassifier(**PARAMETERS, subsample=0.5, random_state=state)
    first = model.fit(federation.X, federation.y).decision_function(federation.X)
    second = model.fit(federation.X, federation.y).decision_function(federation.X)
    assert not np.array_equal(first, second)


# --- inputs that mean the same


def test_arrays_lists_and_frames_give_one_model(federation):
    frame = federation.pooled(federation.X)
    scores = [
        SecureBoostClassifier(**PARAMETERS).fit(X, federation.y.tolist()).decision_function(X)
        for X in (frame, frame.to_numpy(), frame.to_numpy().tolist(), frame.astype("float64"))
    ]
    assert all(np.array_equal(score, scores[0]) for score in scores)


def test_row_ids_may_be_numbers(federation):
    numbers = {row_id: i for i, row_id in enumerate(federation.tables["party1"].index)}
    tables = {
        name: table.set_axis([numbers[i] for i in table.index])
        for name, table in federation.tables.items()
    }
    X = federation.X.set_axis([numbers[i] for i in federation.X.index])
    parties = [FeatureParty(name, table) for name, table in tables.items()]
    model = SecureBoostClassifier(**PARAMETERS).fit(X, federation.y, parties=parties)
    twin = federation.fit_pooled(**PARAMETERS)
    assert np.array_equal(
        model.decision_function(X), twin.decision_function(federation.pooled(federation.X))
    )
