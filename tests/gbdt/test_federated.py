"""The promise of the project: federated training is pooled training, with ``==``."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.boosting import booster_params
from support.federation import Federation
from support.tables import KINDS, random_table, shards, tables

from secureboost import FeatureParty, SecureBoostClassifier, joined_trees

SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@st.composite
def federations(draw: st.DrawFn, max_rows: int = 150) -> Federation:
    """Strategy: a random table over a label party and 1 to 4 feature parties."""
    table = draw(tables(min_features=2, max_features=8, max_rows=max_rows))
    n_features = table.X.shape[1]
    counts = draw(shards(n_features).filter(lambda counts: len(counts) > 1 and counts[0] > 0))
    return Federation(table, counts, draw(st.integers(0, 1000)))


def parameters_of(params):
    return {**asdict(params), "n_jobs": 1}


@settings(max_examples=150, **SLOW)
@given(federations(), booster_params())
def test_federated_is_pooled(federation, params):
    federation.check(**parameters_of(params), scheme="plain")


@settings(max_examples=25, **SLOW)
@given(federations(max_rows=50), booster_params(n_estimators=2))
def test_federated_is_pooled_under_paillier(federation, params):
    federation.check(**parameters_of(params), scheme="paillier")


CASES = {
    "depthwise": {"max_depth": 4},
    "lossguide": {"grow_policy": "lossguide", "max_depth": 0, "max_leaves": 9},
    "both limits": {"grow_policy": "lossguide", "max_depth": 3, "max_leaves": 6},
    "sampling": {"subsample": 0.6, "colsample_bytree": 0.4, "random_state": 3},
    "min_child_samples": {"min_child_samples": 7, "min_child_weight": 0.0},
    "sampling and min_child_samples": {
        "subsample": 0.7,
        "colsample_bytree": 0.6,
        "min_child_samples": 5,
        "random_state": 1,
        "grow_policy": "lossguide",
        "max_leaves": 12,
    },
    "penalties": {"reg_alpha": 0.3, "reg_lambda": 0.0, "gamma": 0.2, "max_delta_step": 0.7},
    "fine bins": {"max_bin": 255},
    "base_score": {"base_score": 0.2},
}


@pytest.mark.parametrize("n_parties", [1, 2, 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_every_setting_with_every_number_of_parties(case, n_parties):
    table = random_table(n_parties, 200, KINDS + KINDS, weighted=n_parties % 2 == 0, missing=0.2)
    counts = {1: (4, 6), 2: (1, 5, 4), 3: (4, 1, 2, 3), 4: (2, 2, 2, 2, 2)}[n_parties]
    parameters = {"n_estimators": 4, "max_bin": 16, "n_jobs": 2} | CASES[case]
    model = Federation(table, counts).check(**parameters, scheme="plain")
    assert sum(partner.n_splits for partner in model.label_half_.partners) > 0


def test_both_threads_and_one():
    federation = Federation(random_table(1, 300, KINDS), (2, 3))
    first = federation.check(n_estimators=3, scheme="paillier", n_jobs=1, max_bin=8)
    second = federation.check(n_estimators=3, scheme="paillier", n_jobs=2, max_bin=8)
    assert np.array_equal(
        first.decision_function(federation.X), second.decision_function(federation.X)
    )


def test_under_a_2048_bit_key():
    federation = Federation(random_table(7, 80, ("continuous", "few", "continuous")), (1, 2))
    parameters = {"n_estimators": 1, "max_depth": 2, "max_bin": 8}
    parties = [FeatureParty(name, table) for name, table in federation.tables.items()]
    model = SecureBoostClassifier(**parameters).fit(
        federation.X, federation.y, parties=parties, sample_weight=federation.weight
    )
    halves = [party.half(model.label_half_.model_id) for party in parties]
    federation.assert_twins(model, halves, **parameters)
    assert model.label_half_.partners[0].n_splits > 0


def test_a_partner_whose_columns_never_win():
    table = random_table(3, 100, ("continuous", "few", "constant", "missing"), missing=0.0)
    model = Federation(table, (2, 1, 1)).check(n_estimators=2, scheme="plain")
    assert [partner.n_splits for partner in model.label_half_.partners] == [0, 0]


def test_trees_without_a_split():
    federation = Federation(random_table(3, 60, ("continuous", "few")), (1, 1))
    model = federation.check(n_estimators=2, gamma=1e9, scheme="plain")
    assert all(len(tree.owner) == 1 for tree in model.label_half_.trees)


def test_many_blocks_of_gradients(monkeypatch):
    monkeypatch.setattr("secureboost.gbdt.remote.BLOCK_ROWS", 7)
    federation = Federation(random_table(5, 150, KINDS), (2, 2, 1))
    federation.check(n_estimators=2, subsample=0.8, random_state=0, scheme="plain")


def test_prediction_in_many_chunks(monkeypatch):
    monkeypatch.setattr("secureboost.gbdt.scoring.ROUTE_BYTES", 5)
    federation = Federation(random_table(5, 150, KINDS), (2, 2, 1))
    federation.check(n_estimators=2, scheme="plain")


def test_each_fit_has_its_own_model_id_and_both_stay_usable():
    federation = Federation(random_table(2, 120, KINDS), (2, 3))
    parties = federation.parties()
    first = federation.fit(parties, n_estimators=1, scheme="plain")
    before = first.decision_function(federation.X)
    second = federation.fit(parties, n_estimators=5, scheme="plain")
    assert first.label_half_.model_id != second.label_half_.model_id
    assert np.array_equal(first.decision_function(federation.X), before)
    assert set(parties[0].store.halves) == {
        first.label_half_.model_id,
        second.label_half_.model_id,
    }


def test_neither_half_holds_the_others_secrets():
    federation = Federation(random_table(2, 120, KINDS), (2, 3))
    parties = federation.parties()
    model = federation.fit(parties, n_estimators=3, scheme="plain")
    half = model.label_half_
    for tree in half.trees:
        for node, owner in enumerate(tree.owner):
            if owner > 0:
                assert tree.threshold[node] is None
                assert tree.bin[node] == -1
    assert len(joined_trees(half, [p.half(half.model_id) for p in parties])) == 3
