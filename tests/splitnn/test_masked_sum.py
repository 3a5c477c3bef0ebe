"""Networks over sums under masks: split is pooled, and the label party reads sums alone."""

import copy
import pickle

import msgspec
import numpy as np
import pytest
from scipy.stats import chisquare
from support.asking import assert_refused
from support.nets import (
    MODEL,
    TABLE,
    TRAINER,
    WIDTH,
    Conversation,
    Net,
    WatchedParty,
    setup,
    weights_of,
)
from support.serving import Companies

from parties.certificates import read_identity, read_pins
from parties.errors import PeerRefusedError, PeerUnreachableError
from parties.messages import Ack
from parties.peer import Transport
from secureboost import FeatureParty, NetTerms, SplitNNClassifier, SplitNNRegressor, pool_tables
from secureboost.align.options import AlignOptions
from secureboost.errors import ConfigError, IntegrityError
from secureboost.splitnn.mask_terms import MaskTerms, simulated_masks
from secureboost.splitnn.masking import from_fixed
from secureboost.splitnn.masking_keys import MaskError, MaskKey
from secureboost.splitnn.masking_protocol import AgreeMasks, OfferMaskKey
from secureboost.splitnn.model import BottomHead, decode_half
from secureboost.splitnn.params import NetParams
from secureboost.splitnn.policy import NetPolicy
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
from secureboost.splitnn.recorder import Recorder
from secureboost.splitnn.store import MemoryBottoms

SUM = "masked_sum"
NETS = {n_parties: Net(n_parties) for n_parties in (1, 2, 3)}
MASKS = {n: simulated_masks([f"party{number}" for number in range(1, n + 1)]) for n in (2, 3)}


def members(n_parties=2, kind=FeatureParty, masks=None, **options):
    """Feature parties that mask with each other."""
    masks = MASKS[n_parties] if masks is None else masks
    return [
        kind(name, table, nets=NetTerms(masks=masks[name]), **options)
        for name, table in NETS[n_parties].tables.items()
    ]


def check(n_parties=2, **parameters):
    parties = members(n_parties)
    model = NETS[n_parties].fit(parties, codec=SUM, **parameters)
    NETS[n_parties].assert_twins(model, parties, codec=SUM, **parameters)
    return model


class Altering(Transport):
    """Changes what the label party asks."""

    def __init__(self, inner, alter) -> None:
        self._inner, self._alter, self._codec = inner, alter, TRAINER.codec()

    def exchange(self, frame: bytes, timeout: float) -> bytes:
        request = self._alter(self._codec.decode(frame, "label"))
        return self._inner.exchange(self._codec.encode(request), timeout)

    def close(self, *, abort: bool) -> None:
        self._inner.close(abort=abort)


def tell_one(kind, change, **options):
    """Members of which the second is told something else in a request of a kind."""

    def alter(request):
        return change(request) if isinstance(request, kind) else request

    one, other = members(kind=WatchedParty, **options)
    other.wrap = lambda inner: Altering(inner, alter)
    return one, other


def replaced(**changes):
    """What changes some fields of a request."""
    return lambda request: msgspec.structs.replace(
        request, **{name: change(getattr(request, name)) for name, change in changes.items()}
    )


# split is pooled


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("n_parties", [2, 3])
def test_split_is_pooled(n_parties, in_flight):
    model = check(n_parties, in_flight=in_flight)
    assert model.label_half_.widths == [4, 4]  # the own bottom and the sum


@pytest.mark.parametrize(
    "parameters",
    [
        {"architecture": "deepfm"},
        {"architecture": "wide_deep"},
        {"architecture": "mmoe", "top_hidden": (4,), "local_steps": 2},
        {
            "bottom_options": {"dropout": 0.3},
            "label_protections": [{"marvell": {"unsafe_seeded": True}}],
        },
        {"early_stopping_rounds": 1, "n_epochs": 6, "learning_rate": 0.3},
        {"optimizer": "sgd", "max_norm": 0.1, "batch_size": 7, "in_flight": 8},
    ],
    ids=lambda parameters: ",".join(parameters),
)
def test_whatever_the_parameters(parameters):
    check(**parameters)


def test_single_precision():
    """The sum is taken in fixed point; scores may differ in the last bit with the rows' order."""
    net, options = NETS[2], {"codec": SUM, "dtype": "float32"}
    model, twin = net.fit(members(), **options), net.fit_pooled(**options)
    assert model.training_loss_ == twin.training_loss_
    pooled, _ = pool_tables(net.X, net.tables)
    scores = model.raw_scores(net.X)
    assert np.allclose(scores, twin.raw_scores(pooled), rtol=1e-5)
    assert np.array_equal(scores, model.raw_scores(net.X))


def test_a_regression_without_own_columns():
    net = NETS[2]
    parties, empty = members(), net.X[[]]
    model = SplitNNRegressor(cut_width=4, n_epochs=2, codec=SUM).fit(
        empty, net.amount, parties=parties
    )
    assert model.label_half_.widths == [4]
    assert np.isfinite(model.predict(empty)).all()


def test_over_grpc_with_the_certificates_of_tls(tmp_path):
    net = NETS[2]
    with Companies(tmp_path) as companies:
        files = {name: companies.tls(name, "bank") for name in net.tables}
        terms = {}
        for name, tls in files.items():
            pins = [read_pins(files[other].certificate)[0] for other in files if other != name]
            masks = MaskTerms(read_identity(tls), pins)
            terms[name] = NetTerms(store=MemoryBottoms(), masks=masks)
        parties = [
            companies.serve(name, table, terms[name])[0] for name, table in net.tables.items()
        ]
        model = net.fit(parties, in_flight=4, codec=SUM)
        for party in parties:
            party.nets = terms[party.name]
        net.assert_twins(model, parties, in_flight=4, codec=SUM)


def test_over_an_alignment():
    """Customers are found first; their ids are bound to the masks all the same."""
    net = NETS[2]
    parties = members(align=True)
    model = net.fit(parties, codec=SUM)
    pooled, _ = pool_tables(net.X, net.tables)
    assert model.raw_scores(net.X).shape == (len(pooled),)


def test_saved_and_loaded(tmp_path):
    net, parties = NETS[2], members()
    model = net.fit(parties, codec=SUM)
    model.save(tmp_path)
    loaded = SplitNNClassifier.load(tmp_path)
    assert np.array_equal(
        loaded.raw_scores(net.X, parties=members()), model.raw_scores(net.X, parties=parties)
    )


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    """Under new keys, and with the history of the first part."""
    net, parties = NETS[2], members()
    whole = net.fit(parties, codec=SUM, n_epochs=3, checkpoint=tmp_path / "whole")

    def lose(request):
        if isinstance(request, KeepBottom) and request.epoch == 2:
            raise PeerUnreachableError("party2", "is gone")
        return request

    cut = members(kind=WatchedParty)
    cut[1].wrap = lambda inner: Altering(inner, lose)
    with pytest.raises(PeerUnreachableError):
        net.fit(cut, codec=SUM, n_epochs=3, checkpoint=tmp_path / "cut")
    cut[1].wrap = lambda inner: inner
    model = net.fit(cut, codec=SUM, n_epochs=3, checkpoint=tmp_path / "cut", resume=True)
    expected = weights_of(whole, parties)
    for name, tensor in weights_of(model, cut).items():
        assert tensor.equal(expected[name]), name
    said = {head_of(model, party).said for party in cut}
    assert len(said) == 1
    assert said.pop() != head_of(whole, parties[0]).said


def head_of(model, party):
    half = party.nets.store.load(model.label_half_.model_id)
    return decode_half(half, BottomHead, party.name)[0]


# what crosses


@pytest.fixture(scope="module")
def run():
    parties = members(kind=WatchedParty)
    model = NETS[2].fit(parties, codec=SUM, n_epochs=8, random_state=None)
    for rows in (slice(None), slice(40)):
        model.predict(NETS[2].X.iloc[rows])
    return parties, model


def words(party, kind=Activations):
    """What a party gave, by request; arrays of words."""
    return [
        (request, reply.payload.view(np.uint64))
        for request, reply in party.messages()
        if isinstance(reply, kind) and reply.n_rows
    ]


def test_what_a_party_sends_is_uniform(run):
    for party in run[0]:
        given = np.concatenate([payload for _, payload in words(party)])
        assert len(given) > 4000
        counts = np.bincount(given.view(np.uint8), minlength=256)
        assert chisquare(counts).pvalue > 1e-6


def test_the_sum_and_nothing_but_the_sum_can_be_read(run):
    one, other = (words(party) for party in run[0])
    assert len(one) == len(other) > 30
    for (_, first), (_, second) in zip(one, other, strict=True):
        total = from_fixed(first + second)
        assert np.abs(total).max() < 100.0
        for alone in (first, second, first - second):
            assert np.abs(from_fixed(alone)).max() > 1e6


def test_no_mask_is_used_twice(run):
    """The same rows scored by the same model, in two sessions and within one."""
    for party in run[0]:
        seen = np.concatenate([payload for _, payload in words(party)])
        assert len(np.unique(seen)) == len(seen)


def test_rows_are_asked_about_in_a_secret_order(run):
    (one, other), _ = run
    index = [party._table.ids for party in (one, other)]
    asked = [[request for request, _ in words(p) if isinstance(request, Predict)] for p in run[0]]
    for first, second in zip(*asked, strict=True):
        ids = [index[0][row] for row in first.rows]
        assert ids == [index[1][row] for row in second.rows]
        places = NETS[2].X.index.get_indexer(ids)
        assert abs(np.corrcoef(places, np.arange(len(places)))[0, 1]) < 0.6
    assert not np.array_equal(np.argsort(asked[0][0].rows[:40]), np.argsort(asked[0][1].rows))


def test_members_get_the_same_gradient(run):
    gradients = [
        [request.gradient.tobytes() for request, _ in party.messages() if type(request) is Exchange]
        for party in run[0]
    ]
    assert gradients[0] == gradients[1]
    assert len(set(gradients[0])) > 30


# a label party that asks for more


def not_alike(kind, change, **parameters):
    with pytest.raises(MaskError, match="the masks of party1, party2 do not cancel"):
        NETS[2].fit(tell_one(kind, change), codec=SUM, **parameters)


def zeroed(payload):
    return np.zeros_like(payload)


def swapped(rows):
    return np.concatenate([rows[1::-1], rows[2:]])


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Exchange, replaced(gradient=zeroed)),  # its summand would stand still
        (Evaluate, replaced(rows=swapped)),
        (SetupBottom, replaced(rows=swapped)),  # a customer of one beside another of the other
        (SetupBottom, replaced(learning_rate=lambda _rate: 0.0)),
        (SetupBottom, replaced(max_norm=lambda _norm: 0.0)),
        (SetupBottom, replaced(local_steps=lambda _steps: 2)),
        (SetupBottom, replaced(model_id=lambda _name: "ab" * 16)),
    ],
    ids=["gradient", "evaluated", "rows", "rate", "norm", "steps", "model"],
)
def test_members_who_are_told_different_things_give_no_sum(kind, change):
    not_alike(kind, change)


def test_members_who_remember_different_weights_give_no_sum():
    not_alike(KeepBottom, replaced(best=lambda best: not best), early_stopping_rounds=3, n_epochs=3)


def test_halves_of_different_histories_give_no_sum():
    """Otherwise sums of the best and of the latest weights would show how one summand moved."""
    parties = tell_one(FinishBottom, replaced(best=lambda best: not best))
    model = NETS[2].fit(parties, codec=SUM, early_stopping_rounds=5)
    with pytest.raises(MaskError, match="do not cancel"):
        model.predict(NETS[2].X)


def test_other_rows_in_a_prediction_give_no_sum():
    parties = tell_one(Predict, replaced(rows=swapped))
    model = NETS[2].fit(parties, codec=SUM)
    with pytest.raises(MaskError, match="they have other ids in the same rows"):
        model.predict(NETS[2].X)


def test_members_without_common_ids_may_say_so():
    """What that costs is in `MaskTerms`: rows may be paired at will."""
    loose = simulated_masks(["party1", "party2"], same_ids=False)
    parties = tell_one(SetupBottom, replaced(rows=swapped), masks=loose)
    NETS[2].fit(parties, codec=SUM)
    strict = MaskTerms(loose["party2"].identity, loose["party2"].pins)
    mixed = loose | {"party2": strict}
    with pytest.raises(MaskError, match="do not cancel"):
        NETS[2].fit(members(masks=mixed), codec=SUM)


def test_a_key_of_the_label_partys_own_is_refused():
    forged = simulated_masks(["party1", "party2"])["party1"]
    key = MaskKey(forged.group).offer(forged.identity)
    parties = tell_one(AgreeMasks, replaced(offers=lambda _offers: (key,)))
    with pytest.raises(PeerRefusedError, match="'party1' is not signed with the certificate"):
        NETS[2].fit(parties, codec=SUM)


def test_a_key_in_another_name_is_found_out():
    def alter(_request, reply):
        if type(reply).__name__ != "MaskKeyOffered":
            return reply
        return msgspec.structs.replace(
            reply, offer=msgspec.structs.replace(reply.offer, party="party1")
        )

    parties = members(kind=WatchedParty)
    parties[1].alter = alter
    with pytest.raises(IntegrityError, match="in another party's name"):
        NETS[2].fit(parties, codec=SUM)


# rules


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"body": "party1"}, "whoever computes the body would read the sum"),
        ({"party_dropout": 0.1}, "cancel only if all members are there"),
        ({"codec": "masked_sum:8"}, "'masked_sum' takes no options and goes with no other codec"),
        ({"codec": "topk:0.1+masked_sum"}, "goes with no other codec"),
        ({"codec": "masked_sums"}, "Did you mean 'masked_sum'"),
    ],
)
def test_what_does_not_fit(parameters, message):
    with pytest.raises(ConfigError, match=message):
        NetParams(**{"codec": SUM} | parameters)


def test_one_party_is_no_sum():
    with pytest.raises(ConfigError, match="there is: 'party1'"):
        NETS[1].fit([FeatureParty("party1", NETS[1].tables["party1"])], codec=SUM)
    with pytest.raises(ConfigError, match="there is: nobody else"):
        SplitNNClassifier(codec=SUM).fit(np.eye(4), [0, 1, 0, 1])


def test_an_audit_of_what_cannot_be_read():
    model = SplitNNClassifier(codec=SUM, cut_width=4, n_epochs=1)
    model._make_local = Recorder().make_bottom
    pooled, owner = pool_tables(NETS[2].X, NETS[2].tables)
    with pytest.raises(ConfigError, match="the label party reads no party's activations but the"):
        model.fit(pooled, NETS[2].y, column_owner=owner)


def test_rows_cannot_be_hidden_among_padding_in_a_prediction():
    """Every member would have to have the same padding rows."""
    net = NETS[2]
    model = net.fit(members(), codec=SUM)
    parties = members(align=AlignOptions(padding=20))
    for party, trained in zip(parties, model.parties_, strict=True):
        party.nets.store = trained.nets.store
    with pytest.raises(ConfigError, match=r"hidden among padding rows.*align\.padding = 0"):
        model.raw_scores(net.X, parties=parties)


def test_a_party_without_members_refuses():
    one, _ = members()
    other = FeatureParty("party2", NETS[2].tables["party2"])
    with pytest.raises(PeerRefusedError, match="has not named the parties that it masks with"):
        NETS[2].fit([one, other], codec=SUM)


def test_nobody_is_left_out_and_nobody_added():
    net = NETS[3]
    two = members(3)[:2]
    with pytest.raises(PeerRefusedError, match="asked for of party1, party2; this party's are"):
        net.fit(two, codec=SUM)


def test_an_activation_that_is_too_large():
    large = {"learning_rate": 1000.0, "optimizer": "sgd", "n_epochs": 4, "codec": SUM}
    with pytest.raises((PeerRefusedError, MaskError), match="the most that can be masked"):
        NETS[2].fit(members(), NETS[2].amount, SplitNNRegressor, **large)
    with pytest.raises(MaskError, match="the most that can be masked"):
        NETS[2].fit_pooled(NETS[2].amount, SplitNNRegressor, **large)


@pytest.fixture
def talk():
    """A session of a bureau that masks with a telco, and the telco's terms."""
    masks = simulated_masks(["bureau", "telco"])
    terms = NetTerms(NetPolicy(codecs=(SUM,)), masks=masks["bureau"])
    return Conversation(terms).matched(), masks["telco"]


def agree(talk, telco):
    talk.ask(OfferMaskKey(members=("bureau", "telco")))
    return talk.ask(AgreeMasks(offers=(MaskKey(telco.group).offer(telco.identity),)))


def test_a_party_may_insist_on_masks(talk):
    conversation, telco = talk
    assert agree(conversation, telco) == Ack()
    assert_refused(conversation.ask(setup()), "codec_refused", "this party accepts masked_sum")
    reply = conversation.ask(setup(codec=SUM))
    assert type(reply).__name__ == "BottomReady"


def train_an_epoch(talk, gradient):
    """Two batches of four rows."""
    for gradient_of, forward in ((NO_BATCH, 0), (NO_BATCH, 1), (0, NO_BATCH), (1, NO_BATCH)):
        payload = np.zeros(0, np.uint8) if gradient_of == NO_BATCH else gradient
        reply = talk.ask(Exchange(gradient_of=gradient_of, forward=forward, gradient=payload))
        assert isinstance(reply, Activations), reply


GRADIENT = np.full(4 * WIDTH, 0.1).view(np.uint8)


@pytest.mark.parametrize("finished", [False, True])
def test_what_was_begun_under_masks_is_not_gone_on_with_in_the_clear(talk, finished):
    conversation, telco = talk
    nets = NetTerms(masks=conversation.nets.masks)  # the policy does not insist on masks
    conversation = Conversation(nets).matched()
    agree(conversation, telco)
    conversation.ask(setup(codec=SUM))
    train_an_epoch(conversation, GRADIENT)
    assert conversation.ask(KeepBottom(epoch=1, best=False, durable=True)) == Ack()
    if finished:
        conversation.ask(FinishBottom(keep=True, best=False))
    again = Conversation(nets).matched()
    assert_refused(again.ask(setup(epoch=1)), "resume_refused", "was begun with another codec")
    agree(again, telco)
    assert type(again.ask(setup(epoch=1, codec=SUM))).__name__ == "BottomReady"


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (Exchange(gradient_of=0, forward=1, gradient=GRADIENT[8:]), "gradient_refused"),
        (
            Exchange(gradient_of=0, forward=1, gradient=np.full(4 * WIDTH, np.nan).view(np.uint8)),
            "gradient_refused",
        ),
        (Exchange(gradient_of=0, forward=1, gradient=GRADIENT), "budget_spent"),
        (Exchange(gradient_of=1, forward=1, gradient=GRADIENT), "exchange_refused"),
    ],
    ids=["too short", "not finite", "no budget", "not in turn"],
)
def test_what_is_refused_does_not_enter_the_masks(talk, refused, code):
    conversation, telco = talk
    policy = NetPolicy(max_exchanges=1 if code == "budget_spent" else None)
    conversation = Conversation(NetTerms(policy, masks=conversation.nets.masks)).matched()
    agree(conversation, telco)
    conversation.ask(setup(codec=SUM))
    conversation.ask(Exchange(gradient_of=NO_BATCH, forward=0, gradient=np.zeros(0, np.uint8)))
    masking = conversation.answerer._service._training._masking
    said = masking.said
    assert_refused(conversation.ask(refused), code, "")
    assert masking.said == said
    again = Exchange(gradient_of=0, forward=NO_BATCH, gradient=GRADIENT)
    assert isinstance(conversation.ask(again), Activations)
    assert masking.said != said


def test_a_party_with_masks_is_not_pickled_or_copied(talk):
    """Its private key stays in its process; whoever searches over networks is told how."""
    conversation, _ = talk
    party = FeatureParty("bureau", TABLE, nets=conversation.nets)
    for attempt in (pickle.dumps, copy.deepcopy):
        for holder in (party, conversation.nets, conversation.nets.masks.identity):
            with pytest.raises(TypeError, match=r"never pickled or copied.*n_jobs=1"):
                attempt(holder)
    assert pickle.dumps(FeatureParty("bureau", TABLE, nets=NetTerms()))


def test_masks_are_agreed_on_first(talk):
    conversation, telco = talk
    refusal = conversation.ask(setup(codec=SUM))
    assert_refused(refusal, "masks_refused", "must agree on masks first")
    offer = MaskKey(telco.group).offer(telco.identity)
    refusal = conversation.ask(AgreeMasks(offers=(offer,)))
    assert_refused(refusal, "masks_refused", "OfferMaskKey comes first")


def test_a_key_is_used_once(talk):
    """A second agreement needs a second key; the first one's masks are gone when it is offered."""
    conversation, telco = talk
    assert agree(conversation, telco) == Ack()
    refusal = conversation.ask(AgreeMasks(offers=(MaskKey(telco.group).offer(telco.identity),)))
    assert_refused(refusal, "masks_refused", "each key is used once")
    first, second = (
        conversation.ask(OfferMaskKey(members=("bureau", "telco"))).offer.key for _ in range(2)
    )
    assert first != second
    assert_refused(conversation.ask(setup(codec=SUM)), "masks_refused", "agree on masks first")


def test_a_model_under_masks_scores_under_masks_alone(talk):
    conversation, telco = talk
    agree(conversation, telco)
    conversation.ask(setup(codec=SUM))
    train_an_epoch(conversation, GRADIENT)
    conversation.ask(FinishBottom(keep=True, best=False))
    rows = np.arange(3, dtype=np.int32)
    other = Conversation(conversation.nets).matched()
    refusal = other.ask(Predict(model_id=MODEL, rows=rows))
    assert_refused(refusal, "masks_refused", "must agree on masks first")
    agree(other, telco)
    replies = [other.ask(Predict(model_id=MODEL, rows=rows)).payload for _ in range(2)]
    assert not np.array_equal(*replies)
