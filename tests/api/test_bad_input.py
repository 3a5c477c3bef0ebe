"""What a user gets wrong is told by name, with the value, the limit and what to do."""

import json
import re

import msgspec
import numpy as np
import pandas as pd
import pytest
from support.federation import Federation
from support.tables import KINDS, random_table

from crypto.errors import CryptoError
from parties.certificates import TLS
from parties.errors import PartyNameError, PeerRefusedError
from secureboost import (
    FeatureParty,
    RemoteParty,
    SecureBoostClassifier,
    SecureBoostRegressor,
    joined_trees,
    pool_tables,
)
from secureboost.errors import ConfigError, DataError, ModelError
from secureboost.run import make_model

PARAMETERS = {"n_estimators": 2, "max_bin": 8, "max_depth": 2, "scheme": "plain"}
FEDERATION = Federation(random_table(8, 100, KINDS), (2, 2, 1))
X, Y = FEDERATION.X, FEDERATION.y
BUREAU = FEDERATION.tables["party1"]


def parties():
    return FEDERATION.parties()


def fit(X=X, y=Y, parties=None, **more):
    names = ("sample_weight", "eval_set", "sample_weight_eval_set", "column_owner")
    arguments = {name: more.pop(name) for name in names if name in more}
    chosen = FEDERATION.parties() if parties is None else parties
    return SecureBoostClassifier(**PARAMETERS | more).fit(X, y, parties=chosen, **arguments)


def assert_says(text, error=ValueError, **arguments):
    with pytest.raises(error) as caught:
        fit(**arguments)
    assert text in str(caught.value)


# --- rows


def test_rows_that_a_party_lacks_are_counted():
    short = FeatureParty("bureau", BUREAU.drop(index=X.index[[3, 7]]))
    assert_says(
        "bureau: its table lacks 2 of the 100 rows asked for: 2 rows (data rows 4 and 8). "
        "Keep only rows that both sides have",
        DataError,
        parties=[short],
    )


def test_ids_as_numbers_on_one_side_and_text_on_the_other():
    other = FeatureParty("bureau", BUREAU.set_axis(range(len(BUREAU))))
    assert_says("One side's ids are numbers and the other's are text", DataError, parties=[other])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_array_has_no_ids():
    assert_says(
        "X is a ndarray without row ids, so its rows cannot be matched with 'party1', 'party2'. "
        "Pass a DataFrame indexed by row id.",
        DataError,
        X=X.to_numpy(),
    )
    with pytest.raises(DataError, match="X is a list without row ids"):
        fit().predict(X.to_numpy().tolist())


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ([X.index[1], *X.index[1:]], "X: ids occur more than once in 2 rows (data rows 1 and 2)"),
        ([None, *X.index[1:]], "X: the id is missing in 1 row (data row 1)"),
        ([" ", *X.index[1:]], "X: the id is blank in 1 row (data row 1)"),
    ],
)
def test_bad_ids_in_the_label_partys_table(index, text):
    assert_says(text, DataError, X=X.set_axis(index))


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ([BUREAU.index[1], *BUREAU.index[1:]], "bureau: ids occur more than once in 2 rows"),
        ([np.nan, *BUREAU.index[1:]], "bureau: the id is missing in 1 row (data row 1)"),
    ],
)
def test_bad_ids_in_a_party(index, text):
    with pytest.raises(DataError, match=re.escape(text)):
        FeatureParty("bureau", BUREAU.set_axis(index))
    with pytest.raises(DataError, match=re.escape(text)):
        RemoteParty("bureau", "host:1", tls=TLS("a", "b", "c"), index=index)


# --- labels and weights


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (["a"] * 100, "y has one class; a classifier needs two classes"),
        ([0.5, 1.5] * 50, "Unknown label type: continuous"),
        ([np.nan, *[0.0, 1.0] * 49, 1.0], "the label is missing in 1 row (data row 1)"),
        ([None, *["a", "b"] * 49, "b"], "the label is missing in 1 row (data row 1)"),
        (pd.array([None, *[0, 1] * 49, 1], "Int64"), "the label is missing in 1 row (data row 1)"),
        ([np.inf, *[0.0, 1.0] * 49, 1.0], "Input y contains infinity"),
        ([0, 1] * 49, "inconsistent numbers of samples: [100, 98]"),
    ],
    ids=["one", "numbers", "nan", "None", "NA", "infinite", "short"],
)
def test_bad_labels(y, text):
    assert_says(text, y=y)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([-1.0] * 100, "Negative values in data passed to `sample_weight`"),
        ([0.0] * 100, "zero"),  # scikit-learn's own words from 1.8 on
        ([1.0] * 99, "sample_weight.shape == (99,), expected (100,)"),
        ([np.nan] * 100, "Input sample_weight contains NaN"),
        ([np.inf] * 100, "Input sample_weight contains infinity"),
        ((Y == "good").astype(float), "one of the two classes has no rows of positive weight"),
    ],
)
def test_bad_weights(weight, text):
    assert_says(text, sample_weight=weight)


def test_weights_of_any_scale_are_fine():
    reference = fit(sample_weight=np.ones(100), min_child_weight=0.0, reg_lambda=0.0)
    for scale in (2.0**-60, 2.0**60):
        model = fit(sample_weight=np.full(100, scale), min_child_weight=0.0, reg_lambda=0.0)
        if scale > 1:  # tiny gains do not count as splits, as in XGBoost
            assert np.array_equal(model.decision_function(X), reference.decision_function(X))


# --- columns


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.inf, "column 'c1' is infinite or beyond the range of 32-bit floats"),
        (1e300, "column 'c1' is infinite or beyond"),
        (1j, "column 'c1' is complex"),
        (pd.Timestamp(2020, 1, 1), "column 'c1' holds dates or times"),
    ],
    ids=["infinite", "huge", "complex", "date"],
)
def test_columns_that_are_no_numbers(values, text):
    with pytest.raises(DataError) as caught:
        fit(X=X.assign(c1=values))
    assert f"label party: {text}" in str(caught.value)
    for value in ("1e+300", "2020"):
        assert value not in str(caught.value)
    with pytest.raises(DataError, match=re.escape(f"bureau: {text}".replace("c1", "c2"))):
        FeatureParty("bureau", BUREAU.assign(c2=values))


def test_one_infinite_value_is_named_by_column_and_row():
    frame = X.copy()
    frame.iloc[[4, 9], 1] = -np.inf
    assert_says("column 'c1' is infinite or beyond the range", DataError, X=frame)
    assert_says("in 2 rows (data rows 5 and 10)", DataError, X=frame)
    model = fit()
    with pytest.raises(DataError, match="data rows 5 and 10"):
        model.predict(frame)


def test_two_columns_of_one_name():
    assert_says(
        "column names occur more than once: 'c0'",
        DataError,
        X=X.set_axis(["c0", "c0"], axis="columns"),
    )


def test_tables_that_are_none():
    with pytest.raises(DataError, match=r"party 'bureau': its table is a ndarray. Give a pandas"):
        FeatureParty("bureau", BUREAU.to_numpy())
    with pytest.raises(DataError, match="bureau: no feature column is left"):
        FeatureParty("bureau", BUREAU[[]])
    with pytest.raises(DataError, match="bureau: the table has no rows"):
        FeatureParty("bureau", BUREAU.iloc[:0])


# --- prediction


def test_columns_at_prediction():
    model = fit()
    with pytest.raises(ValueError, match=r"Feature names unseen at fit time:\n- c9"):
        model.predict(X.assign(c9=1.0))
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- c1"):
        model.predict(X[["c0"]])
    alone = SecureBoostClassifier(**PARAMETERS).fit(X.to_numpy(), Y)
    with pytest.raises(
        ValueError, match="X has 1 features, but SecureBoostClassifier is expecting 2"
    ):
        alone.predict(X.to_numpy()[:, :1])


def test_a_party_with_other_columns_at_prediction():
    given = parties()
    model = fit(parties=given)
    for other in (BUREAU.set_axis(["c2", "d"], axis="columns"), BUREAU[["c2"]]):
        changed = FeatureParty("party1", other)
        changed.store.save(given[0].half(model.label_half_.model_id))
        with pytest.raises(
            PeerRefusedError, match=r"party1: refused .unknown_model.: .*other columns"
        ):
            model.predict(X, parties=[changed, given[1]])


def test_a_party_that_never_saw_the_model():
    model = fit()
    with pytest.raises(
        PeerRefusedError, match=r"party1: refused .unknown_model.: .*has no half of"
    ):
        model.predict(X, parties=parties())


@pytest.mark.parametrize("given", [[], parties()[:1]])
def test_a_party_that_is_absent(given):
    model = fit()
    with pytest.raises(ModelError) as caught:
        model.predict(X, parties=given)
    names = "'party1', 'party2', which are" if not given else "'party2', which is"
    assert f"trained with {names} not among the parties. Pass parties=[...]." in str(caught.value)


def test_rows_that_a_party_lacks_at_prediction():
    model = fit()
    strange = X.iloc[:3].set_axis(["?1", "?2", X.index[2]])
    with pytest.raises(DataError, match="party1: its table lacks 2 of the 3 rows asked for"):
        model.predict(strange)


# --- parties


def test_parties_of_one_name():
    twice = [FeatureParty("bureau", BUREAU), FeatureParty("bureau", BUREAU)]
    assert_says("parties: bureau, bureau: two have one name", DataError, parties=twice)


def test_a_party_named_like_the_label_file():
    assert_says(
        "parties: the name 'label' is kept", DataError, parties=[FeatureParty("Label", BUREAU)]
    )


def test_things_that_are_no_parties():
    assert_says("parties holds a DataFrame; it takes FeatureParty", TypeError, parties=[BUREAU])


@pytest.mark.parametrize("name", ["", "two words", "../x", "a" * 65, "-dash"])
def test_names_that_cannot_name_a_party(name):
    with pytest.raises(PartyNameError, match="cannot name a party: use 1 to 64 letters"):
        FeatureParty(name, BUREAU)


# --- parameters


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_estimators": 0}, "n_estimators=0 must be at least 1"),
        ({"n_estimators": 2.5}, "n_estimators=2.5 is not an integer"),
        ({"objective": "binary:logit"}, "Did you mean 'binary:logistic'?"),
        (
            {"objective": "reg:gamma"},
            "does not fit SecureBoostClassifier; use SecureBoostRegressor",
        ),
        ({"scale_pos_weight": 0.0}, "scale_pos_weight=0.0 must be a finite number above 0"),
        ({"scale_pos_weight": -1}, "scale_pos_weight=-1 must be a finite number above 0"),
        ({"scale_pos_weight": np.nan}, "scale_pos_weight=nan must be a finite number above 0"),
        ({"scale_pos_weight": "2"}, "scale_pos_weight='2' must be a finite number above 0"),
        ({"class_weight": {"good": 1, "bad": -1}}, "class_weight must have a finite number of at"),
        ({"class_weight": "even"}, "The 'class_weight' parameter"),
        ({"huber_slope": 2.0}, "huber_slope is not a parameter of objective binary:logistic"),
        ({"sampling_method": "gos"}, "sampling_method='gos' is not one of uniform, goss"),
        (
            {"sampling_method": "goss", "subsample": 0.5},
            "subsample=0.5: sampling_method='goss' draws rows by top_rate and other_rate",
        ),
        (
            {"sampling_method": "goss", "top_rate": 0.7, "other_rate": 0.5},
            "top_rate=0.7, other_rate=0.5: together they must be at most 1",
        ),
        ({"goss_hide_rows": 1}, "goss_hide_rows=1 is not True or False"),
        ({"multi_strategy": "multi"}, "multi_strategy='multi' is not one of one_output_per_tree"),
        ({"max_shared_purity": 0.0}, "max_shared_purity=0.0 must be above 0 and at most 1"),
        ({"label_party_trees": -1}, "label_party_trees=-1 must be at least 0"),
        ({"max_delta_step": -1.0}, "max_delta_step=-1.0 must be at least 0"),
        ({"cat_smooth": -1}, "cat_smooth=-1 must be at least 0"),
        ({"max_cat_to_onehot": 0}, "max_cat_to_onehot=0 must be 1 to 255"),
        ({"categorical_features": ["c9"]}, "categorical names 'c9', which the table does not have"),
        ({"categorical_features": "c0"}, "is one text; give a list of column names"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"max_depth": -1}, "max_depth=-1 must be at least 0"),
        ({"max_depth": 0}, "max_depth=0 and max_leaves=0: a tree needs a limit"),
        ({"max_leaves": 1}, "max_leaves=1"),
        ({"grow_policy": "best"}, "grow_policy='best' is not one of depthwise, lossguide"),
        ({"max_bin": 256}, "max_bin=256 must be 2 to 255"),
        ({"max_bin": 1}, "max_bin=1 must be 2 to 255"),
        ({"reg_lambda": -0.5}, "reg_lambda=-0.5 must be at least 0"),
        ({"gamma": np.nan}, "gamma=nan is not a finite number"),
        ({"min_child_samples": 0}, "min_child_samples=0 must be at least 1"),
        ({"subsample": 1.5}, "subsample=1.5 must be above 0 and at most 1"),
        ({"colsample_bytree": 0}, "colsample_bytree=0 must be above 0 and at most 1"),
        ({"base_score": 1.0}, "base_score=1.0"),
        ({"random_state": -1}, "random_state=-1 must be at least 0"),
        ({"random_state": "seed"}, "random_state='seed' is not an integer"),
        ({"importance_type": "cover"}, "importance_type='cover' is not one of gain, total_gain, w"),
    ],
    ids=str,
)
def test_bad_parameters(parameters, text):
    assert_says(text, **parameters)


def test_an_unknown_parameter_is_told_the_nearest_name():
    with pytest.raises(ValueError, match=r"Invalid parameter 'max_dept' .* mean 'max_depth'\?"):
        SecureBoostClassifier().set_params(max_dept=3)
    with pytest.raises(TypeError, match="max_dept"):
        SecureBoostClassifier(max_dept=3)
    with pytest.raises(ConfigError, match=r"model.max_dept: .* Did you mean 'max_depth'\?"):
        make_model({"max_dept": 3})
    assert SecureBoostClassifier().set_params(max_depth=3, n_jobs=1).max_depth == 3


# --- constraints


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"monotone_constraints": {"c9": 1}}, "names 'c9', which is no column"),
        ({"monotone_constraints": {"part1/0": 1}}, "no column. Did you mean 'party1'?"),
        ({"monotone_constraints": {"party1/9": 1}}, "no column. Did you mean 'party1/1'?"),
        ({"monotone_constraints": {"c0": 2}}, "['c0']=2 must be 1 (not falling), -1"),
        ({"monotone_constraints": {"c0": True}}, "['c0']=True must be 1 (not falling), -1"),
        ({"monotone_constraints": [1, 1, 1]}, "has 3 signs for 2 own columns; name a partner's"),
        ({"monotone_constraints": "(1,1)"}, "'(1,1)' is a text; give a dictionary"),
        (
            {"monotone_constraints": {"party1/0": 1}},
            "['party1/0']=1: party 'party1' has declared no sign for this column",
        ),
        ({"monotone_constraints": {"c1": 1}, "categorical_features": ["c1"]}, "have no order"),
        ({"interaction_constraints": [["c0", "c9"]]}, "names 'c9', which is no column"),
        ({"interaction_constraints": ["c0"]}, "holds 'c0'; give lists of column or party names"),
        ({"interaction_constraints": [[]]}, "holds []; give lists of column or party names"),
    ],
    ids=str,
)
def test_bad_constraints(parameters, text):
    assert_says(text, X=X.assign(c1=1), **parameters)


def test_a_sign_that_a_partner_declared_otherwise():
    declared = FeatureParty("bureau", BUREAU, monotone={"c2": -1})
    constraint = {"bureau/0": 1}
    assert_says(
        "['bureau/0']=1: party 'bureau' declared -1 for this column",
        parties=[declared],
        monotone_constraints=constraint,
    )
    fit(parties=[declared], monotone_constraints={"bureau/0": -1})


def test_signs_do_not_go_with_joint_trees():
    assert_says(
        "monotone_constraints do not go with multi_strategy='multi_output_tree'",
        y=np.arange(100) % 3,
        multi_strategy="multi_output_tree",
        monotone_constraints={"c0": 1},
    )


def test_importance_type_is_checked_where_it_is_used():
    model = fit().set_params(importance_type="cover")
    with pytest.raises(ValueError, match="importance_type='cover' is not one of"):
        _ = model.feature_importances_


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"key_bits": 1024, "scheme": "paillier"}, "2048"),
        ({"key_bits": 1024, "scheme": "paillier"}, "key_bits=1024"),
        ({"key_bits": "long", "scheme": "paillier"}, "key_bits='long'"),
        ({"scheme": "rot13"}, "scheme='rot13' is unknown; use one of: paillier, paillier-short-"),
    ],
    ids=str,
)
def test_bad_encryption(parameters, text):
    asked = []

    class Untouched(FeatureParty):
        def connect(self, trainer):
            asked.append(self)
            return super().connect(trainer)

    assert_says(
        text, (CryptoError, ValueError), parties=[Untouched("bureau", BUREAU)], **parameters
    )
    assert not asked  # found out before anybody was called


# --- what goes along with the training


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(
        "secureboost.estimator.train", lambda *_a, **_k: pytest.fail("it has trained")
    )


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        (
            (X, Y.replace("good", "great")),
            "eval_set[1]: the label is none of the 2 classes among the training rows in 50 rows",
        ),
        ((X.iloc[:5], Y.iloc[:4]), "inconsistent numbers of samples: [5, 4]"),
        ((X.iloc[:0], Y.iloc[:0]), "eval_set[1] has no rows"),
        ((X, [None] * 100), "eval_set[1] contains NaN: the label is missing in 100 rows"),
        (
            (X, ["good"] * 100),
            "eval_metric='auc' needs rows of every class; 1 of the 2 classes have none",
        ),
        ((X[["c0"]], Y), "yet now missing:\n- c1"),
        ((X[["c1", "c0"]], Y), "Feature names must be in the same order"),
        (
            (X.set_axis([f"?{i}" for i in range(100)]), Y),
            "eval_set[1], party1: its table lacks 100 of the 100",
        ),
        (
            (X.iloc[[0, 1, 1]], Y.iloc[[0, 1, 1]]),
            "eval_set[1]: ids occur more than once in 2 rows (data rows 2 and 3)",
        ),
        (
            (X.assign(c0=[*X["c0"][:6], 99.0, *X["c0"][7:]]), Y),
            "eval_set[1]: 1 row (data row 7) have ids of training rows or of an earlier set, but "
            "other values. One id must mean one row",
        ),
        ((X.to_numpy(), Y), "X is a ndarray without row ids"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("untrained")
def test_bad_eval_sets_are_found_before_training(pair, text):
    assert_says(text, eval_set=[(X, Y), pair], eval_metric=["auc", "logloss"])


@pytest.mark.usefixtures("untrained")
def test_an_evaluation_set_that_is_no_list_of_pairs():
    text = "eval_set[0] is a DataFrame; eval_set takes a list of pairs (X, y)"
    for eval_set in ((X, Y), [X], X):
        assert_says(text, TypeError, eval_set=eval_set)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([], "sample_weight_eval_set has 0 entries for 1 sets"),
        ([[1.0] * 3], "sample_weight_eval_set[0]: sample_weight.shape == (3,), expected (100,)"),
        ([[-1.0] * 100], "sample_weight_eval_set[0]: Negative values"),
        ([[0.0] * 100], "sample_weight_eval_set[0]"),
    ],
    ids=["sets", "rows", "negative", "zero"],
)
@pytest.mark.usefixtures("untrained")
def test_bad_weights_of_evaluation_sets(weights, text):
    assert_says(text, eval_set=[(X, Y)], sample_weight_eval_set=weights)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"early_stopping_rounds": 0}, "early_stopping_rounds=0 must be a whole number of at lea"),
        ({"early_stopping_rounds": 2.5}, "early_stopping_rounds=2.5 must be a whole number"),
        ({"early_stopping_rounds": True}, "early_stopping_rounds=True must be a whole number"),
        ({"eval_metric": "aucc"}, "eval_metric='aucc' is unknown. Did you mean 'auc'?"),
        (
            {"eval_metric": "rmse"},
            "eval_metric='rmse' does not fit objective='binary:logistic' (binary, predicts "
            "probabilities); auc, aucpr, ks, gini, logloss, error and functions do",
        ),
        ({"eval_metric": []}, "eval_metric: [] must be at least one metric"),
        ({"eval_metric": ["auc", "auc"]}, "eval_metric: ['auc', 'auc'] must be at least one"),
        ({"eval_metric": 5}, "eval_metric=5 is neither a name nor a function"),
        ({"eval_metric": "error@2"}, "eval_metric='error@2'"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("untrained")
def test_bad_metrics(parameters, text):
    assert_says(text, eval_set=[(X, Y)], **parameters)


@pytest.mark.usefixtures("untrained")
def test_early_stopping_needs_rows_to_watch():
    assert_says(
        "Must have at least 1 validation dataset for early stopping: early_stopping_rounds=3 needs "
        "eval_set",
        early_stopping_rounds=3,
    )


@pytest.mark.parametrize("value", ["high", np.nan, None, [0.5]])
def test_a_metric_of_ones_own_gives_a_number(value):
    def mine(y, p):
        return value

    assert_says("eval_metric='mine'", eval_set=[(X, Y)], eval_metric=mine)


# --- numbers to predict

AMOUNTS = np.linspace(1.0, 5.0, 100)


@pytest.mark.parametrize(
    ("objective", "y", "text"),
    [
        ("reg:gamma", [0.0, *AMOUNTS[1:]], "label must be positive for reg:gamma; it is not in 1"),
        ("count:poisson", [-1, *AMOUNTS[1:]], "label must be non-negative for count:poisson"),
        ("reg:tweedie", [-1, *AMOUNTS[1:]], "label must be non-negative for reg:tweedie"),
        ("reg:squarederror", AMOUNTS * 1e39, "label must be a finite number within float32's"),
        ("reg:squarederror", Y, "y holds text or objects; a regression needs numbers"),
        ("reg:squarederror", [np.nan] * 100, "the label is missing in 100 rows"),
        ("binary:logistic", AMOUNTS, "does not fit SecureBoostRegressor; use SecureBoostClassif"),
    ],
)
@pytest.mark.usefixtures("untrained")
def test_bad_targets(objective, y, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        SecureBoostRegressor(objective=objective).fit(X, y)


def test_labels_that_are_all_zero():
    with pytest.raises(ValueError, match="every label of positive weight is zero; reg:tweedie"):
        SecureBoostRegressor(objective="reg:tweedie").fit(X, np.zeros(100))


@pytest.mark.usefixtures("untrained")
def test_bad_targets_of_an_evaluation_set():
    bad = [0.0, *AMOUNTS[1:]]
    with pytest.raises(ValueError, match=r"eval_set\[0\]: y: label must be positive for reg:gamma"):
        SecureBoostRegressor(objective="reg:gamma").fit(X, AMOUNTS, eval_set=[(X, bad)])


@pytest.mark.parametrize("name", ["scale_pos_weight", "class_weight"])
def test_what_is_about_classes(name):
    with pytest.raises(ValueError, match=f"{name}=2 is about classes; use a classifier"):
        SecureBoostRegressor(**{name: 2}).fit(X, AMOUNTS)


def test_several_classes():
    y = np.arange(100) % 3
    assert_says("scale_pos_weight=2.0 is for two classes, y has 3", y=y, scale_pos_weight=2.0)
    assert_says("is for 2 classes, but y has 3", y=y, objective="binary:logistic")
    assert_says(
        "1 of the 3 classes have no rows of positive weight",
        y=y,
        sample_weight=(y > 0).astype(float),
    )


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        ({"bureau": ["c4", "cc"]}, "column_owner names 'cc', which X does not have."),
        ({"bureau": ["c0", "c1"]}, "X must have the label party's columns first"),
        ({"bureau": ["c4", "c3"]}, "X must have the label party's columns first"),
        ({"bureau": ["c4"], "telco": ["c4"]}, "X must have the label party's columns first"),
    ],
)
def test_bad_column_owner(owner, text):
    pooled, _ = pool_tables(X, FEDERATION.tables)
    assert_says(text, DataError, X=pooled, parties=[], column_owner=owner)


def test_column_owner_is_for_pooled_training():
    assert_says("column_owner is for pooled training", DataError, column_owner={"bureau": ["c1"]})


def test_tables_that_cannot_be_pooled():
    with pytest.raises(DataError, match="bureau: its table lacks 1 of the 100 rows"):
        pool_tables(X, {"bureau": BUREAU.drop(index=X.index[0])})


# --- halves


@pytest.fixture
def saved(tmp_path):
    model = fit()
    model.save(tmp_path)
    return tmp_path


def change(path, **changes):
    half = json.loads(path.read_text())
    half.update(changes)
    path.write_text(json.dumps(half))


def test_load_without_a_label_half(tmp_path):
    with pytest.raises(
        ModelError, match=r"label\.json: no such file\. The label party's half of a"
    ):
        SecureBoostClassifier.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"type": "other"}', b"\xff\xfe\0"])
def test_load_a_damaged_half(content, saved):
    for name in ("label", "party1"):
        good = (saved / f"{name}.json").read_bytes()
        (saved / f"{name}.json").write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name}\.json is not a \w+ party's half of a model"):
            SecureBoostClassifier.load(saved)
        (saved / f"{name}.json").write_bytes(good)


def test_load_a_half_that_was_cut_off(saved):
    path = saved / "label.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="is not a label party's half"):
        SecureBoostClassifier.load(saved)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 3}, "model version 3, and this release reads versions 1 and 2"),
        (
            {"model_id": "../../x"},
            "is not a label party's half of a model: Expected `str` matching regex",
        ),
        ({"parameters": {"depth": 3}}, "was not written by SecureBoostClassifier.save"),
        ({"classes": [0, 1, 2]}, "was not written by SecureBoostClassifier.save"),
        ({"objective": "rank:ndcg"}, "was not written by SecureBoostClassifier.save"),
        ({"feature_names": []}, "2 lists of categories for 0 columns"),
        ({"partners": []}, "tree 1: a node has an owner that does not exist"),
    ],
    ids=str,
)
def test_load_a_changed_half(changes, text, saved):
    change(saved / "label.json", **changes)
    with pytest.raises(ModelError, match=re.escape(text)):
        SecureBoostClassifier.load(saved)


@pytest.mark.parametrize("column", ["left", "split", "value", "owner"])
def test_load_a_tree_that_leads_nowhere(column, saved):
    path = saved / "label.json"
    half = json.loads(path.read_text())
    tree = half["trees"][1]
    if column == "left":
        tree["left"][0] = 0
    elif column == "split":
        tree["split"][0] = 999
    elif column == "owner":
        tree["owner"][0] = 7
    else:
        tree["value"].pop()
    path.write_text(json.dumps(half))
    with pytest.raises(ModelError, match=r"label\.json, tree 1: "):
        SecureBoostClassifier.load(saved)


def test_load_a_party_half_with_a_split_on_no_column(saved):
    change(saved / "party1.json", feature_names=[])
    with pytest.raises(ModelError, match="2 lists of categories for 0 columns"):
        SecureBoostClassifier.load(saved)


def test_load_halves_of_two_runs(saved, tmp_path):
    other = tmp_path / "other"
    fit().save(other)
    (saved / "party1.json").write_bytes((other / "party1.json").read_bytes())
    with pytest.raises(ModelError, match=r"party1.*belongs to model"):
        SecureBoostClassifier.load(saved)


def test_join_halves_that_do_not_belong_together():
    first, second = parties(), parties()
    model, other = fit(parties=first), fit(parties=second)
    ours = [party.half(model.label_half_.model_id) for party in first]
    theirs = [party.half(other.label_half_.model_id) for party in second]
    with pytest.raises(ModelError, match="The half of party 'party2' is missing"):
        joined_trees(model.label_half_, ours[:1])
    with pytest.raises(ModelError, match="The half of party 'party1' belongs to model") as caught:
        joined_trees(model.label_half_, theirs)
    assert "Use the halves of one training run." in str(caught.value)
    shorter = msgspec.structs.replace(ours[0], splits=ours[0].splits[:-1])
    with pytest.raises(ModelError, match=r"has \d+ splits over 2 columns; .* expects \d+ over 2"):
        joined_trees(model.label_half_, [shorter, ours[1]])
