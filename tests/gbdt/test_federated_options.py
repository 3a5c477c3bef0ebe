"""Federated equals pooled, exactly, for whatever a model is told."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from support.options import Case, cases

SETTINGS = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def plain(case: Case) -> Case:
    case.parameters["scheme"] = "plain"
    return case


@SETTINGS
@given(cases().map(plain))
def test_whatever_a_model_is_told(case):
    parties = case.parties()
    case.assert_twins(case.federated(parties), parties, case.pooled())


@settings(SETTINGS, max_examples=8)
@given(cases(max_rows=50))
def test_under_encryption_too(case):
    parties = case.parties()
    case.assert_twins(case.federated(parties), parties, case.pooled())


@settings(SETTINGS, max_examples=25)
@given(cases().map(plain))
def test_a_model_gone_on_with(case):
    parties = case.parties()
    case.parameters["early_stopping_rounds"] = None
    case.parameters["n_estimators"] = 2
    first, first_twin = case.federated(parties), case.pooled()
    case.parameters["n_estimators"] = 1
    model = case.federated(parties, init_model=first)
    twin = case.pooled(init_model=first_twin)
    case.assert_twins(model, parties, twin)
    # more rounds over the same rows are the rounds that would have come anyway
    case.parameters["n_estimators"] = 3
    in_one_go = case.federated(parties)
    assert np.array_equal(in_one_go.raw_scores(case.own), model.raw_scores(case.own))
