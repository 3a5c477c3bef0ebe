"""Trained models as XGBoost files: what is in them, what is checked, who must agree."""

import dataclasses
import importlib
import json
import warnings

import msgspec
import numpy as np
import pandas as pd
import pytest

from secureboost import SecureBoostClassifier, SecureBoostRegressor
from secureboost.errors import ConsentError, DataError, ModelError
from secureboost.export import taking_out, xgboost_trees
from secureboost.export.checks import OWN_READER
from secureboost.export.reader import walk_document
from secureboost.export.taking_out import recheck
from secureboost.export.vectors import read_vectors


def take_out(model, credit, **options):
    released = credit.party.release(model.label_half_.model_id, purpose="a test")
    return model.to_xgboost([released], **options)


def scores_of(model, frame):
    """Raw scores, one column for each output."""
    return model.raw_scores(frame).reshape(len(frame), -1)


def margins_of(taken_out, frame):
    booster = taken_out.booster()
    return booster.predict(taken_out.matrix(frame), output_margin=True).reshape(len(frame), -1)


REGRESSIONS = [
    "reg:squarederror",
    "reg:pseudohubererror",
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
]


@pytest.mark.parametrize("objective", REGRESSIONS)
def test_regressions_predict_the_same(objective, credit, parameters):
    pytest.importorskip("xgboost")
    own = {"huber_slope": 2.0} if objective == "reg:pseudohubererror" else {}
    model = SecureBoostRegressor(objective=objective, **parameters, **own)
    model.fit(credit.lender, credit.amount, parties=[credit.party])
    taken_out = take_out(model, credit)
    np.testing.assert_allclose(
        margins_of(taken_out, credit.pooled), scores_of(model, credit.lender), rtol=1e-6, atol=1e-6
    )
    predicted = taken_out.booster().predict(taken_out.matrix(credit.pooled))
    np.testing.assert_allclose(predicted, model.predict(credit.lender), rtol=1e-5)


def test_two_classes_predict_the_same(model, release, credit):
    pytest.importorskip("xgboost")
    taken_out = model.to_xgboost([release])
    predicted = taken_out.booster().predict(taken_out.matrix(credit.pooled))
    np.testing.assert_allclose(predicted, model.predict_proba(credit.lender)[:, 1], atol=1e-6)


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_classes_predict_the_same(strategy, credit, parameters):
    pytest.importorskip("xgboost")
    model = SecureBoostClassifier(**parameters, multi_strategy=strategy)
    model.fit(credit.lender, credit.grade, parties=[credit.party])
    taken_out = take_out(model, credit)
    predicted = taken_out.booster().predict(taken_out.matrix(credit.pooled))
    np.testing.assert_allclose(predicted, model.predict_proba(credit.lender), atol=1e-6)
    assert taken_out.vectors.classes == ("A", "B", "C")


def squared(y_true, y_pred):
    """A function for two classes, and for three."""
    wanted = y_true if y_pred.ndim == 1 else np.eye(3)[y_true.astype(int)]
    return y_pred - wanted, np.ones_like(y_pred)


@pytest.mark.parametrize("target", ["bad", "grade"])
def test_an_objective_of_ones_own_gives_raw_scores(target, credit, parameters):
    pytest.importorskip("xgboost")
    model = SecureBoostClassifier(**parameters, objective=squared)
    model.fit(credit.lender, getattr(credit, target), parties=[credit.party])
    taken_out = take_out(model, credit)
    assert json.loads(taken_out.json)["learner"]["objective"]["name"] == "reg:squarederror"
    predicted = taken_out.booster().predict(taken_out.matrix(credit.pooled))
    expected = model.raw_scores(credit.lender)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6, atol=1e-6)


def test_early_stopping_keeps_the_best_rounds(credit, parameters):
    pytest.importorskip("xgboost")
    train, test = credit.lender.iloc[:250], credit.lender.iloc[250:]
    model = SecureBoostClassifier(
        **{**parameters, "n_estimators": 60, "learning_rate": 1.0, "early_stopping_rounds": 3}
    )
    model.fit(train, credit.bad[:250], parties=[credit.party], eval_set=[(test, credit.bad[250:])])
    assert model.best_iteration_ < 55
    taken_out = take_out(model, credit)
    assert taken_out.booster().num_boosted_rounds() == model.best_iteration_ + 1
    found = margins_of(taken_out, credit.pooled.iloc[250:])
    np.testing.assert_allclose(found, scores_of(model, test), rtol=1e-6, atol=1e-6)


def test_a_model_of_one_table_needs_nobody(credit, parameters):
    model = SecureBoostClassifier(**parameters).fit(credit.lender.to_numpy()[:, [0, 2]], credit.bad)
    taken_out = model.to_xgboost()
    assert [column.name for column in taken_out.vectors.columns] == ["x0", "x1"]
    assert taken_out.vectors.consents == ()


def test_a_hundred_trees_stay_within_a_millionth(credit, parameters):
    pytest.importorskip("xgboost")
    model = SecureBoostClassifier(
        **{**parameters, "n_estimators": 100, "learning_rate": 0.05, "min_child_weight": 5}
    )
    model.fit(credit.lender, credit.bad, parties=[credit.party])
    taken_out = take_out(model, credit)
    expected = scores_of(model, credit.lender)
    found = margins_of(taken_out, credit.pooled)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    vectors = taken_out.vectors
    assert len(vectors.rows) == taking_out.MAX_SAVED_ROWS
    assert {len(leaves) for leaves in vectors.leaves} == {100}
    # added up in double precision, what is in the file is as exact as float32 leaves can be
    walked = walk_document(json.loads(taken_out.json), np.array(vectors.rows, np.float32))
    assert np.abs(walked.margins - vectors.margins).max() < 1e-6


# --- consent


def test_without_consent_all_who_lack_it_are_named(model, release):
    with pytest.raises(ConsentError, match=r"'bureau' has not consented.*secureboost release"):
        model.to_xgboost()
    partners = model.label_half_.partners
    half = msgspec.structs.replace(
        model.label_half_,
        partners=(*partners, msgspec.structs.replace(partners[0], name="telco", n_splits=0)),
    )
    with pytest.raises(ConsentError, match="'telco' has not consented"):
        taking_out.to_xgboost(
            half, [release], include_cover=False, category_names=False, certificates=None
        )
    with pytest.raises(ConsentError, match="'bureau', 'telco' have not consented"):
        taking_out.to_xgboost(
            half, [], include_cover=False, category_names=False, certificates=None
        )


def test_the_file_tells_who_has_consented(model, release):
    taken_out = model.to_xgboost([release])
    attributes = json.loads(taken_out.json)["learner"]["attributes"]
    (consent,) = json.loads(attributes["secureboost_consents"])
    assert (consent["party"], consent["purpose"]) == ("bureau", "monitoring")
    assert taken_out.vectors.consents == (release.consent,)


# --- files and checks


def test_files_are_written_and_checked_again(model, release, tmp_path):
    path = tmp_path / "deep" / "model.json"
    release.save(tmp_path / "half.json")
    taken_out = model.to_xgboost([tmp_path / "half.json"], path=path)
    assert path.read_bytes() == taken_out.json
    assert path.stat().st_mode & 0o777 == 0o600
    assert recheck(path) == taken_out.vectors.checked_with
    vectors = read_vectors(tmp_path / "deep" / "model.vectors.json")
    assert vectors == taken_out.vectors
    assert any(value is None for row in vectors.rows for value in row)


def test_recheck_notices_another_model_and_other_numbers(model, release, tmp_path):
    path = tmp_path / "model.json"
    model.to_xgboost([release], path=path)
    vectors = tmp_path / "model.vectors.json"
    untouched = vectors.read_bytes()
    changed = json.loads(untouched)
    changed["margins"][7][0] += 1e-3
    vectors.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match=r"margins that differ by up to 0\.001"):
        recheck(path)
    changed = json.loads(untouched)
    changed["leaves"][7][0] += 1
    vectors.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match="sends test row 7 to another leaf of tree 0"):
        recheck(path)
    changed["rows"].pop()
    vectors.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match="lists differ in length"):
        recheck(path)
    vectors.write_bytes(untouched)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match="its hash is another"):
        recheck(path)
    vectors.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        recheck(path)


def test_a_wrong_translation_writes_nothing(model, release, tmp_path, monkeypatch):
    right = xgboost_trees.make_cut

    def wrong(split, categories):
        cut = right(split, categories)
        return dataclasses.replace(cut, default_left=not cut.default_left)

    monkeypatch.setattr(xgboost_trees, "make_cut", wrong)
    with pytest.raises(ModelError, match="to another leaf of tree"):
        model.to_xgboost([release], path=tmp_path / "model.json")
    assert not list(tmp_path.iterdir())


def test_strict_inequality_is_noticed_at_the_threshold(model, release, monkeypatch):
    """What the vectors are for: without `nextafter` only values at a threshold differ."""
    right = xgboost_trees.make_cut

    def wrong(split, categories):
        cut = right(split, categories)
        if split.threshold is None:
            return cut
        return dataclasses.replace(cut, condition=np.float32(split.threshold))

    monkeypatch.setattr(xgboost_trees, "make_cut", wrong)
    with pytest.raises(ModelError, match="to another leaf of tree"):
        model.to_xgboost([release])


def test_without_xgboost_the_own_reader_checks(model, release, monkeypatch):
    real = importlib.import_module

    def absent(name):
        if name == "xgboost":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    taken_out = model.to_xgboost([release])
    assert taken_out.vectors.checked_with == (OWN_READER,)
    assert "xgboost" not in repr(taken_out)


# --- data frames


def test_frames_are_coded_as_the_model_knows_them(model, release, credit):
    pytest.importorskip("xgboost")
    taken_out = model.to_xgboost([release])
    frame = credit.pooled
    unseen = frame.copy()
    unseen["branch"] = "somewhere else"
    lender = credit.lender.assign(branch="somewhere else")
    shuffled = unseen[unseen.columns[::-1]].assign(more=1)
    np.testing.assert_allclose(
        margins_of(taken_out, shuffled), scores_of(model, lender), rtol=1e-6, atol=1e-6
    )
    with pytest.raises(DataError, match=r"lacks 1 of the model's columns.*'bureau.income'"):
        taken_out.matrix(frame.drop(columns="bureau.income"))
    with pytest.raises(DataError, match="'age' holds text or categories"):
        taken_out.matrix(frame.assign(age="old"))


def test_names_of_categories_for_frames_of_xgboost(model, release, credit):
    xgboost = pytest.importorskip("xgboost", minversion="3.2")  # 3.1 stumbles over pandas 3
    frame = credit.pooled
    for name in ("branch", "bureau.sector"):
        values = frame[name]
        frame[name] = pd.Categorical(values, sorted(values.dropna().unique(), reverse=True))
    booster = model.to_xgboost([release], category_names=True).booster()
    found = booster.predict(xgboost.DMatrix(frame, enable_categorical=True), output_margin=True)
    np.testing.assert_allclose(found, model.raw_scores(credit.lender), atol=2e-6)


# --- other readers


def quiet_explainer(booster):
    shap = pytest.importorskip("shap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shap.TreeExplainer(booster)


def test_shap_adds_up_to_our_scores(model, release, credit):
    taken_out = model.to_xgboost([release], include_cover=True)
    explainer = quiet_explainer(taken_out.booster())
    values = explainer.shap_values(taken_out.matrix(credit.pooled))
    total = values.sum(axis=1) + explainer.expected_value
    np.testing.assert_allclose(total, model.raw_scores(credit.lender), atol=2e-6)


def test_shap_without_categories_takes_frames(credit, parameters):
    lender = credit.lender[["age", "term"]]
    model = SecureBoostRegressor(**parameters).fit(lender, credit.amount)
    explainer = quiet_explainer(model.to_xgboost(include_cover=True).booster())
    explanation = explainer(lender)
    total = explanation.values.sum(axis=1) + explanation.base_values
    np.testing.assert_allclose(total, model.raw_scores(lender), rtol=1e-5, atol=1e-5)


def test_without_covers_path_dependent_shap_gives_no_numbers(model, release, credit):
    pytest.importorskip("xgboost")
    taken_out = model.to_xgboost([release])
    booster = taken_out.booster()
    contributions = booster.predict(taken_out.matrix(credit.pooled), pred_contribs=True)
    assert np.isnan(contributions[:, -1]).all()


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_treelite_reads_the_file(strategy, credit, parameters, tmp_path):
    treelite = pytest.importorskip("treelite")
    model = SecureBoostClassifier(**parameters, multi_strategy=strategy)
    model.fit(credit.lender, credit.grade, parties=[credit.party])
    path = tmp_path / "model.json"
    taken_out = take_out(model, credit, path=path)
    read = treelite.frontend.load_xgboost_model(str(path), format_choice="use_suffix")
    rows = np.array(taken_out.vectors.rows, dtype=np.float32)  # None becomes NaN
    margins = treelite.gtil.predict(read, rows, pred_margin=True).reshape(len(rows), -1)
    np.testing.assert_allclose(margins, taken_out.vectors.margins, rtol=1e-6, atol=2e-6)
