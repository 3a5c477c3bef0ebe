"""What crosses between the companies, read from the recorded frames of a whole run."""

import numpy as np
import pytest
from support.nets import TRAINER, Net

from parties.catalogue import reveals
from parties.messages import Ack, Goodbye, Hello, MatchRows, Welcome
from secureboost.splitnn.model import BottomHead, decode_half
from secureboost.splitnn.protocol import (
    MESSAGES,
    NO_BATCH,
    Activations,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)


class Run:
    """One training and one prediction, recorded."""

    def __init__(self, path=None, **parameters) -> None:
        self.net = Net(1)
        (self.party,) = self.net.watched()
        self.model = self.net.fit([self.party], **{"random_state": None, **parameters})
        self.model.predict(self.net.X.iloc[:40])
        self.frames = [
            frame
            for transport in self.party.transports
            for exchange in transport.exchanges
            for frame in (exchange.request, exchange.reply)
        ]
        self.messages = self.party.messages()

    def requests(self, kind):
        return [request for request, _ in self.messages if isinstance(request, kind)]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


@pytest.mark.parametrize("message", TRAINER.codec().message_types, ids=lambda m: m.__name__)
def test_every_message_says_what_it_reveals(message):
    assert len(reveals(message)) >= len("nothing")


def test_the_catalogue_is_complete():
    assert TRAINER.messages == MESSAGES


def test_only_the_declared_fields_travel(run):
    codec = TRAINER.codec()
    for frame in run.frames:
        assert codec.encode(codec.decode(frame, "test")) == frame


def test_the_order_of_requests(run):
    codec = TRAINER.codec()
    training, prediction = (
        [type(codec.decode(exchange.request, "test")) for exchange in transport.exchanges]
        for transport in run.party.transports
    )
    assert training[:3] == [Hello, MatchRows, SetupBottom]
    assert set(training[3:-2]) == {Exchange, Evaluate}
    assert training[-2:] == [FinishBottom, Goodbye]
    assert prediction == [Hello, MatchRows, Predict, Goodbye]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_exchanges_go_through_every_batch_in_order(in_flight):
    exchanges = Run(in_flight=in_flight).requests(Exchange)
    forwards = [request.forward for request in exchanges if request.forward != NO_BATCH]
    gradients = [request.gradient_of for request in exchanges if request.gradient_of != NO_BATCH]
    assert forwards == gradients == list(range(len(forwards)))
    most = 0
    flying = 0
    for request in exchanges:
        flying += (request.forward != NO_BATCH) - (request.gradient_of != NO_BATCH)
        most = max(most, flying)
    assert most == in_flight


def encodings(values):
    """Every value by itself, as a float or as text."""
    for value in map(float, np.ravel(values)):
        if np.isfinite(value) and value not in (0.0, 7.0):
            yield np.float64(value).tobytes()
            yield np.float32(value).tobytes()
            yield repr(value).encode()
            yield f"{value:.6g}".encode()


def plain_parts(run):
    """Fields of all messages, without numbers at the cut, in which any short pattern occurs."""
    for request, reply in run.messages:
        for message in (request, reply):
            for field in message.__struct_fields__:
                value = getattr(message, field)
                if field not in {"payload", "gradient", "order", "digest", "digest_key"}:
                    yield value.tobytes() if isinstance(value, np.ndarray) else str(value).encode()


def assert_absent(run, patterns):
    text, parts = b"|".join(run.frames), b"|".join(plain_parts(run))
    assert not [p for p in patterns if p in (text if len(p) >= 8 else parts)]


def numbers(table):
    return table.select_dtypes("number").to_numpy()


def test_no_raw_value_travels(run):
    assert_absent(run, encodings(numbers(run.net.X)))
    assert_absent(run, encodings(numbers(run.net.tables["party1"])))


def test_no_standardised_value_travels(run):
    for table in (run.net.X, run.net.tables["party1"].loc[run.net.X.index]):
        values = table.filter(regex="number|gaps").to_numpy()
        scaled = values - np.nanmean(values[:112], axis=0)
        assert_absent(run, encodings(scaled / np.nanstd(values[:112], axis=0)))


def test_no_name_category_or_id_travels(run):
    tables = [run.net.X, *run.net.tables.values()]
    names = [name for table in tables for name in (*table.columns, *table.index)]
    assert_absent(run, [name.encode() for name in (*names, "good", "bad", "town ")])


def test_no_label_travels(run):
    labels = run.net.y == "good"
    order = np.argsort(run.party.index.get_indexer(run.net.X.index))
    for values in (labels, ~labels, labels[order], ~labels[order]):
        patterns = [values.astype(kind)[:24].tobytes() for kind in "?bBhHiIqQfd"]
        patterns += [
            np.packbits(values, bitorder=order)[:10].tobytes() for order in ("big", "little")
        ]
        patterns.append("".join("1" if value else "0" for value in values[:24]).encode())
        assert_absent(run, patterns)


def test_no_weight_of_a_network_travels(run):
    head = run.model.label_half_
    own = [*run.model._loaded.top.module.parameters()]
    own += [t for weights in run.model._loaded.bottom_weights for t in weights.values()]
    half = run.party.nets.store.load(head.model_id)
    theirs = decode_half(half, BottomHead, "half")[1].values()
    for tensor in (*own, *theirs):
        if tensor.ndim == 2:  # a row whose hidden units all rest gives the last layer's biases
            assert_absent(run, encodings(tensor.detach().numpy()))


def test_rows_travel_once(run):
    (setup,) = run.requests(SetupBottom)
    assert run.party.index[setup.rows].tolist() == run.net.X.index.tolist()
    fields = {field for kind in (Exchange, Activations) for field in kind.__struct_fields__}
    assert fields == {"gradient_of", "forward", "gradient", "n_rows", "payload"}
    for request in run.requests(Evaluate):
        assert (request.rows >= setup.n_training).all()


def test_prediction_tells_the_rows_and_the_model_only(run):
    (request,) = run.requests(Predict)
    assert request.__struct_fields__ == ("model_id", "rows")
    assert run.party.index[request.rows].tolist() == run.net.X.index[:40].tolist()


def test_keeping_tells_the_epoch_and_whether_it_was_best(tmp_path):
    run = Run(checkpoint=tmp_path / "run", early_stopping_rounds=5, n_epochs=3)
    kept = run.requests(KeepBottom)
    assert [request.epoch for request in kept] == [1, 2, 3]
    assert all(request.durable for request in kept)
    values = run.model.evals_result_["validation_0"]["logloss"]
    best = [value == min(values[: epoch + 1]) for epoch, value in enumerate(values)]
    assert [request.best for request in kept] == best


def test_neither_side_learns_anything_from_the_greeting(run):
    for request, reply in run.messages:
        if isinstance(request, Hello):
            assert (request.party, request.trainer) == ("label-party", "splitnn")
            assert isinstance(reply, Welcome)
        if isinstance(request, MatchRows | Goodbye):
            assert reply == Ack()


def test_a_secret_seed_stays_secret(run):
    (setup,) = run.requests(SetupBottom)
    assert setup.initial_seed is None
    (stated,) = Run(random_state=3).requests(SetupBottom)
    assert stated.initial_seed is not None
    assert stated.initial_seed != 3


def test_reprs_and_logs_show_no_content(run, caplog):
    for request, reply in run.messages:
        assert len(repr(request)) < 700
        assert len(repr(reply)) < 700
    with caplog.at_level("DEBUG"):
        again = Run()
    things = " ".join(repr(thing) for thing in (again.party, again.model, again.party.nets))
    for secret in ("p1_", "own_", "K0", "good", "town"):
        assert secret not in things
        assert secret not in caplog.text
