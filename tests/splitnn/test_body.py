"""U-shaped networks: a party computes the body of the top; split is pooled, lies are found."""

import msgspec
import numpy as np
import pytest
import torch
from support.asking import assert_refused
from support.nets import MODEL, QUICK, WIDTH, Conversation, Net, setup
from support.serving import Companies

from parties.errors import PeerRefusedError
from parties.messages import Ack
from secureboost import (
    FeatureParty,
    NetPolicy,
    NetTerms,
    SplitNNClassifier,
    TrainingCallback,
    pool_tables,
)
from secureboost.errors import ConfigError, IntegrityError
from secureboost.splitnn import feature_body, network
from secureboost.splitnn.architectures import mmoe
from secureboost.splitnn.architectures.mlp import MLPTop
from secureboost.splitnn.body import BodiedBottoms, LocalBody, evaluate_body
from secureboost.splitnn.body_protocol import (
    BackwardBody,
    CutGradients,
    ForwardBody,
    PredictBody,
    SetupBody,
)
from secureboost.splitnn.bottoms import Feed, Pending
from secureboost.splitnn.errors import TurnError
from secureboost.splitnn.model import BodyHead, BottomHead, decode_half, split_body
from secureboost.splitnn.options import Choice
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protocol import NO_BATCH, Activations, Exchange, FinishBottom, KeepBottom
from secureboost.splitnn.store import MemoryBottoms

BODY = {"body": "party1", "body_width": 3}
SEEDED_NORM = {"max_norm": {"unsafe_seeded": True}}


@pytest.fixture(scope="module")
def nets():
    return {n_parties: Net(n_parties) for n_parties in (1, 2, 3)}


def body_weights(model, party):
    """Of the party's half, or of the label party's where all is pooled."""
    if party is None:
        return model._loaded._body.state_dict()
    half = party.nets.store.load(model.label_half_.model_id)
    return split_body(decode_half(half, BottomHead, "half")[1])[1]


def check(net, parties=None, y=None, **parameters):
    parameters = BODY | parameters
    parties = parties or net.parties()
    model, twin = net.fit(parties, y, **parameters), net.fit_pooled(y, **parameters)
    assert model.training_loss_ == twin.training_loss_
    assert model.evals_result_ == twin.evals_result_
    pooled, _ = pool_tables(net.X, net.tables)
    assert np.array_equal(model.raw_scores(net.X), twin.raw_scores(pooled))
    own, expected = body_weights(model, parties[0]), body_weights(twin, None)
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.items())
    return model


def test_a_body_is_evaluated_in_slices(nets, monkeypatch):
    monkeypatch.setattr(network, "EVALUATED_ROWS", 16)
    check(nets[2])
    module = MLPTop(5, (4,), 3, 0.0, torch.Generator()).double()
    seen: list[int] = []
    module.register_forward_hook(lambda _module, given, _out: seen.append(len(given[0][0])))
    rows = torch.randn((50, 5), dtype=torch.float64)
    out = evaluate_body(module, [rows[:, :2], rows[:, 2:]])
    assert seen == [12, 13, 12, 13]
    assert torch.allclose(out, module([rows]))


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("n_parties", [1, 2, 3])
def test_split_is_pooled(nets, n_parties, in_flight):
    model = check(nets[n_parties], in_flight=in_flight)
    assert model.label_half_.body_at == "party1"
    top = model._loaded.top.module
    assert [weight.shape for weight in top.parameters()] == [(1, 3), (1,)]  # a single layer


@pytest.mark.parametrize(
    "parameters",
    [
        {"local_steps": 2},
        {"architecture": "mmoe", "top_hidden": None, "body_width": 2},
        {"top_options": {"dropout": 0.3}, "dtype": "float32"},
        {"early_stopping_rounds": 1, "n_epochs": 6, "learning_rate": 0.3},
        {"label_protections": [SEEDED_NORM], "optimizer": "sgd", "momentum": 0.5},
    ],
    ids=lambda parameters: ",".join(parameters),
)
def test_whatever_the_parameters(nets, parameters):
    check(nets[2], **parameters)


def test_several_classes_and_labels(nets):
    net = nets[1]
    assert check(net, y=net.grade).predict_proba(net.X).shape == (len(net.X), 3)
    both = np.stack([net.grade > 0, net.grade > 1], axis=1).astype(int)
    assert check(net, y=both).predict_proba(net.X).shape == (len(net.X), 2)


def test_over_grpc(nets, tmp_path):
    net = nets[2]
    with Companies(tmp_path) as companies:
        terms = {name: NetTerms(store=MemoryBottoms()) for name in net.tables}
        parties = [
            companies.serve(name, table, terms[name])[0] for name, table in net.tables.items()
        ]
        for party in parties:
            party.nets = terms[party.name]
        model = check(net, parties, in_flight=2)
        steps = 2 * -(-len(net.X) * 3 // 4 // QUICK["batch_size"])
        assert model.traffic_["party1"]["BackwardBody"].messages == steps
        assert "BackwardBody" not in model.traffic_["party2"]


def test_a_kept_model_scores_again(nets, tmp_path):
    net = nets[2]
    parties = net.parties()
    model = net.fit(parties, **BODY)
    expected = model.predict_proba(net.X)
    model.save(tmp_path)
    fresh = net.parties()
    read = SplitNNClassifier.load(tmp_path)
    assert np.array_equal(read.predict_proba(net.X, parties=fresh), expected)


@pytest.mark.parametrize("pooled", [False, True])
def test_an_interrupted_run_goes_on(nets, tmp_path, pooled):
    class Cut(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            if epoch == 1:
                raise KeyboardInterrupt

    net, parties = nets[2], nets[2].parties()
    table, owner = pool_tables(net.X, net.tables)
    n = 100

    def fit(**kept):
        callbacks = kept.pop("callbacks", None)
        model = SplitNNClassifier(
            **QUICK | BODY | {"n_epochs": 3, "top_options": {"dropout": 0.2}}, callbacks=callbacks
        )
        if pooled:
            return model.fit(table.iloc[:n], net.y[:n], column_owner=owner, **kept)
        return model.fit(net.X.iloc[:n], net.y[:n], parties=parties, **kept)

    whole, path = fit(), tmp_path / "run"
    scored = table if pooled else net.X
    expected = whole.raw_scores(scored)
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=path, callbacks=[Cut()])
    assert np.array_equal(fit(checkpoint=path, resume=True).raw_scores(scored), expected)


# the seam


class Given(Feed):
    """Activations that are given, and the gradients that come back."""

    waits = False

    def __init__(self, activations):
        self.width = activations.shape[1]
        self.activations = activations
        self.gradients = []

    def exchange(self, gradient, batch):
        if gradient is not None:
            self.gradients.append(gradient)
        values = self.activations if batch is not None else self.activations[:0]
        return Pending(lambda: values)

    def evaluate(self, rows):
        return Pending(lambda: self.activations[rows])


def local_body(widths=(4, 2), width=3, **changes):
    plan = BottomPlan(
        rows=np.arange(8, dtype=np.int32),
        n_training=8,
        batch_size=4,
        batch_seed=1,
        in_flight=1,
        skips=False,
        local_steps=1,
        width=4,
        dtype="float64",
        architecture=Choice("mlp"),
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.0,
        weight_decay=0.0,
        max_norm=None,
        codec="identity",
        protections=(),
        seed=3,
    )
    head = BodyHead(
        widths=widths, width=width, architecture=Choice("mlp", {"hidden": (5,)}), dtype="float64"
    )
    plan = BottomPlan(**vars(plan) | changes)
    return LocalBody("somebody", head, plan)


def given_numbers(*widths):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((4, n), generator=generator, dtype=torch.float64) for n in widths]


@pytest.mark.parametrize("local_steps", [1, 3])
def test_gradients_are_those_of_the_joint_network(local_steps):
    inputs, head = given_numbers(4, 2), given_numbers(3)[0]
    joint = local_body()._module
    leaves = [values.clone().requires_grad_() for values in inputs]
    loss = (joint(leaves) * head).square().sum()
    loss.backward()

    body = local_body(local_steps=local_steps)
    feeds = [Given(values) for values in inputs]
    bodied = BodiedBottoms(feeds, body)
    out = bodied.exchange(None, 0).result().requires_grad_()
    assert bodied.width == 3
    assert bodied.widest == 4
    (out * head).square().sum().backward()
    assert bodied.exchange(out.grad, None).result().shape == (0, 3)
    for feed, leaf in zip(feeds, leaves, strict=True):
        assert torch.equal(feed.gradients[0], leaf.grad)
    for weight, expected in zip(body._module.parameters(), joint.parameters(), strict=True):
        one_step = torch.allclose(weight, expected - 0.1 * expected.grad, rtol=1e-13, atol=1e-15)
        assert one_step == (local_steps == 1)


def test_batches_go_through_one_at_a_time():
    body, inputs = local_body(), given_numbers(4, 2)
    with pytest.raises(TurnError, match="batch 1 is not the body's next one, which is 0"):
        body.forward(1, inputs)
    out = body.forward(0, inputs)
    with pytest.raises(TurnError, match="batch 1 is not the body's next one"):
        body.forward(1, inputs)
    with pytest.raises(TurnError, match="no gradient of batch 1 is due"):
        body.backward(1, out)
    body.backward(0, out)
    with pytest.raises(TurnError, match="no gradient of batch 0 is due"):
        body.backward(0, out)
    body.forward(1, inputs)


# what the party that computes the body refuses


def as_bytes(*numbers):
    return np.concatenate([np.asarray(part, np.float64).reshape(-1) for part in numbers]).view(
        np.uint8
    )


def set_up_body(**changes):
    return msgspec.structs.replace(
        SetupBody(widths=(WIDTH, 2), width=3, architecture=Choice("mlp", {"hidden": (5,)})),
        **changes,
    )


def forward(batch=0, n_rows=4, value=1.0, width=WIDTH + 2):
    return ForwardBody(
        batch=batch, n_rows=n_rows, activations=as_bytes(np.full((n_rows, width), value))
    )


def hosting(nets=None):
    talk = Conversation(nets).set_up()
    assert talk.ask(set_up_body()) == Ack()
    return talk


def test_a_party_that_computes_the_body():
    talk = hosting()
    out = talk.ask(forward())
    assert isinstance(out, Activations)
    assert len(out.payload) == 4 * 3 * 8
    gradients = talk.ask(BackwardBody(batch=0, gradient=as_bytes(np.ones((4, 3)))))
    assert isinstance(gradients, CutGradients)
    assert len(gradients.payload) == 4 * (WIDTH + 2) * 8
    assert talk.ask(forward(NO_BATCH)) != out  # it has learnt


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (forward(1), "exchange_refused", "batch 1 is not the body's next one, which is 0"),
        (forward(n_rows=3), "exchange_refused", "batch 0 does not have 3 rows"),
        (forward(width=WIDTH), "gradient_refused", "96 bytes at the cut, where 160 were due"),
        (forward(value=np.nan), "gradient_refused", "numbers that are not finite"),
        (forward(NO_BATCH, 10**7, width=0), "rows_refused", "10000000 rows of 5 numbers"),
        (
            BackwardBody(batch=0, gradient=as_bytes(np.ones((4, 3)))),
            "exchange_refused",
            "no gradient of batch 0 is due",
        ),
    ],
    ids=["turn", "rows", "width", "finite", "memory", "gradient"],
)
def test_what_cannot_be(request_, code, text):
    talk = hosting()
    assert_refused(talk.ask(request_), code, text)
    assert isinstance(talk.ask(forward()), Activations)  # nothing has changed


def test_gradients_that_cannot_be():
    talk = hosting()
    talk.ask(forward())
    bad = BackwardBody(batch=0, gradient=as_bytes(np.full((4, 3), np.inf)))
    assert_refused(talk.ask(bad), "gradient_refused", "not finite")
    short = BackwardBody(batch=0, gradient=as_bytes(np.ones((4, 2))))
    assert_refused(talk.ask(short), "gradient_refused", "64 bytes at the cut, where 96 were due")
    good = BackwardBody(batch=0, gradient=as_bytes(np.ones((4, 3))))
    assert isinstance(talk.ask(good), CutGradients)


def test_bodies_that_a_party_does_not_compute():
    terms = NetTerms(policy=NetPolicy(max_parameters=200))
    talk = Conversation(terms).set_up()
    large = set_up_body(architecture=Choice("mlp", {"hidden": (100,)}))
    assert_refused(talk.ask(large), "policy", "above this party's limit of 200 parameters")
    unknown = set_up_body(architecture=Choice("own"))
    assert_refused(talk.ask(unknown), "architecture_refused", "'own' is not an architecture")
    assert talk.ask(set_up_body()) == Ack()
    assert_refused(talk.ask(set_up_body()), "out_of_turn", "does not allow", ends_session=True)


@pytest.mark.parametrize(
    ("changes", "policy", "code", "text"),
    [
        ({"width": 257}, {}, "policy", "width=257 of the body is above this party's 256"),
        ({"widths": (16_385,)}, {}, "policy", "16385 numbers enter the body, above this party's"),
        ({"width": 65_536, "architecture": Choice("mmoe")}, {}, "policy", "width=65536"),
        (
            {"width": 256, "architecture": Choice("mmoe", {"hidden": (1,) * 16})},
            {},
            "architecture_refused",
            "which are 4352 layers; there may be 4096",
        ),
        (
            {"architecture": Choice("mlp", {"hidden": (30_000,)})},
            {"max_batch_bytes": 1 << 30},
            "architecture_refused",
            "above the limit of 1073741824",
        ),
    ],
    ids=["width", "widths", "towers, width", "towers, layers", "units"],
)
def test_bodies_that_are_refused_before_they_are_made(monkeypatch, changes, policy, code, text):
    made = []
    monkeypatch.setattr(feature_body, "LocalBody", lambda *given: made.append(given))
    monkeypatch.setattr(mmoe, "perceptron", lambda *given: made.append(given))
    talk = Conversation(NetTerms(policy=NetPolicy(**policy))).set_up()
    assert_refused(talk.ask(set_up_body(**changes)), code, text)
    assert not made


def test_the_body_comes_before_the_first_batch():
    talk = Conversation().set_up()
    talk.ask(Exchange(gradient_of=NO_BATCH, forward=0, gradient=np.zeros(0, np.uint8)))
    assert_refused(talk.ask(set_up_body()), "exchange_refused", "set up before the first")


def test_an_epoch_is_not_through_while_the_body_waits():
    talk = hosting()
    talk.ask(forward())
    keep = KeepBottom(epoch=1, best=False, durable=False)
    assert_refused(talk.ask(keep), "exchange_refused", "epoch 1 is not through yet")
    finish = FinishBottom(keep=True, best=False)
    assert_refused(talk.ask(finish), "exchange_refused", "the epoch is not through yet")


def test_a_model_without_a_body():
    talk = Conversation().set_up(n_training=4)
    nothing = np.zeros(0, np.uint8)
    talk.ask(Exchange(gradient_of=NO_BATCH, forward=0, gradient=nothing))
    talk.ask(Exchange(gradient_of=0, forward=NO_BATCH, gradient=as_bytes(np.zeros((4, WIDTH)))))
    talk.ask(FinishBottom(keep=True, best=False))
    asked = PredictBody(model_id=MODEL, n_rows=1, activations=as_bytes(np.ones(5)))
    assert_refused(talk.ask(asked), "unknown_model", "this party has no body of model")
    other = msgspec.structs.replace(asked, model_id="f" * 32)
    assert_refused(talk.ask(other), "unknown_model", "this party has no half of model")


def test_a_run_without_a_body_does_not_go_on_with_one():
    nets = NetTerms()
    talk = Conversation(nets).set_up(n_training=4, batch_size=4)
    nothing = np.zeros(0, np.uint8)
    talk.ask(Exchange(gradient_of=NO_BATCH, forward=0, gradient=nothing))
    gradient = as_bytes(np.zeros((4, WIDTH)))
    talk.ask(Exchange(gradient_of=0, forward=NO_BATCH, gradient=gradient))
    assert talk.ask(KeepBottom(epoch=1, best=False, durable=True)) == Ack()
    again = Conversation(nets).matched()
    again.ask(setup(n_training=4, batch_size=4, epoch=1))
    assert_refused(again.ask(set_up_body()), "resume_refused", "has kept another body, or none")


# what the label party finds out


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (ForwardBody, {"n_rows": 5}, "sent numbers for 5 rows where"),
        (ForwardBody, {"payload": np.zeros(8, np.uint8)}, "sent 8 bytes at the cut, where"),
        (BackwardBody, {"payload": np.zeros(8, np.uint8)}, "sent 8 bytes at the cut, where"),
    ],
)
def test_a_party_that_lies_about_the_body(nets, kind, change, text):
    def alter(request, reply):
        lies = isinstance(request, kind)
        return msgspec.structs.replace(reply, **change) if lies else reply

    liar, honest = nets[2].watched()
    liar.alter = alter
    with pytest.raises(IntegrityError, match=text) as caught:
        nets[2].fit([liar, honest], **BODY)
    assert caught.value.party == "party1"
    assert liar.released
    assert honest.released


def test_numbers_of_a_body_that_are_not_finite(nets):
    def alter(request, reply):
        if not isinstance(request, BackwardBody):
            return reply
        return CutGradients(payload=as_bytes(np.full(len(reply.payload) // 8, np.nan)))

    liar, honest = nets[2].watched()
    liar.alter = alter
    with pytest.raises(IntegrityError, match=r"'party1'.* sent numbers that are not finite"):
        nets[2].fit([liar, honest], **BODY)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"body": "party3"}, "body: is 'party3', which is none of the parties; there is: 'party1'"),
        ({"body": ""}, "body: is '', which is none of the parties"),
        ({"body": "party1", "body_width": 0}, "body_width: is 0; it must be a whole number from 1"),
        ({"body": "party1", "architecture": "deepfm"}, "gives a row one score, and 32 are wanted"),
    ],
    ids=["unknown", "label party", "width", "one score"],
)
def test_what_cannot_be_meant(nets, parameters, message):
    with pytest.raises(ConfigError, match=message):
        nets[2].fit(nets[2].parties(), **parameters)


def test_a_party_refuses_to_compute_a_body(nets):
    terms = NetTerms(policy=NetPolicy(max_parameters=3000))
    parties = [FeatureParty(name, table, nets=terms) for name, table in nets[1].tables.items()]
    with pytest.raises(PeerRefusedError, match="the body that is asked for is above this party's"):
        nets[1].fit(parties, **BODY | {"top_hidden": (500,)})
