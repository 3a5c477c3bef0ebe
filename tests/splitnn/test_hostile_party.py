"""A feature party that lies is found out, named, and leaves nothing behind."""

import msgspec
import numpy as np
import pytest
from support.nets import QUICK, Net

from parties.errors import PeerRefusedError, PeerUnreachableError
from secureboost import SplitNNClassifier
from secureboost.errors import IntegrityError
from secureboost.splitnn.errors import DivergedError
from secureboost.splitnn.protocol import Activations, BottomReady, Evaluate, Exchange, Predict

NET = Net(2)
WIDTH = QUICK["cut_width"]


def lied_to(error, kind, lie, at=0, request_kind=Exchange, **parameters):
    """Train with a liar as party1 and an honest party2; returns the error."""
    seen = []

    def alter(request, reply):
        if not isinstance(reply, kind) or not isinstance(request, request_kind):
            return reply
        seen.append(reply)
        return lie(reply) if len(seen) == at + 1 else reply

    liar, honest = NET.watched()
    liar.alter = alter
    with pytest.raises(error) as caught:
        NET.fit([liar, honest], **parameters)
    assert len(seen) > at
    for party in (liar, honest):
        assert party.released
        assert party.nets.store.halves == {}
    return caught.value


def with_numbers(change):
    def lie(reply):
        values = reply.payload.view(np.float64).copy()
        return msgspec.structs.replace(reply, payload=change(values).view(np.uint8))

    return lie


def first(value):
    def change(values):
        values[0] = value
        return values

    return change


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(value, in_flight):
    error = lied_to(
        IntegrityError, Activations, with_numbers(first(value)), at=2, in_flight=in_flight
    )
    assert error.party == "party1"
    assert "sent numbers at step 2 that are not finite" in str(error)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda values: values[:-WIDTH], "bytes at the cut, where"),
        (lambda values: np.append(values, values[:WIDTH]), "bytes at the cut, where"),
        (lambda values: values[:0], "sent 0 bytes at the cut, where"),
    ],
)
def test_another_width(change, text):
    error = lied_to(IntegrityError, Activations, with_numbers(change), at=1)
    assert error.party == "party1"
    assert text in str(error)


@pytest.mark.parametrize("n_rows", [0, 5, 10**6])
def test_another_number_of_rows(n_rows):
    error = lied_to(
        IntegrityError, Activations, lambda reply: msgspec.structs.replace(reply, n_rows=n_rows)
    )
    assert f"sent numbers for {n_rows} rows where" in str(error)


def test_evaluation_is_checked_too():
    lie = with_numbers(first(np.nan))
    error = lied_to(IntegrityError, Activations, lie, request_kind=Evaluate)
    assert "that are not finite" in str(error)


def test_another_order_of_rows():
    def lie(reply):
        return msgspec.structs.replace(reply, order=bytes(32))

    error = lied_to(IntegrityError, BottomReady, lie, request_kind=msgspec.Struct)
    assert "party 'party1': draws other batches from the same seed" in str(error)


def test_predictions_are_checked_too():
    party, other = NET.watched()
    model = NET.fit([party, other])
    for lie, text in (
        (with_numbers(first(np.nan)), "sent numbers that are not finite"),
        (with_numbers(lambda values: values[:-1]), "bytes at the cut"),
        (lambda reply: msgspec.structs.replace(reply, n_rows=1), "sent numbers for 1 rows where"),
    ):
        party.alter = lambda request, reply, lie=lie: (
            lie(reply) if isinstance(request, Predict) else reply
        )
        with pytest.raises(IntegrityError, match=text) as caught:
            model.predict(NET.X)
        assert caught.value.party == "party1"
    assert party.released


def test_a_party_that_fails_releases_the_others():
    def fail(reply):
        raise RuntimeError("disk full")

    error = lied_to(PeerRefusedError, Activations, fail, at=3)
    assert "party1: refused (internal_error)" in str(error)
    assert "disk full" not in str(error)


def test_numbers_that_grow_beyond_limits_are_named():
    net = Net(1)
    # weights grow by a million at each step
    growing = {"optimizer": "sgd", "learning_rate": 1e3, "weight_decay": 1e3, "n_epochs": 50}
    for parameters in ({}, {"in_flight": 3}):
        (party,) = net.watched()
        with pytest.raises(DivergedError) as caught:
            net.fit([party], **growing, **parameters)
        error = caught.value
        assert error.step > 0
        assert error.learning_rate == 1e3
        assert f"step {error.step}: " in str(error)
        assert "learning_rate=1000" in str(error)
        assert party.released


def test_a_partys_own_divergence_is_named_by_party():
    def alter(request, reply):
        from parties.messages import Refusal
        from secureboost.splitnn.protocol import Code

        if isinstance(request, Exchange) and request.forward == 2:
            raise Refusal(Code.DIVERGED, "the activation of this party is not finite at step 2")
        return reply

    liar, honest = NET.watched()
    liar.alter = alter
    with pytest.raises(DivergedError, match=r"step 2: the activation of party 'party1'") as caught:
        NET.fit([liar, honest])
    assert caught.value.party == "party1"
    assert caught.value.step == 2
    assert honest.released


def test_a_party_that_cannot_be_reached_releases_the_others():
    party, absent = NET.watched()

    def connect(_trainer):
        raise PeerUnreachableError("party2", "nobody listens")

    absent.connect = connect
    with pytest.raises(PeerUnreachableError, match="party2: nobody listens"):
        NET.fit([party, absent])
    assert party.released


def test_a_party_that_has_no_torch(monkeypatch):
    import builtins

    real = builtins.__import__

    def without_torch(name, *arguments):
        if name == "secureboost.splitnn.feature":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, *arguments)

    party, _ = NET.watched()
    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(PeerRefusedError, match=r"party1: refused \(torch_missing\).*\[nn\]"):
        SplitNNClassifier(**QUICK).fit(NET.X, NET.y, parties=[party])
