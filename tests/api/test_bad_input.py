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
    joined_trees,
    pool_tables,
)
from secureboost.errors import DataError, ModelError

PARAMETERS = {"n_estimators": 2, "max_bin": 8, "max_depth": 2, "scheme": "plain"}
FEDERATION = Federation(random_table(8, 100, KINDS), (2, 2, 1))
X, Y = FEDERATION.X, FEDERATION.y
BUREAU = FEDERATION.tables["party1"]


def parties():
    return FEDERATION.parties()


def fit(X=X, y=Y, parties=None, **more):
    arguments = {k: more.pop(k) for k in ("sample_weight", "eval_set", "column_owner") if k in more}
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
        (["a", "b", "c", "a"] * 25, "The type of the target is multiclass: it has 3 classes"),
        ([0.5, 1.5] * 50, "Unknown label type: continuous"),
        ([np.nan, *[0.0, 1.0] * 49, 1.0], "the label is missing in 1 row (data row 1)"),
        ([None, *["a", "b"] * 49, "b"], "the label is missing in 1 row (data row 1)"),
        (pd.array([None, *[0, 1] * 49, 1], "Int64"), "the label is missing in 1 row (data row 1)"),
        ([np.inf, *[0.0, 1.0] * 49, 1.0], "Input y contains infinity"),
        ([0, 1] * 49, "inconsistent numbers of samples: [100, 98]"),
    ],
    ids=["one", "three", "numbers", "nan", "None", "NA", "infinite", "short"],
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
        ("married", "column 'c1' is text, not numbers. Encode it as numbers or drop it"),
        (np.inf, "column 'c1' is infinite or beyond the range of 32-bit floats"),
        (1e300, "column 'c1' is infinite or beyond"),
        (1j, "column 'c1' is complex"),
        (pd.Timestamp(2020, 1, 1), "column 'c1' holds dates or times"),
    ],
    ids=["text", "infinite", "huge", "complex", "date"],
)
def test_columns_that_are_no_numbers(values, text):
    with pytest.raises(DataError) as caught:
        fit(X=X.assign(c1=values))
    assert f"label party: {text}" in str(caught.value)
    for value in ("married", "1e+300", "2020"):
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


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((X, Y.replace("good", "great")), "eval_set[1]: the label is neither of the two training"),
        ((X.iloc[:5], Y.iloc[:4]), "inconsistent numbers of samples: [5, 4]"),
        ((X, ["good"] * 100), "eval_set[1] has one class; its metrics need both"),
        ((X[["c0"]], Y), "yet now missing:\n- c1"),
        ((X.set_axis([f"?{i}" for i in range(100)]), Y), "party1: its table lacks 100 of the 100"),
        ((X.to_numpy(), Y), "X is a ndarray without row ids"),
    ],
)
def test_bad_eval_sets_are_found_before_training(pair, text, monkeypatch):
    monkeypatch.setattr("secureboost.api.train", lambda *_a, **_k: pytest.fail("it has trained"))
    assert_says(text, eval_set=[(X, Y), pair])


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
        ({"version": 2}, "model version 2, and this release reads version 1"),
        ({"model_id": "../../x"}, "the model id is not 32 hexadecimal digits"),
        ({"parameters": {"depth": 3}}, "was not written by SecureBoostClassifier.save"),
        ({"classes": [0, 1, 2]}, "was not written by SecureBoostClassifier.save"),
        ({"objective": "rank:ndcg"}, "was not written by SecureBoostClassifier.save"),
        ({"feature_names": []}, "names a split that does not exist"),
        ({"partners": []}, "names a split that does not exist"),
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
    with pytest.raises(ModelError, match="names a column that the half does not have"):
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
