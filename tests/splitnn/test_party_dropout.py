"""Party dropout: what is left out, that the twin leaves the same out, and what it is good for."""

import msgspec
import numpy as np
import pytest
from support.nets import QUICK, Net
from support.serving import Companies

from parties.errors import PartyError, PeerUnreachableError
from secureboost import FeatureParty, MissingPartyWarning, SplitNNClassifier, pool_tables
from secureboost.errors import ConfigError, DataError, ModelError
from secureboost.splitnn.batches import Batches
from secureboost.splitnn.codecs import get_codec
from secureboost.splitnn.party_dropout import DroppedRows
from secureboost.splitnn.payload import unpack
from secureboost.splitnn.protocol import NO_BATCH, Exchange, FinishBottom, KeepBottom
from secureboost.splitnn.store import MemoryBottoms
from secureboost.splitnn.terms import NetTerms

DROPOUT = {"party_dropout": 0.3}


@pytest.fixture(scope="module")
def nets():
    return {n_parties: Net(n_parties) for n_parties in (1, 2, 3)}


@pytest.fixture(scope="module")
def two(nets):
    """A network that has learnt to do without either of two parties."""
    net = nets[2]
    parties = net.parties()
    return net, parties, net.fit(parties, **DROPOUT)


def without(model, X, *missing, **options):
    with pytest.warns(MissingPartyWarning, match=", ".join(f"'{name}'" for name in missing)):
        return model.raw_scores(X, without=missing, **options)


def check(net, **parameters):
    parties = net.parties()
    model = net.fit(parties, **DROPOUT | parameters)
    twin = net.assert_twins(model, parties, **DROPOUT | parameters)
    assert model.metrics_without_ == twin.metrics_without_
    return model, twin


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("n_parties", [1, 2, 3])
def test_split_is_pooled(nets, n_parties, in_flight):
    check(nets[n_parties], in_flight=in_flight)


@pytest.mark.parametrize(
    "parameters",
    [
        {"architecture": "deepfm", "bottom_options": {"factors": 2}, "top_options": {"factors": 2}},
        {"codec": "topk:0.5+int8", "in_flight": 2},
        {"local_steps": 2},
        {"early_stopping_rounds": 1, "n_epochs": 6, "learning_rate": 0.3},
        {"label_protections": [{"max_norm": {"unsafe_seeded": True}}]},
    ],
    ids=lambda parameters: ",".join(parameters),
)
def test_whatever_the_parameters(nets, parameters):
    model, twin = check(nets[2], **parameters)
    scores = without(model, nets[2].X, "party2")
    assert np.array_equal(scores, without(twin, _pooled(nets[2]), "party2"))
    assert not np.array_equal(scores, model.raw_scores(nets[2].X))


def test_with_a_body(nets):
    net, u_shaped = nets[2], {"body": "party1", "body_width": 3}
    model = net.fit(net.parties(), **u_shaped, **DROPOUT)
    twin = net.fit_pooled(**u_shaped, **DROPOUT)
    assert model.training_loss_ == twin.training_loss_
    assert model.metrics_without_ == twin.metrics_without_
    assert list(model.metrics_without_) == ["", "party2"]
    assert np.array_equal(model.raw_scores(net.X), twin.raw_scores(_pooled(net)))
    assert np.array_equal(without(model, net.X, "party2"), without(twin, _pooled(net), "party2"))
    with pytest.raises(ModelError, match="'party1' computes the body"):
        model.predict(net.X, without=["party1"])


def test_over_grpc(nets, tmp_path):
    net = nets[2]
    with Companies(tmp_path) as companies:
        terms = {name: NetTerms(store=MemoryBottoms()) for name in net.tables}
        parties = [
            companies.serve(name, table, terms[name])[0] for name, table in net.tables.items()
        ]
        model = net.fit(parties, in_flight=2, **DROPOUT)
        twin = net.fit_pooled(in_flight=2, **DROPOUT)
        assert model.metrics_without_ == twin.metrics_without_
        assert np.array_equal(model.raw_scores(net.X), twin.raw_scores(_pooled(net)))
        alone = without(model, net.X, "party2")
    # now party2 is down: what it would have given is not asked for, and only if that is said
    with pytest.raises(PeerUnreachableError):
        model.raw_scores(net.X)
    assert np.array_equal(alone, without(twin, _pooled(net), "party2"))


def _pooled(net):
    return pool_tables(net.X, net.tables)[0]


def test_the_rate_is_kept_rows_and_parties_are_drawn_apart():
    batches = Batches(100_000, 50_000, 1)
    first, second = (DroppedRows(0.3, batches, seed) for seed in (1, 2))
    kept = [dropped.kept(number)[:, 0].numpy() for dropped in (first, second) for number in (0, 1)]
    for drawn in kept:
        assert np.mean(~drawn) == pytest.approx(0.3, abs=0.01)
    for other in kept[1:]:
        assert abs(np.corrcoef(kept[0], other)[0, 1]) < 0.02
    assert np.array_equal(kept[0], first.kept(0)[:, 0].numpy())


@pytest.mark.parametrize("codec", ["identity", "int8", "fp8", "topk:0.5"])
def test_the_party_is_told_zeros_for_the_rows_it_was_left_out_of_and_nothing_else(nets, codec):
    net = nets[1]
    (party,) = net.watched()
    net.fit([party], codec=codec, cut_width=16, **DROPOUT)
    width = 16
    read = get_codec(codec)
    shares, sent = [], {}
    for request, reply in party.messages():
        if not isinstance(request, Exchange):
            continue
        if request.gradient_of != NO_BATCH:
            activations = sent.pop(request.gradient_of)
            arrays = unpack(
                request.gradient, read.gradient_layout(len(activations[0]), width, "float64")
            )
            gradient = read.decode_gradient(arrays, activations, width, "float64")
            shares.append(float((gradient == 0).all(dim=1).float().mean()))
        if request.forward != NO_BATCH:
            sent[request.forward] = unpack(
                reply.payload, read.layout(reply.n_rows, width, "float64")
            )
    assert np.mean(shares) == pytest.approx(0.3, abs=0.1)


def test_which_rows_are_left_out_has_nothing_to_do_with_labels(nets):
    net, other = nets[1], Net(1)
    other.y = other.y[::-1]
    patterns = [_zero_rows(some) for some in (net, other)]
    assert np.array_equal(*patterns)


def _zero_rows(net):
    (party,) = net.watched()
    net.fit([party], n_epochs=1, cut_width=16, **DROPOUT)
    gradients = [
        request.gradient.view(np.float64).reshape(-1, 16)
        for request, _ in party.messages()
        if isinstance(request, Exchange) and request.gradient_of != NO_BATCH
    ]
    return np.concatenate([(gradient == 0).all(axis=1) for gradient in gradients])


def test_nothing_is_left_out_without_it(nets):
    net = nets[1]
    (party,) = net.watched()
    model = net.fit([party], cut_width=16)
    for request, _ in party.messages():
        if isinstance(request, Exchange) and request.gradient_of != NO_BATCH:
            gradient = request.gradient.view(np.float64).reshape(-1, 16)
            assert (gradient != 0).any(axis=1).all()
    assert model.metrics_without_ == {}


def test_the_report_is_what_prediction_without_a_party_gives(two):
    net, _, model = two
    n = len(net.X) * 3 // 4
    assert list(model.metrics_without_) == ["", "party1", "party2"]
    y = net.y[n:] == "good"
    for missing, metrics in model.metrics_without_.items():
        if missing:
            with pytest.warns(MissingPartyWarning):
                p = model.predict_proba(net.X.iloc[n:], without=[missing])[:, 1]
        else:
            p = model.predict_proba(net.X.iloc[n:])[:, 1]
        expected = -np.mean(np.where(y, np.log(p), np.log1p(-p)))
        assert metrics["validation_0"]["logloss"] == pytest.approx(expected, rel=1e-12)
    last = {name: by[-1] for name, by in model.evals_result_["validation_0"].items()}
    assert model.metrics_without_[""]["validation_0"] == last


def test_the_report_is_of_the_best_epoch(nets):
    model = nets[1].fit(
        nets[1].parties(), early_stopping_rounds=2, n_epochs=8, learning_rate=0.3, **DROPOUT
    )
    assert model.best_iteration_ < len(model.training_loss_) - 1
    assert model.metrics_without_[""]["validation_0"]["logloss"] == model.best_score_


def test_the_report_is_saved(two, tmp_path):
    _, _, model = two
    model.save(tmp_path / "model")
    loaded = SplitNNClassifier.load(tmp_path / "model")
    assert loaded.metrics_without_ == model.metrics_without_
    assert loaded.label_half_.party_dropout == 0.3


def test_the_warning_names_the_party_and_the_loss(two):
    net, _, model = two
    before, after = (
        model.metrics_without_[name]["validation_0"]["logloss"] for name in ("", "party1")
    )
    with pytest.warns(MissingPartyWarning) as caught:
        model.predict(net.X, without=["party1"])
    assert str(caught[0].message) == (
        f"scored without 'party1': logloss of validation_0 was {before:.4f} with all parties and "
        f"{after:.4f} without it"
    )


def test_a_missing_party_is_not_asked_and_need_not_be_named(two):
    net, parties, model = two
    watched = net.watched()
    for mine, theirs in zip(watched, parties, strict=True):
        mine.nets.store.save(
            model.label_half_.model_id, theirs.nets.store.load(model.label_half_.model_id)
        )
    there = without(model, net.X, "party1", parties=watched)
    gone = without(model, net.X, "party1", parties=watched[1:])
    alone = without(model, net.X, "party1", "party2", parties=[])
    assert np.array_equal(there, gone)
    assert watched[0].transports == []
    assert len(np.unique(alone)) > 1


def test_rows_that_a_party_lacks_are_scored_as_without_it(two):
    net, parties, model = two
    has = np.random.default_rng(0).random(len(net.X)) < 0.6
    lacking = FeatureParty("party1", net.tables["party1"].loc[net.X.index[has]])
    lacking.nets.store.save(
        model.label_half_.model_id, parties[0].nets.store.load(model.label_half_.model_id)
    )
    now = [lacking, parties[1]]
    with pytest.raises(DataError, match="party1"):
        model.raw_scores(net.X, parties=now)
    scores = model.raw_scores(net.X, parties=now, unmatched="missing")
    expected = np.where(has, model.raw_scores(net.X), without(model, net.X, "party1"))
    assert np.allclose(scores, expected, rtol=1e-12, atol=0)
    assert np.array_equal(scores, model.decision_function(net.X, parties=now, unmatched="missing"))


def test_aligned_rows_that_a_party_lacks(two):
    net, parties, model = two
    has = np.random.default_rng(1).random(len(net.X)) < 0.6
    table = net.tables["party1"].loc[net.X.index[has]]
    lacking = FeatureParty("party1", table, align=True)
    lacking.nets.store.save(
        model.label_half_.model_id, parties[0].nets.store.load(model.label_half_.model_id)
    )
    scores = model.raw_scores(net.X, parties=[lacking, parties[1]], unmatched="missing")
    expected = np.where(has, model.raw_scores(net.X), without(model, net.X, "party1"))
    assert np.allclose(scores, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"without": ["party1"]}, ModelError, r"without=\['party1'\]: model .* party_dropout=0"),
        ({"unmatched": "missing"}, ModelError, "unmatched='missing': model .* party_dropout=0"),
        ({"unmatched": "drop"}, ValueError, "unmatched='drop' is not one of 'error', 'missing'"),
        ({"without": ["party7"]}, ValueError, "names 'party7', .* Did you mean 'party1'"),
        ({"without": [""]}, ValueError, "names '', and the model's feature parties are: 'party1'"),
        ({"without": "party1"}, ValueError, r"is a text; give a list of names: \['party1'\]"),
    ],
)
def test_what_a_model_without_it_refuses(nets, asked, error, text):
    net = nets[1]
    model = net.fit(net.parties(), n_epochs=1)
    with pytest.raises(error, match=text):
        model.predict_proba(net.X, **asked)


def test_somebody_must_be_left(nets):
    net = nets[1]
    empty = net.X[[]]
    model = SplitNNClassifier(**QUICK | DROPOUT).fit(empty, net.y, parties=net.parties())
    with pytest.raises(ValueError, match="leaves nobody whose columns could be scored"):
        model.predict(empty, without=["party1"])
    assert model.metrics_without_ == {}


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"party_dropout": 1.0}, "party_dropout: is 1; it must lie below"),
        ({"party_dropout": -0.1}, "party_dropout: is -0.1; it must be a number from 0 to 1"),
        ({"max_wait": 1.0}, "max_wait: is 1 and party_dropout is 0"),
        ({"max_wait": 0.0, **DROPOUT}, "max_wait: is 0; it must lie above"),
        ({"max_wait": 1e6, **DROPOUT}, "max_wait: is 1000000.0; it must be a number from 0 to"),
    ],
)
def test_limits(nets, parameters, text):
    with pytest.raises(ConfigError, match=text):
        nets[1].fit(nets[1].parties(), **parameters)


def test_there_must_be_somebody_to_leave_out(nets):
    net = nets[1]
    with pytest.raises(ConfigError, match=r"party_dropout: is 0\.3, and there is no feature party"):
        SplitNNClassifier(**QUICK | DROPOUT).fit(net.X, net.y)


def test_it_makes_the_network_do_without_a_party():
    """Two parties know the same; with either of them missing, the other one still does."""
    rng = np.random.default_rng(0)
    net = Net(2, 900, seed=3)
    shared = rng.normal(size=len(net.X))
    for name, table in net.tables.items():
        noisy = shared + 0.1 * rng.normal(size=len(shared))
        table.loc[net.X.index, f"p{name[5:]}_number"] = noisy
    net.y = np.where(shared + 0.3 * rng.normal(size=len(shared)) > 0, "good", "bad")
    n = len(net.X) * 3 // 4
    learnt = {"n_epochs": 15, "batch_size": 64}
    worst = []
    for model in (net.fit(net.parties(), **learnt, **DROPOUT), net.fit(net.parties(), **learnt)):
        model.label_half_ = msgspec.structs.replace(model.label_half_, party_dropout=0.3)
        losses = []
        for missing in ("party1", "party2"):
            raw = without(model, net.X.iloc[n:], missing)
            losses.append(np.mean(np.logaddexp(0.0, np.where(net.y[n:] == "good", -raw, raw))))
        worst.append(max(losses))
    assert worst[0] < 0.5 * worst[1]


def test_an_interrupted_run_leaves_the_same_out(nets, tmp_path):
    net, parameters = nets[2], DROPOUT | {"n_epochs": 3, "in_flight": 2}
    whole = net.fit(net.parties(), **parameters)
    parties, lost = net.watched(), []

    def alter(request, reply):
        epoch_ends = isinstance(request, KeepBottom) and request.epoch == 2
        if (epoch_ends or isinstance(request, FinishBottom)) and type(request) not in lost:
            lost.append(type(request))
            raise ConnectionError
        return reply

    parties[1].alter = alter
    kept = {"checkpoint": tmp_path / "checkpoint"}
    with pytest.raises(PartyError):
        net.fit(parties, **kept, **parameters)
    with pytest.raises(PartyError):  # all is trained, and the report is kept
        net.fit(parties, **kept, resume=True, **parameters)
    model = net.fit(parties, **kept, resume=True, **parameters)
    assert lost == [KeepBottom, FinishBottom]
    assert model.metrics_without_ == whole.metrics_without_
    assert model.training_loss_ == whole.training_loss_
    assert np.array_equal(model.raw_scores(net.X), whole.raw_scores(net.X))
