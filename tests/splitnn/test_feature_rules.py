"""What a feature party refuses, asked by hand."""

import msgspec
import numpy as np
import pytest
import torch
from support.asking import assert_refused
from support.nets import IDS, MODEL, TABLE, WIDTH, Conversation, setup

from parties.messages import Ack
from secureboost.splitnn.architectures import ARCHITECTURES, FromModules, register
from secureboost.splitnn.feature_policy import NOT_ACCEPTED
from secureboost.splitnn.inputs import prepare
from secureboost.splitnn.model import BottomHead, decode_half, half_digest
from secureboost.splitnn.options import Choice
from secureboost.splitnn.policy import NetPolicy
from secureboost.splitnn.protections import FEATURE_PROTECTIONS
from secureboost.splitnn.protocol import (
    NO_BATCH,
    Activations,
    BottomFinished,
    BottomReady,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)
from secureboost.splitnn.store import FolderBottoms, MemoryBottoms
from secureboost.splitnn.terms import NetTerms
from secureboost.splitnn.transitions import TRANSITIONS

NOTHING = np.zeros(0, np.uint8)


def rows(*positions):
    return np.array(positions, np.int32)


def gradient(value=0.0, n_rows=4, width=WIDTH):
    return np.full((n_rows, width), value).reshape(-1).view(np.uint8)


def exchange(gradient_of=NO_BATCH, forward=NO_BATCH, payload=None):
    if payload is None:
        payload = NOTHING if gradient_of == NO_BATCH else gradient()
    return Exchange(gradient_of=gradient_of, forward=forward, gradient=payload)


def talk_through(talk, epochs=1):
    """Train whole epochs of two batches each."""
    for first in range(0, 2 * epochs, 2):
        for gradient_of, forward in (
            (NO_BATCH, first),
            (NO_BATCH, first + 1),
            (first, NO_BATCH),
            (first + 1, NO_BATCH),
        ):
            payload = None if gradient_of == NO_BATCH else gradient(0.1)
            reply = talk.ask(exchange(gradient_of, forward, payload))
            assert isinstance(reply, Activations), reply
    return talk


def finish(*, keep=True, best=False):
    return FinishBottom(keep=keep, best=best)


@pytest.mark.parametrize(
    ("changes", "policy", "code", "text"),
    [
        ({"rows": rows()}, {}, "rows_refused", "positions in 0..11, and at least one"),
        ({"rows": rows(*range(11), 12)}, {}, "rows_refused", "positions in 0..11"),
        ({"rows": rows(*range(11), -1)}, {}, "rows_refused", "positions in 0..11"),
        ({"rows": rows(*range(11), 3)}, {}, "rows_refused", "named twice"),
        ({"n_training": 13}, {}, "rows_refused", "n_training=13 of 12 rows"),
        ({"width": 9}, {"max_width": 8}, "policy", "width=9 is above this party's 8"),
        ({}, {"max_batch_rows": 3}, "policy", "batch_size=4 is above this party's 3"),
        (
            {"batch_size": 5},
            {"min_batch_rows": 5},
            "policy",
            "batch_size=5 makes batches of 4 rows, below this party's floor of 5",
        ),
        ({}, {"codecs": ("int8",)}, "codec_refused", "'identity': this party accepts int8"),
        ({"codec": "topk:0.5"}, {"codecs": ("int8",)}, "codec_refused", "accepts int8"),
        ({"codec": "zip"}, {}, "codec_refused", "'zip' is not a codec"),
        ({"protections": (Choice("magic"),)}, {}, "protection_refused", "'magic' is not"),
        ({"architecture": Choice("tree")}, {}, "architecture_refused", "'tree' is not"),
        (
            {"architecture": Choice("mlp", {"hiden": (3,)})},
            {},
            "architecture_refused",
            "Did you mean 'hidden'",
        ),
        (
            {"architecture": Choice("mlp", {"hidden": ()})},
            {"min_layers": 2},
            "architecture_refused",
            NOT_ACCEPTED,
        ),
        (
            {"architecture": Choice("mlp", {"hidden": (60_000, 60_000)})},
            {},
            "architecture_refused",
            NOT_ACCEPTED,
        ),
        ({"optimizer": "lion"}, {}, "architecture_refused", "'lion' is not an optimizer"),
    ],
)
def test_setups_that_are_refused(changes, policy, code, text):
    talk = Conversation(NetTerms(NetPolicy(**policy))).matched()
    assert_refused(talk.ask(setup(**changes)), code, text)
    assert talk.answerer.state == "matched"


def test_refusals_of_what_fits_no_memory_come_before_anything_is_made():
    talk = Conversation(NetTerms(NetPolicy(max_width=65_536, max_batch_bytes=1 << 33)))
    reply = talk.matched().ask(setup(width=65_536))
    assert isinstance(reply, BottomReady)
    many = np.zeros(5000, np.int32)
    assert_refused(talk.ask(Evaluate(rows=many)), "rows_refused", "at a time; at most 512")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("in_flight", 9),
        ("local_steps", 0),
        ("dtype", "int8"),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("model_id", "../../etc/passwd"),
        ("epoch", -1),
        ("protections", (Choice("x"),) * 17),
        ("architecture", Choice("x" * 65)),
    ],
)
def test_fields_out_of_their_limits_end_the_session(field, value):
    talk = Conversation().matched()
    request = setup(**{field: value})
    frame = _encode_unchecked(talk, request)
    reply = talk.codec.decode(talk.answerer.answer(frame), "bureau")
    assert reply.code == "malformed_frame"
    assert reply.ends_session


def _encode_unchecked(talk, request):
    """As a hostile label party would send it: without looking at its own limits."""
    from parties import codec

    good = talk.codec.encode(setup())
    arrays = good[codec._PREFIX.size :]
    head_bytes = codec._PREFIX.unpack_from(good)[1]
    body = arrays[codec._padded(head_bytes) :]
    head = msgspec.msgpack.encode(request, enc_hook=lambda array: [array.dtype.name, *array.shape])
    padding = codec._padding(len(head))
    return codec._PREFIX.pack(codec.MAGIC, len(head), bytes(8)) + head + padding + body


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (exchange(0, 2), "exchange_refused", "oldest batch in flight is None"),
        (exchange(forward=1), "exchange_refused", "the next batch is 0"),
        (exchange(), "exchange_refused", "neither a gradient nor a batch"),
        (Evaluate(rows=rows()), "rows_refused", "at least one"),
        (Evaluate(rows=rows(12)), "rows_refused", "0..11"),
        (Evaluate(rows=rows(3, 4, 3)), "rows_refused", "a row is named twice"),
        (KeepBottom(epoch=1, best=True, durable=False), "exchange_refused", "epoch 1 is not"),
    ],
)
def test_questions_out_of_turn(request_, code, text):
    talk = Conversation().set_up()
    assert_refused(talk.ask(request_), code, text)
    talk_through(talk)  # nothing has changed


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (NOTHING, "0 bytes at the cut, where 96 were due"),
        (gradient(n_rows=5), "120 bytes at the cut, where 96 were due"),
        (gradient(width=WIDTH + 1), "128 bytes at the cut"),
        (gradient(np.nan), "the gradient of batch 0 is not finite"),
        (gradient(np.inf), "the gradient of batch 0 is not finite"),
    ],
)
def test_gradients_that_are_refused(payload, text):
    talk = Conversation().set_up()
    talk.ask(exchange(forward=0))
    assert_refused(talk.ask(exchange(0, 1, payload)), "gradient_refused", text)
    assert isinstance(talk.ask(exchange(0, 1)), Activations)


def test_a_gradient_that_blows_the_bottom_up_is_told_without_a_number():
    talk = Conversation().set_up(learning_rate=1e30)
    talk.ask(exchange(forward=0))
    reply = talk.ask(exchange(0, 1, gradient(1e300)))
    assert_refused(reply, "diverged", "the activation of this party is not finite at step 1")


def test_nothing_is_in_flight_when_a_bottom_is_kept_or_finished():
    talk = Conversation().set_up()
    talk.ask(exchange(forward=0))
    assert_refused(talk.ask(finish()), "exchange_refused", "not through yet")
    assert_refused(
        talk.ask(KeepBottom(epoch=1, best=False, durable=True)), "exchange_refused", "not through"
    )


def test_nothing_is_kept_before_something_was_learnt():
    talk = Conversation().set_up()
    for request in (KeepBottom(epoch=0, best=False, durable=True), finish()):
        assert_refused(talk.ask(request), "exchange_refused", "before the first epoch is through")
    assert talk.nets.store.halves == talk.nets.store.unfinished == {}
    assert isinstance(talk.ask(finish(keep=False)), BottomFinished)


def test_models_that_are_never_finished_fill_no_disk(store, caplog):
    terms = NetTerms(NetPolicy(max_unfinished=2), store=store)
    models = [digit * 32 for digit in "abcd"]
    for model_id in models:
        talk = talk_through(Conversation(terms).set_up(model_id=model_id))
        assert talk.ask(KeepBottom(epoch=1, best=False, durable=True)) == Ack()
    assert [store.kept(model_id, 1) is None for model_id in models] == [True, True, False, False]
    said = [text for text in caplog.messages if "more than 2 models are unfinished" in text]
    assert [model_id in text for model_id, text in zip(models, said, strict=False)] == [True, True]


def test_the_budget_of_exchanges_counts_over_sessions():
    terms = NetTerms(NetPolicy(max_exchanges=3))
    talk_through(Conversation(terms).set_up())
    talk = Conversation(terms).set_up(model_id="f" * 32)
    assert isinstance(talk.ask(exchange(forward=0)), Activations)
    reply = talk.ask(exchange(forward=1))
    assert_refused(reply, "budget_spent", "budget of 3 exchanges is spent")
    assert isinstance(talk.ask(exchange(0)), Activations)  # only what is given out counts
    assert terms.budget.spent.exchanges == 3


def test_the_budget_of_rows_is_one_for_evaluation_and_prediction():
    terms = NetTerms(NetPolicy(max_evaluated_rows=10))
    talk = talk_through(Conversation(terms).set_up())
    assert isinstance(talk.ask(Evaluate(rows=rows(8, 9, 10, 11))), Activations)
    assert isinstance(talk.ask(finish()), BottomFinished)
    predict = Predict(model_id=MODEL, rows=rows(0, 1, 2, 3, 4, 5))
    assert isinstance(talk.ask(predict), Activations)
    assert_refused(talk.ask(predict), "budget_spent", "budget of 10 evaluated rows is spent")


def test_the_party_protects_itself_whatever_is_asked():
    own = Choice(next(iter(FEATURE_PROTECTIONS)))
    terms = NetTerms(NetPolicy(protections=(own,)))
    ready = Conversation(terms).matched().ask(setup())
    assert ready.protections == (own.name,)


def test_a_half_is_kept_and_scores():
    talk = talk_through(Conversation().set_up(), 2)
    evaluated = talk.ask(Evaluate(rows=rows(0, 5, 11)))
    done = talk.ask(finish())
    half = talk.nets.store.load(MODEL)
    assert done.digest == half_digest(half)
    head, _ = decode_half(half, BottomHead, "half")
    assert head.preparation == prepare(talk.table, np.arange(8, dtype=np.int32))
    assert head.party == "bureau"
    predicted = talk.ask(Predict(model_id=MODEL, rows=rows(0, 5, 11)))
    assert predicted == evaluated
    other = Conversation(NetTerms(store=talk.nets.store), TABLE.iloc[::-1]).matched()
    assert other.ask(Predict(model_id=MODEL, rows=rows(11, 6, 0))) == evaluated


@pytest.mark.parametrize(
    ("model_id", "frame", "text"),
    [
        ("f" * 32, TABLE, "no half of model"),
        (MODEL, TABLE.rename(columns={"up": "down"}), "other columns than the model's"),
        (MODEL, TABLE.assign(kind=1.0), "other columns than the model's"),
    ],
)
def test_predictions_that_are_refused(model_id, frame, text):
    talk = talk_through(Conversation().set_up())
    talk.ask(finish())
    other = Conversation(NetTerms(store=talk.nets.store), frame).matched()
    assert_refused(other.ask(Predict(model_id=model_id, rows=rows(0))), "unknown_model", text)
    bad = Predict(model_id=MODEL, rows=rows(12))
    assert_refused(talk.ask(bad), "rows_refused", "0..11")


def test_an_unknown_category_is_a_missing_value():
    talk = talk_through(Conversation().set_up())
    talk.ask(finish())
    frames = [TABLE.assign(kind=["new"] + list("ab") * 5 + ["a"]), TABLE.assign(kind=None)]
    answers = [
        Conversation(NetTerms(store=talk.nets.store), frame)
        .matched()
        .ask(Predict(model_id=MODEL, rows=rows(0)))
        for frame in frames
    ]
    assert isinstance(answers[0], Activations)
    assert answers[0] == answers[1]


def test_a_half_that_is_forgotten():
    talk = talk_through(Conversation().set_up())
    talk.ask(KeepBottom(epoch=1, best=True, durable=True))
    done = talk.ask(finish(keep=False))
    assert done.digest == b""
    assert talk.nets.store.halves == talk.nets.store.unfinished == {}


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    return MemoryBottoms() if request.param == "memory" else FolderBottoms(tmp_path / "halves")


def test_training_goes_on_after_a_crash(store):
    whole = talk_through(Conversation().set_up(), 3)
    expected = whole.ask(Evaluate(rows=rows(*range(12))))

    cut = talk_through(Conversation(NetTerms(store=store)).set_up(), 2)
    assert cut.ask(KeepBottom(epoch=2, best=True, durable=True)) == Ack()
    talk = Conversation(NetTerms(store=store)).matched()
    assert isinstance(talk.ask(setup(epoch=2, initial_seed=None)), BottomReady)
    assert_refused(talk.ask(exchange(forward=0)), "exchange_refused", "the next batch is 4")
    for gradient_of, forward in ((NO_BATCH, 4), (NO_BATCH, 5), (4, NO_BATCH), (5, NO_BATCH)):
        payload = None if gradient_of == NO_BATCH else gradient(0.1)
        talk.ask(exchange(gradient_of, forward, payload))
    assert talk.ask(Evaluate(rows=rows(*range(12)))) == expected
    done = talk.ask(finish(best=True))
    # the best weights are those of the epoch before the crash
    _, weights = decode_half(store.load(MODEL), BottomHead, "half")
    before = cut.answerer._service._training._learner.trainable.weights()
    assert all(np.array_equal(weights[name], before[name]) for name in before)

    again = Conversation(NetTerms(store=store)).matched()
    assert isinstance(again.ask(setup(epoch=3)), BottomReady)
    for request in (
        exchange(forward=6),
        Evaluate(rows=rows(0)),
        KeepBottom(epoch=3, best=False, durable=True),
    ):
        assert_refused(again.ask(request), "resume_refused", "is finished; begin a new one")
    assert again.ask(finish()).digest == done.digest


def test_what_cannot_be_gone_on_with(store):
    talk = Conversation(NetTerms(store=store)).matched()
    assert_refused(talk.ask(setup(epoch=1)), "resume_refused", "kept nothing of model")
    talk = talk_through(Conversation(NetTerms(store=store)).set_up())
    talk.ask(KeepBottom(epoch=1, best=False, durable=True))
    other = TABLE.copy()
    other.iloc[3, 0] += 1
    for frame, changes in ((other, {}), (TABLE, {"rows": np.arange(12, dtype=np.int32)[::-1]})):
        talk = Conversation(NetTerms(store=store), frame).matched()
        reply = talk.ask(setup(epoch=1, **changes))
        assert_refused(reply, "resume_refused", "cut off over other rows or values")
    store.keep(MODEL, 1, b"rubbish")
    talk = Conversation(NetTerms(store=store)).matched()
    assert_refused(talk.ask(setup(epoch=1)), "unknown_model", "cannot be read")


def kept_after_an_epoch(store, policy=None, **changes):
    """A store in which a run lies that was cut off after an epoch."""
    terms = NetTerms(policy, store=store)
    talk = talk_through(Conversation(terms).set_up(**changes))
    assert talk.ask(KeepBottom(epoch=1, best=False, durable=True)) == Ack()
    return talk


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "int8"},
        {"width": WIDTH + 1},
        {"dtype": "float32"},
        {"protections": (Choice("gaussian_noise"),)},
        {"architecture": Choice("mlp", {"hidden": (6,)})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_goes_on_as_it_was_begun(store, changes, finished):
    talk = kept_after_an_epoch(store)
    if finished:
        talk.ask(finish())
    again = Conversation(NetTerms(store=store)).matched()
    assert_refused(again.ask(setup(epoch=1, **changes)), "resume_refused", "was begun with another")
    assert isinstance(again.ask(setup(epoch=1, learning_rate=0.01)), BottomReady)


@pytest.mark.parametrize("changes", [{"n_training": 7}, {"batch_size": 8}, {"batch_seed": 2}])
def test_a_run_goes_on_with_its_batches(store, changes):
    kept_after_an_epoch(store)
    again = Conversation(NetTerms(store=store)).matched()
    assert_refused(again.ask(setup(epoch=1, **changes)), "resume_refused", "or batches")


NOISE = Choice("gaussian_noise", {"clip": 2.0})
STRICTER = [
    (NetPolicy(codecs=("int8",)), "codec_refused", "accepts int8"),
    (NetPolicy(max_width=2), "policy", "width=3 is above this party's 2"),
    (NetPolicy(min_layers=3), "architecture_refused", NOT_ACCEPTED),
    (NetPolicy(protections=(NOISE,)), "protection_refused", "without this party's protections"),
]


@pytest.mark.parametrize(("policy", "code", "text"), STRICTER)
@pytest.mark.parametrize("request_", [setup(epoch=1), Predict(model_id=MODEL, rows=rows(0))])
def test_rules_hold_for_what_was_made_before_them(store, policy, code, text, request_):
    talk = kept_after_an_epoch(store)
    if isinstance(request_, SetupBottom):
        again = Conversation(NetTerms(policy, store=store)).matched()
        assert_refused(again.ask(request_), code, text)
    talk.ask(finish())
    again = Conversation(NetTerms(policy, store=store)).matched()
    assert_refused(again.ask(request_), code, text)


def test_what_was_made_under_the_rules_is_answered(store):
    policy = NetPolicy(protections=(NOISE,), codecs=("identity",), max_width=WIDTH)
    talk = talk_through(Conversation(NetTerms(policy, store=store)).set_up())
    talk.ask(finish())
    again = Conversation(NetTerms(policy, store=store)).matched()
    assert isinstance(again.ask(Predict(model_id=MODEL, rows=rows(0))), Activations)


def unsuitable(columns, width):
    raise RuntimeError(f"made for other columns than {columns.numbers}")


@pytest.fixture
def own_modules():
    """An architecture whose bottom takes three numbers, and one that fails over any columns."""
    register(FromModules("of three", bottom=torch.nn.Linear(3, WIDTH)))
    register(FromModules("failing", bottom=unsuitable))
    yield
    del ARCHITECTURES["of three"], ARCHITECTURES["failing"]


@pytest.mark.parametrize(
    ("architecture", "policy"),
    [
        (Choice("wide_deep", {"crosses": "up*sideways"}), {}),
        (Choice("bst", {"sequences": "first,second"}), {}),
        (Choice("mlp", {"hidden": (300,)}), {"max_parameters": 1000}),
        (Choice("mlp", {"hidden": ()}), {"min_layers": 2}),
        (Choice("mlp", {"hidden": (60,)}), {"max_batch_bytes": 4096 * 8 * 128}),
        (Choice("of three"), {}),
        (Choice("failing"), {}),
    ],
    ids=[
        "a name",
        "sequences",
        "too large",
        "too few layers",
        "memory",
        "shapes",
        "an error of its own",
    ],
)
def test_refusals_tell_nothing_of_columns(architecture, policy, caplog, own_modules):
    """One code and one text for all that depends on the columns; the owner's log has the rest."""
    talk = Conversation(NetTerms(NetPolicy(**policy))).matched()
    reply = talk.ask(setup(architecture=architecture))
    assert (reply.code, reply.detail) == ("architecture_refused", NOT_ACCEPTED)
    assert any("a network is not accepted: " in text for text in caplog.messages)
    assert talk.nets.budget.spent.refused_setups == 1


def test_refused_set_ups_are_counted_over_sessions():
    terms = NetTerms(NetPolicy(max_refused_setups=2, min_layers=2))
    bad = setup(architecture=Choice("mlp", {"hidden": ()}))
    talk = Conversation(terms).matched()
    typo = setup(architecture=Choice("mlp", {"hiden": (3,)}))
    assert_refused(talk.ask(typo), "architecture_refused", "Did you mean")  # tells of no column
    assert_refused(talk.ask(bad), "architecture_refused", NOT_ACCEPTED)
    again = Conversation(terms).matched()
    assert_refused(again.ask(bad), "architecture_refused", NOT_ACCEPTED)
    for request in (bad, setup()):
        assert_refused(again.ask(request), "budget_spent", "takes no more proposals")
    assert terms.budget.spent.refused_setups == 2


def test_a_model_that_is_in_use_is_not_replaced():
    talk = talk_through(Conversation().set_up())
    talk.ask(finish())
    assert_refused(talk.ask(setup()), "unknown_model", "take a new name")


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    import secureboost.splitnn.store as store_module

    def full(path, data, *, mode):
        raise OSError(28, "No space left on device", str(path))

    talk = talk_through(Conversation(NetTerms(store=FolderBottoms(tmp_path))).set_up())
    monkeypatch.setattr(store_module, "write_atomically", full)
    keep = KeepBottom(epoch=1, best=False, durable=True)
    assert_refused(talk.ask(keep), "cannot_be_kept", "No space left on device")
    assert_refused(talk.ask(finish()), "cannot_be_kept", "No space left on device")


def test_a_secret_seed_is_the_partys_own():
    replies = [
        Conversation().set_up(initial_seed=seed).ask(Evaluate(rows=rows(0)))
        for seed in (None, None, 1, 1)
    ]
    assert replies[0] != replies[1]
    assert replies[2] == replies[3]


def test_the_table_of_turns_is_complete():
    asked = {kind for allowed in TRANSITIONS.values() for kind in allowed}
    assert {SetupBottom, Exchange, Evaluate, KeepBottom, FinishBottom, Predict} < asked
    for state, request in (
        ("matched", exchange(forward=0)),
        ("training", setup()),
        ("training", Predict(model_id=MODEL, rows=rows(0))),
    ):
        talk = Conversation()
        talk = talk.matched() if state == "matched" else talk.set_up()
        reply = talk.ask(request)
        assert_refused(reply, "out_of_turn", f"state {state!r} does not allow", ends_session=True)


def test_logs_and_reprs_show_no_value(caplog):
    with caplog.at_level("DEBUG"):
        talk = talk_through(Conversation().set_up())
        talk.ask(finish())
        talk.ask(Predict(model_id=MODEL, rows=rows(0)))
    for secret in ("up", "kind", "gap", *IDS):
        assert secret not in caplog.text.split()
        assert secret not in repr(talk.nets)
