"""What crosses between the companies, read from the recorded frames of a whole run."""

import numpy as np
import pytest
from support.nets import TRAINER, Net

from parties.catalogue import reveals
from parties.messages import Ack, Goodbye, Hello, MatchRows, Welcome
from secureboost.splitnn import trainer
from secureboost.splitnn.model import BottomHead, decode_half
from secureboost.splitnn.protocol import (
    NO_BATCH,
    Activations,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)
from secureboost.splitnn.transitions import MESSAGES


class Run:
    """One training and one prediction, recorded."""

    def __init__(self, net=None, **parameters) -> None:
        self.net = net or Net(1)
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


DRAWN = {"order", "digest", "digest_key", "model_id", "batch_seed", "initial_seed"}
"""Fields that are random or hashes."""

MEASURED = {"payload", "gradient", "seconds"}
"""Numbers at the cut, and times."""


def plain_parts(run):
    """Fields of all messages, but for those in which a short pattern may stand by chance."""
    for request, reply in run.messages:
        for message in (request, reply):
            for field in message.__struct_fields__:
                value = getattr(message, field)
                if field not in DRAWN | MEASURED:
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
    (setup,) = run.requests(SetupBottom)
    of_party = np.argsort(run.party.index.get_indexer(run.net.X.index))
    named = run.net.X.index.get_indexer(run.party.index[setup.rows])
    orders = [labels, labels[of_party], labels[named]]
    for values in [*orders, *(~values for values in orders)]:
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
    index, n = run.net.X.index, setup.n_training
    for named, rows in ((setup.rows[:n], index[:n]), (setup.rows[n:], index[n:])):
        assert sorted(run.party.index[named]) == sorted(rows)
    fields = {field for kind in (Exchange, Activations) for field in kind.__struct_fields__}
    assert fields == {"gradient_of", "forward", "gradient", "n_rows", "payload"}
    for request in run.requests(Evaluate):
        assert request.rows.tolist() == list(range(n, len(index)))


def test_prediction_tells_the_rows_and_the_model_only(run):
    (request,) = run.requests(Predict)
    assert request.__struct_fields__ == ("model_id", "rows")
    assert sorted(run.party.index[request.rows]) == sorted(run.net.X.index[:40])
    assert (np.diff(request.rows) > 0).all()


@pytest.fixture(scope="module")
def sorted_run() -> Run:
    """Of a table that is sorted by the label, each part of it."""
    net = Net(1, n_rows=800)
    order = np.lexsort([net.y == "good", np.arange(800) >= net.n_training])
    net.X, net.y = net.X.iloc[order], net.y[order]
    return Run(net, n_epochs=1)


def test_the_order_of_rows_says_nothing_of_the_tables(sorted_run):
    (setup,) = sorted_run.requests(SetupBottom)
    place = sorted_run.net.X.index.get_indexer(sorted_run.party.index[setup.rows])
    n = setup.n_training
    for part in (slice(n), slice(n, None)):
        n_rows = len(place[part])
        label = sorted_run.net.y[place[part]] == "good"
        for known in (place[part], label):
            correlation = np.corrcoef(np.arange(n_rows), known)[0, 1]
            assert abs(correlation) < 5 / np.sqrt(n_rows)
    evaluated = np.concatenate([request.rows for request in sorted_run.requests(Evaluate)])
    assert (np.diff(evaluated) > 0).all()


def test_questions_about_rows_are_cut_where_the_partners_table_is(sorted_run, monkeypatch):
    """Were they chunks of our table, the first one would hold the rows of one label."""
    monkeypatch.setattr(trainer, "EVALUATED_BYTES", 8 * 4 * 100)
    party, net = sorted_run.party, sorted_run.net
    n_messages = len(party.messages())
    expected = sorted_run.model.raw_scores(net.X[::-1])
    asked = [r for r, _ in party.messages()[n_messages:] if isinstance(r, Predict)]
    assert [len(request.rows) for request in asked] == [100] * 8
    assert (np.diff(np.concatenate([request.rows for request in asked])) > 0).all()
    monkeypatch.undo()
    assert sorted_run.model.raw_scores(net.X)[::-1] == pytest.approx(expected, rel=1e-12)


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
