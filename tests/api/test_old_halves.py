"""Halves of version 1, whose trees do not say where rows go that a partner lacks."""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from support.cli import run
from support.federation import InsecureKeyClassifier, WatchedParty

from secureboost.errors import ModelError

TREES = {"n_estimators": 2, "max_depth": 2, "scheme": "plain", "random_state": 0}


@pytest.fixture(scope="module")
def tables():
    draws = np.random.default_rng(0)
    ids = pd.Index([f"C{number:03d}" for number in range(80)], name="id")
    lender = pd.DataFrame({"income": draws.normal(size=80)}, index=ids)
    bureau = pd.DataFrame({"late": draws.normal(size=80)}, index=ids)
    return lender, bureau, (lender["income"] + 2 * bureau["late"] > 0).to_numpy()


def fit(tables, parties, **options):
    lender, _, y = tables
    return InsecureKeyClassifier(**TREES).fit(lender, y, parties=parties, **options)


@pytest.fixture
def old(tables, tmp_path):
    """A party, the folder of a model of version 1, and the model."""
    lender, bureau, _ = tables
    party = WatchedParty("bureau", bureau)
    model = fit(tables, [party])
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "label.json"
    half = json.loads(path.read_text())
    assert half["version"] == 2
    path.write_text(json.dumps({**half, "version": 1}))
    read = InsecureKeyClassifier.load(tmp_path / "model")
    return party, tmp_path / "model", read, model.decision_function(lender)


def test_they_score_rows_that_all_have(tables, old):
    party, _, read, scores = old
    assert np.array_equal(read.decision_function(tables[0], parties=[party]), scores)


def test_rows_that_a_party_lacks_are_refused(tables, old):
    party, _, read, _ = old
    n_sessions = len(party.transports)
    text = r"is of version 1, whose trees do not say where rows go that a party lacks .*train again"
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(ModelError, match=text):
            getattr(read, method)(tables[0], parties=[party], unmatched="missing")
    assert len(party.transports) == n_sessions


def test_no_more_do_models_that_begin_with_their_trees(tables, old):
    party, _, read, _ = old
    more = fit(tables, [party], init_model=read)
    assert more.label_half_.version == 1
    with pytest.raises(ModelError, match="is of version 1"):
        more.predict(tables[0], unmatched="missing")


def test_a_model_without_a_partners_split_needs_none(tables):
    half = fit(tables, []).label_half_
    assert half.version == 2
    half.check_unmatched()
    msgspec.structs.replace(half, version=1).check_unmatched()


def test_the_command_says_so_before_it_asks_anybody(tables, old, tmp_path):
    tables[0].to_csv(tmp_path / "lender.csv")
    tables[1].to_csv(tmp_path / "bureau.csv")
    done = run(
        *("predict", old[1], "--data", tmp_path / "lender.csv", "--id", "id"),
        *("--party", f"bureau={tmp_path / 'bureau.csv'}", "--unmatched", "missing"),
    )
    assert done.exit_code == 7, done.output
    assert "is of version 1, whose trees do not say where" in done.stderr
    assert done.stdout == ""
