"""A feature party that lies is found out, named, and leaves nothing behind."""

import msgspec
import numpy as np
import pytest
from support.federation import Federation, InsecureKeyClassifier, WatchedParty
from support.tables import random_table

from parties.errors import PeerRefusedError, PeerUnreachableError, UnexpectedReplyError
from parties.messages import Ack
from parties.peer import Transport
from secureboost.errors import IntegrityError
from secureboost.gbdt.protocol import Division, Histograms, HistogramsOf, Ready, Routes, Setup
from secureboost.trainers import get_trainer

FEDERATION = Federation(
    random_table(11, 150, ("few", "continuous", "few", "continuous", "few"), missing=0.0),
    (1, 2, 2),
)
PARAMETERS = {"n_estimators": 3, "max_bin": 8, "max_depth": 3}


def replace(reply, **changes):
    return msgspec.structs.replace(reply, **changes)


class Liar:
    """Alters the first reply of one kind that `when` picks."""

    def __init__(self, kind, lie, when=lambda request: True):
        self.kind, self.lie, self.when = kind, lie, when
        self.setup = None
        self.told = False

    def __call__(self, request, reply):
        if isinstance(request, Setup):
            self.setup = request
        if self.told or not isinstance(reply, self.kind) or not self.when(request):
            return reply
        self.told = True
        return self.lie(reply, self.setup)


def lied_to(liar, scheme="plain", **parameters):
    """Train with a liar as party1 and an honest party2; returns the error."""
    names = list(FEDERATION.tables)
    parties = [
        WatchedParty(names[0], FEDERATION.tables[names[0]], alter=liar),
        WatchedParty(names[1], FEDERATION.tables[names[1]]),
    ]
    model = InsecureKeyClassifier(scheme=scheme, **PARAMETERS | parameters)
    with pytest.raises(IntegrityError) as caught:
        model.fit(FEDERATION.X, FEDERATION.y, parties=parties)
    assert liar.told
    assert caught.value.party == "party1"
    assert str(caught.value).startswith("party 'party1': ")
    assert not hasattr(model, "label_half_")
    for party in parties:
        assert party.store.halves == {}
        assert party.released
        assert len(party.services) == 1
    return str(caught.value)


def add_to_cell(position, amount):
    def lie(reply, setup):
        words = reply.ciphertexts.copy()
        words[position, 0] += np.uint64(amount)
        return replace(reply, ciphertexts=words)

    return lie


def later_node(request):
    return request.tree == 1 and len(request.nodes) > 1


def test_an_honest_party_is_believed():
    liar = Liar(Histograms, lambda reply, _setup: reply)
    FEDERATION.check(
        [WatchedParty(name, table, alter=liar) for name, table in FEDERATION.tables.items()],
        **PARAMETERS,
        scheme="plain",
    )
    assert liar.told


@pytest.mark.parametrize(("cell", "column"), [(0, 0), (8, 0), (9, 1), (13, 1), (14, 1)])
def test_one_cell_changed(cell, column):
    # column 0 is continuous: 8 bins and the missing one; column 1 has 5 and the missing one
    text = lied_to(Liar(Histograms, add_to_cell(cell, 1)))
    assert f"the cells of column party1/{column} at node 0 of tree 0 do not add up" in text


def test_one_cell_changed_deep_in_a_later_tree():
    liar = Liar(Histograms, add_to_cell(0, 1), later_node)
    asked = []
    when = liar.when
    liar.when = lambda request: when(request) and not asked.append(request.nodes[request.asked[0]])
    text = lied_to(liar)
    assert f"the cells of column party1/0 at node {asked[0]} of tree 1 do not add up" in text


@pytest.mark.parametrize(("cell", "column"), [(2, 0), (9, 1), (14, 1)])
def test_a_cell_that_no_rows_can_have(cell, column):
    def lie(reply, setup):
        words = reply.ciphertexts.copy()
        largest = 1 << (setup.cell_bits - 1)
        words[cell] = [largest & (2**64 - 1), largest >> 64]
        return replace(reply, ciphertexts=words)

    text = lied_to(Liar(Histograms, lie))
    expected = f"a sum of column party1/{column} at node 0 of tree 0 is outside the range"
    assert expected in text


def test_mass_moved_between_bins_shows_when_the_cut_wins():
    def lie(reply, setup):
        words = reply.ciphertexts.copy()
        words[0] += words[7]  # the same totals
        words[7] = 0
        return replace(reply, ciphertexts=words)

    text = lied_to(Liar(Histograms, lie))
    assert "by column party1/0 so that the rows on its left side do not have the sums" in text
    assert "divided node " in text
    assert text.count("party1") == 2


@pytest.mark.parametrize("change", ["fewer", "more", "none"])
def test_wrong_number_of_ciphertexts(change):
    def lie(reply, setup):
        c = reply.ciphertexts
        new = {"fewer": c[:-1], "more": np.vstack([c, c[:1]]), "none": c[:0]}[change]
        return replace(reply, ciphertexts=new)

    text = lied_to(Liar(Histograms, lie))
    sent = {"fewer": 14, "more": 16, "none": 0}[change]
    assert f"sent {sent} ciphertexts for 1 nodes, not 15" in text


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
def test_ciphertext_out_of_range(scheme):
    def lie(reply, setup):
        words = reply.ciphertexts.copy()
        words[1] = 2**64 - 1 if scheme == "paillier" else 2**63
        return replace(reply, ciphertexts=words)

    text = lied_to(Liar(Histograms, lie), scheme)
    assert "sent a histogram that is invalid: ciphertext 1" in text


def test_paillier_nonsense_decrypts_to_sums_that_no_rows_can_have():
    def lie(reply, setup):
        words = reply.ciphertexts.copy()
        words[1] = 1
        return replace(reply, ciphertexts=words)

    text = lied_to(Liar(Histograms, lie), "paillier")
    assert "a sum of column party1/0 at node 0 of tree 0 is outside the range" in text


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
def test_ciphertexts_of_another_width(scheme):
    def lie(reply, setup):
        return replace(reply, ciphertexts=np.repeat(reply.ciphertexts, 2, axis=1))

    assert "sent a histogram that is invalid" in lied_to(Liar(Histograms, lie), scheme)


@pytest.mark.parametrize("lie", ["swap", "double"])
def test_paillier_cells_changed(lie):
    def change(reply, setup):
        words = reply.ciphertexts.copy()
        if lie == "swap":  # of the two columns' cells, so that each column's totals change
            words[[0, -1]] = words[[-1, 0]]
        else:
            words[0] = words[1]
        return replace(reply, ciphertexts=words)

    text = lied_to(Liar(Histograms, change), "paillier")
    assert "of column party1/" in text
    assert "at node 0 of tree 0" in text


@pytest.mark.parametrize(
    "n_bins", [[], [0, 5], [8, -1], [9, 5], [2**31 - 1, 5]], ids=lambda n_bins: str(n_bins)
)
def test_absurd_bins(n_bins):
    liar = Liar(Ready, lambda reply, _: replace(reply, n_bins=np.array(n_bins, np.int32)))
    assert f"says that it has {len(n_bins)} columns" in lied_to(liar)


@pytest.mark.parametrize("n_bins", [[7, 5], [8, 5, 1]], ids=lambda n_bins: str(n_bins))
def test_bins_that_contradict_the_histograms(n_bins):
    def lie(reply, setup):
        nothing = np.zeros(len(n_bins))
        return replace(
            reply,
            n_bins=np.array(n_bins, np.int32),
            categorical=nothing.astype(np.uint8),
            monotone=nothing.astype(np.int8),
        )

    liar = Liar(Ready, lie)
    if len(n_bins) == 3:  # the third column is asked for, and the real service refuses
        parties = [
            WatchedParty(name, table, alter=liar) for name, table in FEDERATION.tables.items()
        ]
        with pytest.raises(PeerRefusedError, match=r"features_refused.*columns must ascend"):
            FEDERATION.fit(parties, **PARAMETERS, scheme="plain")
    else:
        assert "ciphertexts for 1 nodes" in lied_to(liar)


@pytest.mark.parametrize("field", ["categorical", "monotone"])
@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0], "describes another number of columns than it has"),
        ([0, 0, 0], "describes another number of columns than it has"),
        ([0, 2], "describes a column in a way that the protocol does not know"),
        ([127, 0], "describes a column in a way that the protocol does not know"),
    ],
)
def test_columns_described_wrongly(field, values, text):
    def lie(reply, setup):
        return replace(reply, **{field: np.array(values, getattr(reply, field).dtype)})

    assert text in lied_to(Liar(Ready, lie))


def test_a_mask_that_was_not_asked_for():
    liar = Liar(Histograms, lambda reply, _: replace(reply, allowed=np.zeros(3, np.uint8)))
    assert "sent a mask of cuts that was not asked for" in lied_to(liar)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_mask_of_another_size(size):
    liar = Liar(Histograms, lambda reply, _: replace(reply, allowed=np.zeros(size, np.uint8)))
    text = lied_to(liar, min_child_samples=3)
    assert f"sent a mask of cuts of {size} bytes where 32 bits were due" in text


def test_a_division_that_contradicts_the_histogram():
    def lie(reply, setup):
        bits = reply.goes_left.copy()
        bits[0] ^= 1
        return replace(reply, goes_left=bits)

    text = lied_to(Liar(Division, lie))
    assert "divided node" in text
    assert "do not have the sums of gradient and hessian" in text


def test_a_division_of_everybody_to_one_side():
    liar = Liar(Division, lambda reply, _: replace(reply, goes_left=reply.goes_left | 255))
    assert "divided node" in lied_to(liar)


@pytest.mark.parametrize("size", [0, 6, 8])
def test_a_division_of_another_size(size):
    liar = Liar(Division, lambda reply, _: replace(reply, goes_left=np.zeros(size, np.uint8)))
    assert f"sent a division of {size} bytes where 54 bits were due" in lied_to(liar)


@pytest.mark.parametrize("change", ["fewer splits", "more splits", "fewer rows", "more rows"])
def test_sides_of_another_shape(change):
    shapes = {
        "fewer splits": lambda bits: bits[:-1],
        "more splits": lambda bits: np.vstack([bits, bits[:1]]),
        "fewer rows": lambda bits: bits[:, :-1],
        "more rows": lambda bits: np.hstack([bits, bits[:, :1]]),
    }
    liar = Liar(Routes, lambda reply, _: replace(reply, goes_left=shapes[change](reply.goes_left)))
    parties = FEDERATION.watched()
    model = FEDERATION.fit(parties, **PARAMETERS, scheme="plain")
    parties[0].alter = liar
    with pytest.raises(IntegrityError, match=r"party 'party1': sent sides of shape .*, not "):
        model.predict(FEDERATION.X)
    for party in parties:
        assert party.released
        assert len(party.services) == 2


class Forger(Transport):
    """Answers one request with a reply of another type."""

    def __init__(self, inner):
        self._inner = inner
        self._codec = get_trainer("secureboost").codec()

    def exchange(self, frame, timeout):
        answer = self._inner.exchange(frame, timeout)
        asked = self._codec.decode(frame, "test")
        return self._codec.encode(Ack()) if isinstance(asked, HistogramsOf) else answer

    def close(self, *, abort):
        self._inner.close(abort=abort)


def test_a_reply_of_another_type():
    parties = [
        WatchedParty("party1", FEDERATION.tables["party1"], wrap=Forger),
        WatchedParty("party2", FEDERATION.tables["party2"]),
    ]
    with pytest.raises(UnexpectedReplyError, match="party1: answered HistogramsOf with Ack"):
        FEDERATION.fit(parties, **PARAMETERS, scheme="plain")
    assert all(party.released for party in parties)
    assert all(party.store.halves == {} for party in parties)


def test_a_party_that_fails_releases_the_others():
    def fail(_request, reply):
        if isinstance(reply, Division):
            raise RuntimeError("disk full")
        return reply

    parties = FEDERATION.watched()
    parties[0].alter = fail
    with pytest.raises(PeerRefusedError, match=r"party1: refused .internal_error.") as caught:
        FEDERATION.fit(parties, **PARAMETERS, scheme="plain")
    assert "disk full" not in str(caught.value)
    assert all(party.released for party in parties)
    assert all(party.store.halves == {} for party in parties)


class AbsentParty(WatchedParty):
    def connect(self, trainer):
        raise PeerUnreachableError(self.name, "nobody listens")


def test_a_party_that_cannot_be_reached_releases_the_others():
    first = WatchedParty("party1", FEDERATION.tables["party1"])
    absent = AbsentParty("party2", FEDERATION.tables["party2"])
    with pytest.raises(PeerUnreachableError, match="party2: nobody listens"):
        FEDERATION.fit([first, absent], **PARAMETERS, scheme="plain")
    assert [peer.closed for peer in first.peers] == [True]


def test_a_party_with_other_rows_releases_the_others():
    first = WatchedParty("party1", FEDERATION.tables["party1"])
    second = WatchedParty("party2", FEDERATION.tables["party2"].iloc[::-1])
    second.index = FEDERATION.tables["party2"].index
    with pytest.raises(PeerRefusedError, match=r"party2: refused .rows_differ."):
        FEDERATION.fit([first, second], **PARAMETERS, scheme="plain")
    assert first.released
    assert second.released
    assert [peer.closed for party in (first, second) for peer in party.peers] == [True, True]


def test_an_impossible_weight_is_told_before_anybody_is_connected():
    party = WatchedParty("party1", FEDERATION.tables["party1"])
    model = InsecureKeyClassifier(scheme="plain", **PARAMETERS)
    weight = np.full(len(FEDERATION.X), 1e200)
    with pytest.raises(ValueError, match=r"largest weight is 1e\+200 and must .* 1e-30 and 1e\+30"):
        model.fit(FEDERATION.X, FEDERATION.y, parties=[party], sample_weight=weight)
    assert party.peers == []
