"""A slow party does not stall the others: it is left out, comes back in, and this is said."""

import threading

import numpy as np
import pytest
import torch
from support.nets import Conversation, Net
from support.serving import Companies

from parties.errors import PeerRefusedError
from parties.messages import Refusal
from secureboost import MissingPartyWarning
from secureboost.splitnn import party_dropout
from secureboost.splitnn.feature_training import FeatureTraining
from secureboost.splitnn.protocol import (
    NO_BATCH,
    Activations,
    Code,
    Exchange,
    FinishBottom,
    KeepBottom,
)
from secureboost.splitnn.store import MemoryBottoms
from secureboost.splitnn.terms import NetTerms

LATE = {"party_dropout": 0.2, "max_wait": 0.4, "batch_size": 8}
PER_EPOCH = 14


@pytest.fixture(scope="module")
def net():
    return Net(2)


class Hold:
    """Keeps party1 from answering for a batch until party2 is asked something."""

    def __init__(self, monkeypatch, batch: int, until: int, by: str = "forward") -> None:
        self.asked: dict[str, list[Exchange]] = {"party1": [], "party2": []}
        self._released = threading.Event()
        answer = FeatureTraining.exchange

        def exchange(training, request):
            party = training._head.party
            self.asked[party].append(request)
            if party == "party1" and request.forward == batch:
                assert self._released.wait(60)
            if party == "party2" and getattr(request, by) == until:
                self._released.set()
            return answer(training, request)

        monkeypatch.setattr(FeatureTraining, "exchange", exchange)

    def learnt(self, party: str) -> set[int]:
        """Batches from which a party has learnt."""
        return {request.gradient_of for request in self.asked[party] if len(request.gradient)}

    def given_up(self, party: str) -> set[int]:
        forwarded = {request.forward for request in self.asked[party]} - {NO_BATCH}
        return forwarded - self.learnt(party)


def fit(net, parties, **parameters):
    with pytest.warns(MissingPartyWarning) as caught:
        model = net.fit(parties, **LATE | parameters)
    return model, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("codec", ["identity", "int8", "topk:0.5"])
@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_the_others_go_on_and_the_party_comes_back(net, monkeypatch, in_flight, codec):
    hold = Hold(monkeypatch, batch=3, until=9)
    model, messages = fit(net, net.parties(), in_flight=in_flight, codec=codec)
    assert hold.learnt("party2") == set(range(2 * PER_EPOCH))
    missed = set(range(2 * PER_EPOCH)) - hold.learnt("party1")
    assert {3, 4} <= missed <= set(range(3, 14))
    assert 3 in hold.given_up("party1")
    assert len(hold.asked["party1"]) < len(hold.asked["party2"])
    assert model.late_batches_ == {"party1": len(missed), "party2": 0}
    assert messages == [
        f"'party1' was left out of {len(missed)} of 28 batches, since its answers did not come "
        "within max_wait=0.4 seconds. Raise max_wait, or in_flight so that it is asked earlier, "
        "if that is much. The run cannot be repeated exactly."
    ]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_left_out_is_dropped_from_all_rows_of_the_batch(net, monkeypatch, in_flight):
    """``==`` with the pooled network in which the party is dropped from these very batches."""
    hold = Hold(monkeypatch, batch=2, until=7)
    sgd = {"optimizer": "sgd", "in_flight": in_flight}  # zero gradients move nothing
    parties = net.parties()
    model, _ = fit(net, parties, **sgd)
    missed = set(range(2 * PER_EPOCH)) - hold.learnt("party1")
    seed = _seeds(monkeypatch, net, sgd)["party1"]
    kept = party_dropout.DroppedRows.kept

    def without_late(rows, number):
        drawn = kept(rows, number)
        late = rows._seed == seed and number in missed
        return torch.zeros_like(drawn) if late else drawn

    monkeypatch.setattr(party_dropout.DroppedRows, "kept", without_late)
    net.assert_twins(model, parties, **LATE | sgd)


def _seeds(monkeypatch, net, parameters):
    """Of each party's draws."""
    seeds = {}
    make = party_dropout.DroppingFeed.__init__

    def note(feed, bottom, dropped):
        seeds[bottom.owner] = dropped._seed
        make(feed, bottom, dropped)

    with monkeypatch.context() as patch:
        patch.setattr(party_dropout.DroppingFeed, "__init__", note)
        net.fit_pooled(**LATE | parameters | {"n_epochs": 1})
    return seeds


def test_a_party_in_time_is_never_left_out(net):
    patient = LATE | {"max_wait": 60.0, "in_flight": 3}
    parties = net.parties()
    model = net.fit(parties, **patient)
    assert model.late_batches_ == {"party1": 0, "party2": 0}
    net.assert_twins(model, parties, **patient)


def test_late_at_the_end_of_an_epoch(net, monkeypatch):
    """Evaluation and checkpoints wait; the next epoch begins with everybody."""
    last = PER_EPOCH - 1
    hold = Hold(monkeypatch, batch=last, until=last, by="gradient_of")
    model, _ = fit(net, net.parties())
    assert set(range(2 * PER_EPOCH)) - hold.learnt("party1") == {last}
    assert len(model.evals_result_["validation_0"]["logloss"]) == 2


def test_the_party_of_the_body_is_waited_for(net, monkeypatch):
    hold = Hold(monkeypatch, batch=3, until=3)
    model = net.fit(net.parties(), body="party1", body_width=3, **LATE)
    assert model.late_batches_ == {"party2": 0}
    assert hold.learnt("party1") == set(range(2 * PER_EPOCH))


def test_a_refusal_that_comes_late_ends_the_run(net, monkeypatch):
    Hold(monkeypatch, batch=3, until=9)
    answer = FeatureTraining.exchange

    def refuse(training, request):
        reply = answer(training, request)
        if training._head.party == "party1" and request.forward == 3:
            raise Refusal(Code.BUDGET, "spent")
        return reply

    monkeypatch.setattr(FeatureTraining, "exchange", refuse)
    with pytest.raises(PeerRefusedError, match="spent"):
        net.fit(net.parties(), **LATE)


def test_a_last_gradient_that_is_refused_ends_the_run(net, monkeypatch):
    answer = FeatureTraining.exchange

    def refuse(training, request):
        if training._head.party == "party1" and request.forward == NO_BATCH:
            raise Refusal(Code.GRADIENT, "cannot be read")
        return answer(training, request)

    monkeypatch.setattr(FeatureTraining, "exchange", refuse)
    with pytest.raises(PeerRefusedError, match="cannot be read"):
        net.fit(net.parties(), **LATE | {"max_wait": 60.0})


def test_the_count_goes_on_with_the_run(net, monkeypatch, tmp_path):
    class Stop:
        def after_iteration(self, model, epoch, evals_log):
            if epoch == 1:
                raise KeyboardInterrupt

        before_training = after_training = staticmethod(lambda model: None)

    hold = Hold(monkeypatch, batch=3, until=9)
    parties, kept = net.parties(), tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        net.fit(parties, checkpoint=kept, callbacks=[Stop()], **LATE)
    model, _ = fit(net, parties, checkpoint=kept, resume=True, max_wait=60.0)
    missed = set(range(PER_EPOCH)) - hold.learnt("party1")
    assert model.late_batches_ == {"party1": len(missed), "party2": 0}
    assert len(missed) >= 2


def test_over_grpc(net, monkeypatch, tmp_path):
    hold = Hold(monkeypatch, batch=3, until=9)
    with Companies(tmp_path) as companies:
        terms = {name: NetTerms(store=MemoryBottoms()) for name in net.tables}
        parties = [
            companies.serve(name, table, terms[name])[0] for name, table in net.tables.items()
        ]
        model, _ = fit(net, parties, in_flight=4)
        missed = set(range(2 * PER_EPOCH)) - hold.learnt("party1")
        assert {3, 4} <= missed <= set(range(3, 14))
        assert model.late_batches_["party1"] == len(missed)
        assert np.isfinite(model.raw_scores(net.X)).all()


def exchange(conversation, gradient_of, forward, gradient=None):
    payload = np.zeros(0, np.uint8) if gradient is None else gradient.view(np.uint8).ravel()
    return conversation.ask(Exchange(gradient_of=gradient_of, forward=forward, gradient=payload))


def refused(reply, text):
    assert reply.code == Code.EXCHANGE
    assert text in reply.detail


def talk(**changes):
    """Epochs of 4 batches of 2 rows."""
    return Conversation().set_up(skips=True, batch_size=2, **changes)


def test_batches_may_be_left_out_and_given_up():
    talking = talk()
    assert isinstance(exchange(talking, NO_BATCH, 0), Activations)
    assert isinstance(exchange(talking, 0, 2), Activations)  # 0 is given up, 1 left out
    assert isinstance(exchange(talking, NO_BATCH, 3), Activations)
    reply = exchange(talking, 3, NO_BATCH, np.ones((2, 3)))  # 2 is given up
    assert (reply.n_rows, len(reply.payload)) == (0, 0)
    assert type(talking.ask(KeepBottom(epoch=1, best=False, durable=False))).__name__ == "Ack"
    assert isinstance(exchange(talking, NO_BATCH, 4), Activations)
    exchange(talking, 4, NO_BATCH)
    # what is left of the epoch is left out
    assert type(talking.ask(KeepBottom(epoch=2, best=False, durable=False))).__name__ == "Ack"
    assert isinstance(exchange(talking, NO_BATCH, 8), Activations)
    exchange(talking, 8, NO_BATCH)
    assert type(talking.ask(FinishBottom(keep=True, best=False))).__name__ == "BottomFinished"


def test_what_is_given_up_teaches_nothing():
    halves = []
    for given_up in (False, True):
        nets = NetTerms(store=MemoryBottoms())
        talking = Conversation(nets).set_up(skips=True, batch_size=2, optimizer="adam")
        if given_up:
            exchange(talking, NO_BATCH, 0)
            exchange(talking, 0, 1)
        else:
            exchange(talking, NO_BATCH, 0)
            exchange(talking, 0, NO_BATCH)
            exchange(talking, NO_BATCH, 1)
        reply = exchange(talking, 1, 2, np.ones((2, 3)))
        halves.append(reply.payload.tolist())
    assert halves[0] == halves[1]


def test_what_may_not_be_left_out():
    talking = talk()
    exchange(talking, NO_BATCH, 0)
    refused(exchange(talking, NO_BATCH, 5), "forward=5, and the next batch is 1")
    refused(exchange(talking, 3, 1), "gradient_of=3, and the oldest batch in flight is 0")
    refused(exchange(talking, NO_BATCH, 4), "batch 4 begins an epoch, and 1 are in flight")
    refused(exchange(talking, NO_BATCH, 0), "forward=0, and the next batch is 1")
    exchange(talking, NO_BATCH, 3)
    refused(exchange(talking, NO_BATCH, 4), "2 batches are in flight")
    refused(exchange(talking, 3, 2), "forward=2, and the next batch is 4")


def test_nothing_is_left_out_where_that_was_not_said():
    talking = Conversation().set_up(batch_size=2)
    exchange(talking, NO_BATCH, 0)
    refused(exchange(talking, NO_BATCH, 2), "forward=2, and the next batch is 1")
    exchange(talking, NO_BATCH, 1)
    refused(exchange(talking, 1, 2), "gradient_of=1, and the oldest batch in flight is 0")
    assert exchange(talking, 0, 2).code == Code.GRADIENT
