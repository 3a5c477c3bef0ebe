"""Split is pooled: with ``==``, for any number of parties, pipeline depth and kind of label."""

import numpy as np
import pytest
import torch
from support.nets import QUICK, Net, weights_of
from support.serving import Companies

from secureboost import FeatureParty, SplitNNClassifier, SplitNNRegressor, pool_tables
from secureboost.splitnn import network
from secureboost.splitnn.architectures.mlp import MLPBottom
from secureboost.splitnn.model import BottomHead, decode_half
from secureboost.splitnn.options import Choice
from secureboost.splitnn.store import MemoryBottoms
from secureboost.splitnn.terms import NetTerms


@pytest.fixture(scope="module")
def nets():
    return {n_parties: Net(n_parties) for n_parties in (1, 2, 3)}


def check(net, y=None, kind=SplitNNClassifier, **parameters):
    parties = net.parties()
    model = net.fit(parties, y, kind, **parameters)
    net.assert_twins(model, parties, y, kind, **parameters)
    return model


@pytest.mark.parametrize("in_flight", [1, 2, 4])
@pytest.mark.parametrize("n_parties", [1, 2, 3])
def test_split_is_pooled(nets, n_parties, in_flight):
    check(nets[n_parties], in_flight=in_flight)


def test_evaluated_in_slices(nets, monkeypatch):
    """No network sees more rows at a time than it may, and split is pooled all the same."""
    monkeypatch.setattr(network, "EVALUATED_ROWS", 16)
    evaluated, forward = [], MLPBottom.forward

    def note(module, numbers, codes):
        evaluated.append(0 if module.training else len(numbers))
        return forward(module, numbers, codes)

    monkeypatch.setattr(MLPBottom, "forward", note)
    check(nets[2])
    assert 8 < max(evaluated) <= 16


@pytest.mark.parametrize("in_flight", [1, 3])
def test_with_local_steps(nets, in_flight):
    check(nets[2], in_flight=in_flight, local_steps=2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-3},
        {"optimizer": "adamw", "weight_decay": 1e-2, "max_norm": 0.1},
        {"bottom_options": {"dropout": 0.3, "embedding": 3}, "top_options": {"dropout": 0.2}},
        {"batch_size": 1000, "n_epochs": 1},
        {"batch_size": 7, "in_flight": 8},
        {"dtype": "float32"},
        {"class_weight": "balanced"},
        {"early_stopping_rounds": 1, "n_epochs": 6, "learning_rate": 0.3},
    ],
    ids=lambda parameters: ",".join(parameters),
)
def test_whatever_the_parameters(nets, parameters):
    check(nets[1], **parameters)


def test_several_classes(nets):
    model = check(nets[2], nets[2].grade)
    assert model.predict_proba(nets[2].X).shape == (len(nets[2].X), 3)


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:gamma", "reg:pseudohubererror"])
def test_a_regression(nets, objective):
    net = nets[1]
    y = net.amount - net.amount.min() + 1.0
    slope = {"huber_slope": 500.0} if "huber" in objective else {}
    check(net, y, SplitNNRegressor, objective=objective, **slope)


def test_an_objective_of_the_users_own(nets):
    def squared(y_true, y_pred):
        return y_pred - y_true, np.ones_like(y_true)

    model = check(nets[1], nets[1].amount / 1e4, SplitNNRegressor, objective=squared)
    assert np.isnan(model.training_loss_).all()


def test_a_label_party_without_columns(nets):
    net = nets[2]
    empty = net.X[[]]
    parties = net.parties()
    n = 100
    model = SplitNNClassifier(**QUICK).fit(
        empty.iloc[:n], net.y[:n], parties=parties, eval_set=[(empty.iloc[n:], net.y[n:])]
    )
    pooled, owner = pool_tables(empty, net.tables)
    twin = SplitNNClassifier(**QUICK).fit(
        pooled.iloc[:n],
        net.y[:n],
        column_owner=owner,
        eval_set=[(pooled.iloc[n:], net.y[n:])],
    )
    assert model.evals_result_ == twin.evals_result_
    assert np.array_equal(model.raw_scores(empty), twin.raw_scores(pooled))
    assert model.n_features_in_ == 0
    assert len(model.label_half_.bottoms) == 0


def test_over_grpc(nets, tmp_path):
    net = nets[2]
    with Companies(tmp_path) as companies:
        terms = {name: NetTerms(store=MemoryBottoms()) for name in net.tables}
        parties = [
            companies.serve(name, table, terms[name])[0] for name, table in net.tables.items()
        ]
        model = net.fit(parties, in_flight=4)
        for party in parties:
            party.nets = terms[party.name]
        net.assert_twins(model, parties, in_flight=4)
        assert model.traffic_["party1"]["Exchange"].messages > 10


def test_batches_in_flight_change_the_model_and_one_does_not(nets):
    net = nets[1]
    scores = [
        net.fit(net.parties(), in_flight=in_flight, batch_size=16).raw_scores(net.X)
        for in_flight in (1, 1, 2)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_without_a_stated_seed_every_run_is_another(nets):
    net = nets[1]
    parties = net.parties()
    models = [net.fit(parties, random_state=None) for _ in range(2)]
    first, second = (weights_of(model, parties) for model in models)
    assert not any(np.array_equal(first[name], second[name]) for name in first if "weight" in name)
    message = next(
        request
        for request, _ in _messages(net, random_state=None)
        if type(request).__name__ == "SetupBottom"
    )
    assert message.initial_seed is None


def _messages(net, **parameters):
    (party,) = net.watched()
    net.fit([party], **parameters)
    return party.messages()


def test_evaluating_the_training_rows_too(nets):
    net = nets[1]
    parties = net.parties()
    sets = [(net.X, net.y), (net.X.iloc[::2], net.y[::2])]
    model = SplitNNClassifier(**QUICK).fit(net.X, net.y, parties=parties, eval_set=sets)
    pooled, owner = pool_tables(net.X, net.tables)
    twin = SplitNNClassifier(**QUICK).fit(
        pooled,
        net.y,
        column_owner=owner,
        eval_set=[(pooled, net.y), (pooled.iloc[::2], net.y[::2])],
    )
    # without ids the twin scores doubled rows twice, in other places: the same numbers
    expected = twin.evals_result_["validation_0"]
    assert model.evals_result_["validation_0"] == expected
    assert model.evals_result_["validation_1"]["logloss"] == pytest.approx(
        twin.evals_result_["validation_1"]["logloss"], rel=1e-12
    )


def test_torch_is_as_it_was(nets):
    before = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(2)
    net = nets[1]
    net.fit(net.parties())
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.random.get_rng_state(), before[1])
    torch.set_num_threads(before[0])


def test_a_party_may_have_its_own_bottom(nets):
    net = nets[1]
    own = Choice("mlp", {"hidden": (3, 3)})
    party = FeatureParty("party1", net.tables["party1"], nets=NetTerms(architecture=own))
    model = net.fit([party])
    head, weights = decode_half(
        party.nets.store.load(model.label_half_.model_id), BottomHead, "half"
    )
    assert head.architecture == own
    assert weights["layers.0.weight"].shape[0] == 3
