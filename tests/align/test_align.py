"""What an alignment gives: the plain intersection, told to whom it shall be told and to nobody."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.aligning import (
    AlignParty,
    align_parties,
    keys_of,
    matches,
    threads_of,
)
from support.insecure_group import INSECURE
from support.talk import Wires

from parties.answerer import Answerer
from parties.errors import PeerRefusedError
from parties.grpc_server import listen
from parties.grpc_transport import dial
from parties.link import LinkTransport, serve_link
from parties.peer import Peer
from secureboost.align import align
from secureboost.align.answerer import AlignSession
from secureboost.align.options import AlignOptions
from secureboost.align.policy import AlignPolicy
from secureboost.align.protocol import ListKeys, Order, OrderOf, TellSize
from secureboost.align.table import AlignTable
from secureboost.alignment import keys_digest
from secureboost.errors import ConfigError, DataError
from secureboost.trainers import ALIGN_TRAINER

# look-alikes: Latin and Cyrillic a, one and two code points for the same letter, a full-width digit
IDS = st.sampled_from(
    ["7", "07", "\uff17", "a", "\u0430", "A", "\u00e9", "e\u0301", "b", " a", "a b", "\u00df", "ss"]
) | st.text(alphabet="abc", min_size=1, max_size=3)
SOME = st.lists(IDS, max_size=12)
PRINTABLE = SOME.map(lambda ids: [i for i in ids if i.strip() and i.isprintable()])


def normal(value: str, rule: str) -> str:
    if rule == "exact":
        return value.strip()
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def first_rows(ids, rule):
    """Row of the first of each id, by normal form."""
    rows = {}
    for row, value in enumerate(ids):
        rows.setdefault(normal(value, rule), row)
    return rows


@settings(max_examples=60, deadline=None)
@given(PRINTABLE, PRINTABLE, st.sampled_from(["exact", "text"]), st.integers(1, 5))
def test_the_result_is_the_plain_intersection(own, theirs, rule, chunk):
    own, theirs = [*own, "only here"], [*theirs, "only there"]
    party = AlignParty(keys_of(theirs, rule, duplicates="first"))
    mine, others = first_rows(own, rule), first_rows(theirs, rule)
    expected = {(mine[key], others[key]) for key in mine.keys() & others.keys()}
    keys = keys_of(own, rule, duplicates="first")
    if not expected:
        with pytest.raises(DataError, match="No id is common with 'bureau'"):
            align_parties(keys, party, chunk=chunk)
        assert not party.kept
        return
    aligned = align_parties(keys, party, chunk=chunk)
    rows = aligned.alignments["bureau"].rows
    assert set(zip(rows.tolist(), party.kept[0].rows.tolist(), strict=True)) == expected
    assert len(rows) == len(expected) == aligned.sizes.agreed == aligned.sizes.common["bureau"]
    assert party.released


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 33])
@pytest.mark.parametrize("common", ["one", "half", "all"])
def test_every_size_of_overlap_and_chunk(n, common):
    own = [f"id{i}" for i in range(n)]
    shift = {"one": n - 1, "half": n // 2, "all": 0}[common]
    theirs = [f"id{i}" for i in reversed(range(shift, shift + n))]
    party = AlignParty(keys_of(theirs))
    aligned = align_parties(keys_of(own), party)
    pairs = matches(aligned, own, party, theirs)
    assert sorted(pairs) == sorted((i, i) for i in own if i in theirs)


def test_both_sides_have_the_same_name_and_can_check_their_tables():
    own, theirs = keys_of(["a", "b", "c"]), keys_of(["c", "x", "b"])
    party = AlignParty(theirs)
    mine = align_parties(own, party).alignments["bureau"]
    (kept,) = party.kept
    assert mine.id == kept.id
    assert (mine.party, mine.peer) == ("label-party", "bureau")
    assert (kept.party, kept.peer) == ("bureau", "label-party")
    mine.check_table(keys_digest(own.encoded, own.number))
    kept.check_table(keys_digest(theirs.encoded, theirs.number))
    assert mine.details["common keys"] == kept.details["common keys"] == 2
    assert mine.details["group"] == INSECURE
    assert mine.secret != kept.secret


def test_two_alignments_of_the_same_tables_share_nothing():
    own, party = keys_of(["a", "b", "c", "d"]), AlignParty(keys_of(["d", "c", "b", "e"]))
    first, second = (align_parties(own, party).alignments["bureau"] for _ in range(2))
    assert first.id != second.id
    assert first.secret != second.secret


def test_rows_left_out_and_repeated_keys_are_followed_to_their_rows():
    own = ["a", None, "b", "b", "c", None, "d"]
    theirs = [None, "d", "x", "b", "d", None]
    party = AlignParty(keys_of(theirs, duplicates="last"))
    aligned = align_parties(keys_of(own, duplicates="first"), party)
    rows = zip(aligned.alignments["bureau"].rows.tolist(), party.kept[0].rows.tolist(), strict=True)
    assert sorted(rows) == [(2, 3), (6, 4)]


def test_the_agreed_order_is_new_each_time_and_follows_neither_table():
    ids = [f"id{i}" for i in range(40)]
    orders = set()
    for _ in range(4):
        party = AlignParty(keys_of(ids))
        orders.add(tuple(align_parties(keys_of(ids), party).alignments["bureau"].rows))
    assert len(orders) == 4
    assert tuple(range(40)) not in orders


# --- several parties ------------------------------------------------------------------------


def three_parties():
    own = [f"id{i}" for i in range(20)]
    theirs = {
        "bureau": [f"id{i}" for i in range(4, 24)],
        "telco": [f"id{i}" for i in reversed(range(2, 30, 2))],
        "utility": [f"id{i}" for i in range(0, 18, 3)] + ["z"],
    }
    return own, theirs, [AlignParty(keys_of(ids), name) for name, ids in theirs.items()]


def test_three_parties_agree_on_one_order():
    own, theirs, parties = three_parties()
    aligned = align_parties(keys_of(own), *parties)
    common = set(own).intersection(*theirs.values())
    for party in parties:
        pairs = matches(aligned, own, party, theirs[party.name])
        assert all(mine == other for mine, other in pairs)
        assert {mine for mine, _ in pairs} == common
    orders = {tuple(a.rows) for a in aligned.alignments.values()}
    assert len(orders) == 1
    assert len({a.id for a in aligned.alignments.values()}) == 3
    assert len({a.secret for a in aligned.alignments.values()}) == 1
    assert aligned.sizes.agreed == len(common)
    assert aligned.sizes.common == {n: len(set(own) & set(ids)) for n, ids in theirs.items()}
    assert str(aligned.sizes) == (
        "16 of 20 ids are among the 20 of 'bureau'; 9 of 20 ids are among the 14 of 'telco'; "
        f"6 of 20 ids are among the 7 of 'utility'; {len(common)} are common to all"
    )


def test_a_party_learns_only_what_is_common_to_all():
    own, _, parties = three_parties()
    align_parties(keys_of(own), *parties)
    n_rows = {int(np.count_nonzero(party.kept[0].rows >= 0)) for party in parties}
    assert n_rows == {len(parties[0].kept[0].rows)} == {2}


def test_nothing_common_to_all_is_said():
    parties = [AlignParty(keys_of(ids), name) for name, ids in {"p": "abc", "q": "cde"}.items()]
    with pytest.raises(DataError, match=r"No id is common to all of p, q and the label party"):
        align_parties(keys_of("abde"), *parties)
    assert not any(party.kept for party in parties)
    assert all(party.released for party in parties)


def test_one_party_that_refuses_frees_all():
    good = AlignParty(keys_of("abc"), "good")
    strict = AlignParty(keys_of("abc"), "strict", policy=AlignPolicy(max_rows=2))
    with pytest.raises(PeerRefusedError, match=r"strict: refused \(too_many_keys\)"):
        align_parties(keys_of("abcd"), good, strict)
    assert good.released
    assert strict.released
    assert not good.kept
    assert not threads_of("align")


# --- who learns what ------------------------------------------------------------------------


def test_size_only_tells_no_more():
    party = AlignParty(keys_of("abcde"))
    aligned = align_parties(keys_of("cdefg"), party, result="size")
    assert aligned.alignments == {}
    assert aligned.sizes.common == {"bureau": 3}
    assert aligned.sizes.agreed == 3
    assert not party.kept
    assert not any(isinstance(m, OrderOf | Order | ListKeys) for e in party.messages() for m in e)
    with pytest.raises(DataError, match="only the number of common ids was asked for"):
        aligned.check()


def test_size_only_may_be_nothing():
    aligned = align_parties(keys_of("ab"), AlignParty(keys_of("cd")), result="size")
    assert aligned.sizes.common == {"bureau": 0}


def test_size_only_with_two_parties_leaves_the_whole_open():
    parties = [AlignParty(keys_of(ids), name) for name, ids in {"p": "abc", "q": "cde"}.items()]
    aligned = align_parties(keys_of("abcd"), *parties, result="size")
    assert aligned.sizes.common == {"p": 3, "q": 2}
    assert aligned.sizes.agreed is None


@pytest.mark.parametrize("whose", ["label party", "feature party"])
def test_below_the_minimum_nothing_is_told(whose):
    policy = AlignPolicy(min_size=4) if whose == "feature party" else AlignPolicy()
    party = AlignParty(keys_of("abcde"), policy=policy)
    aligned = align_parties(keys_of("cdefg"), party, min_size=4 if whose == "label party" else 1)
    assert aligned.alignments == {}
    assert aligned.sizes.common == {"bureau": 3}
    wanted = "min_size=4" if whose == "label party" else "it asks for"
    assert aligned.shortfall == f"3 ids are common with 'bureau', fewer than {wanted}."
    with pytest.raises(DataError, match=r"No rows were agreed on: 3 ids are common with 'bureau'"):
        aligned.check()
    assert not any(isinstance(m, OrderOf | ListKeys) for e in party.messages() for m in e)
    assert not party.kept
    assert align_parties(keys_of("bcdefg"), party).check().sizes.agreed == 4


def test_the_minimum_counts_what_is_common_to_all():
    parties = [AlignParty(keys_of(ids), name) for name, ids in {"p": "abcd", "q": "cdef"}.items()]
    aligned = align_parties(keys_of("abcdef"), *parties, min_size=3)
    assert aligned.alignments == {}
    assert aligned.shortfall == "2 ids are common to all, fewer than min_size=3."
    assert not any(party.kept for party in parties)


def test_a_set_that_cannot_reach_the_minimum_is_refused_at_once():
    party = AlignParty(keys_of("abcdefgh"), policy=AlignPolicy(min_size=5))
    with pytest.raises(PeerRefusedError, match=r"below_minimum.*nothing below 5"):
        align_parties(keys_of("abcd"), party)
    assert len(party.messages()) == 2  # Hello, Propose


def test_padding_hides_which_matched():
    own, theirs = [f"id{i}" for i in range(12)], [f"id{i}" for i in range(6, 30)]
    party = AlignParty(keys_of(theirs))
    aligned = align_parties(keys_of(own), party, padding=5)
    pairs = matches(aligned, own, party, theirs)
    assert len(pairs) == 6 + 5
    assert sorted(m for m, _ in pairs if m) == sorted(own[6:])
    padding = [other for mine, other in pairs if mine is None]
    assert len(set(padding)) == 5
    assert not set(padding) & set(own)
    assert set(padding) <= set(theirs)
    assert all(mine == other for mine, other in pairs if mine)


def test_padding_lies_anywhere_among_the_others():
    own, theirs = [f"id{i}" for i in range(8)], [f"id{i}" for i in range(16)]
    places, drawn = set(), set()
    for _ in range(30):
        party = AlignParty(keys_of(theirs))
        rows = align_parties(keys_of(own), party, padding=2).alignments["bureau"].rows
        places |= set(np.flatnonzero(rows < 0).tolist())
        drawn |= set(party.kept[0].rows[rows < 0].tolist())
    assert len(places) >= 8
    assert len(drawn) >= 7


def test_parties_with_too_few_other_rows_list_them_all():
    own = [f"id{i}" for i in range(10)]
    theirs = {"few": [*own[:6], "x"], "many": [*own[2:], *"stuvwxyz"]}
    parties = [AlignParty(keys_of(ids), name) for name, ids in theirs.items()]
    aligned = align_parties(keys_of(own), *parties, padding=4)
    few, many = (matches(aligned, own, party, theirs[party.name]) for party in parties)
    assert [mine for mine, _ in few] == [mine for mine, _ in many]
    assert len(few) == 4 + 4
    for pairs, listed in ((few, 3), (many, 4)):
        assert all(mine == other for mine, other in pairs if mine)
        assert sum(other is not None for mine, other in pairs if mine is None) == listed


def test_the_label_party_alone_learns_the_result():
    own = [f"id{i}" for i in range(10)]
    theirs = {"one": [*own[:6], "x"], "two": [*own[2:], *"stuvwxyz"]}
    parties = [AlignParty(keys_of(ids), name) for name, ids in theirs.items()]
    aligned = align_parties(keys_of(own), *parties, result="label-party")
    for party in parties:
        pairs = matches(aligned, own, party, theirs[party.name])
        assert sorted(mine for mine, _ in pairs if mine) == sorted(own[2:6])
        assert all(mine == other for mine, other in pairs if mine)
        assert sorted(other for _, other in pairs if other) == sorted(theirs[party.name])


# --- terms ----------------------------------------------------------------------------------


def test_other_key_rules_are_refused_by_name():
    party = AlignParty(keys_of(["a@b.cd"], "email"))
    with pytest.raises(PeerRefusedError) as refused:
        align_parties(keys_of(["a@b.cd"], "text"), party)
    assert str(refused.value) == (
        "bureau: refused (key_rules_differ): key rule 1 is 'text' at the label party and 'email' "
        "at this party; agree on one"
    )
    assert party.released


def test_a_set_above_a_partys_limit_is_refused():
    party = AlignParty(keys_of("abc"), policy=AlignPolicy(max_rows=3))
    assert align_parties(keys_of("abc"), party).alignments
    with pytest.raises(PeerRefusedError, match=r"4 ids are above this party's limit of 3"):
        align_parties(keys_of("abcd"), party)


def test_a_party_above_the_label_partys_limit_is_refused():
    party = AlignParty(keys_of("abcd"))
    with pytest.raises(DataError, match=r"'bureau' has 4 ids; align.max_rows=3"):
        align_parties(keys_of("abc"), party, max_rows=3)
    assert party.released


def test_a_tables_budget_of_compared_keys_is_spent_once():
    policy = AlignPolicy(max_probed_keys=7)
    party = AlignParty(keys_of("abcd"), policy=policy)
    object.__setattr__(party.table, "budget", type(party.table.budget)(policy))
    align_parties(keys_of("abc"), party)
    align_parties(keys_of("abcd"), party)
    with pytest.raises(PeerRefusedError, match=r"align_budget_spent.*7 of 7 have been"):
        align_parties(keys_of("a"), party)
    assert party.table.budget.spent.probed_keys == 7


def test_no_key_no_party_and_several_rows_of_a_key_are_named():
    party = AlignParty(keys_of("ab"))
    with pytest.raises(DataError, match="several rows of a key"):
        align_parties(keys_of("aab", duplicates="all"), party)
    with pytest.raises(DataError, match="There is no party to align with"):
        align_parties(keys_of("ab"))
    with pytest.raises(PeerRefusedError, match=r"keys_unusable.*several rows of a key"):
        align_parties(keys_of("ab"), AlignParty(keys_of("aab", duplicates="all")))
    empty = keys_of("ab")
    object.__setattr__(empty, "encoded", [])
    object.__setattr__(empty, "number", np.full(2, -1, np.int32))
    with pytest.raises(DataError, match="no row with a key"):
        align_parties(empty, party)
    with pytest.raises(PeerRefusedError, match=r"keys_unusable.*no row with a key"):
        align_parties(keys_of("ab"), AlignParty(empty))


def test_a_partys_own_bad_table_stays_its_own_affair():
    def broken():
        raise DataError("table of bureau: column 'secret' of row 17 is bad")

    with pytest.raises(PeerRefusedError, match="keys_unusable") as refused:
        align_parties(keys_of("ab"), AlignParty(broken))
    assert "secret" not in str(refused.value)


def test_an_unknown_method_or_group_is_named():
    party = AlignParty(keys_of("ab"))
    with pytest.raises(ConfigError, match=r"align.method: 'ecd' is not a method.*Did you mean 'ec"):
        align_parties(keys_of("ab"), party, method="ecd")
    with pytest.raises(Exception, match="group='p257' is unknown"):
        align_parties(keys_of("ab"), party, group="p257")
    assert not party.transports


def test_a_group_that_the_party_lacks_is_refused(monkeypatch):
    party = AlignParty(keys_of("ab"))
    monkeypatch.setattr(
        "secureboost.align.ecdh.Ecdh.groups", lambda self, options: ("curve41417", INSECURE)
    )
    assert align_parties(keys_of("ab"), party).alignments["bureau"].details["group"] == INSECURE
    monkeypatch.setattr("secureboost.align.ecdh.Ecdh.groups", lambda self, options: ("curve41417",))
    with pytest.raises(PeerRefusedError, match=r"group_refused.*'curve41417' is unknown"):
        align_parties(keys_of("ab"), party)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"result": "all"}, "align.result: 'all' is not a result; choose one of both, label-party"),
        ({"min_size": 0}, "align.min_size: 0 is not allowed; give a whole number from 1"),
        ({"padding": -1}, "align.padding: -1 is not allowed"),
        ({"padding": True}, "align.padding: True is not allowed"),
        ({"chunk": 1 << 17}, "align.chunk: 131072 is not allowed; .* from 1 to 65536"),
        ({"n_jobs": 0}, "align.n_jobs: 0 is not allowed"),
        ({"padding": 3, "result": "size"}, "align.padding: 3 has no meaning with result='size'"),
    ],
)
def test_options_are_checked_by_name(changes, text):
    with pytest.raises(ConfigError, match=text):
        AlignOptions(**changes)


def test_progress_tells_every_step_of_every_party():
    own, _, parties = three_parties()
    events = []
    align_parties(keys_of(own), *parties, progress=events.append)
    for party in parties:
        steps = [event.step for event in events if event.party == party.name]
        assert list(dict.fromkeys(steps)) == ["send", "fetch", "compare", "tell"]
        for step in set(steps):
            done = [e.done for e in events if (e.party, e.step) == (party.name, step)]
            totals = {e.total for e in events if (e.party, e.step) == (party.name, step)}
            assert done == sorted(done)
            assert {done[-1]} == totals


# --- the real groups, the real wire ---------------------------------------------------------


@pytest.mark.parametrize("group", ["ristretto255", "p256"])
def test_the_groups_agree(group):
    own, theirs = [f"id{i}" for i in range(60)], [f"id{i}" for i in range(45, 90)]
    party = AlignParty(keys_of(theirs))
    aligned = align_parties(keys_of(own), party, group=group, chunk=16)
    assert sorted(matches(aligned, own, party, theirs)) == sorted((i, i) for i in own[45:])
    assert aligned.alignments["bureau"].details["group"] == group


def test_the_fastest_group_is_taken():
    party = AlignParty(keys_of("abc"))
    aligned = align(keys_of("bcd"), [party], AlignOptions(n_jobs=1))
    assert aligned.alignments["bureau"].details["group"] == "ristretto255"


def test_over_grpc(tmp_path):
    wires = Wires(tmp_path)
    own, theirs = [f"id{i}" for i in range(300)], [f"id{i}" for i in range(100, 420)]
    table = AlignTable("bureau", keys_of(theirs))

    def answer(link):
        answerer = Answerer(
            "bureau",
            ALIGN_TRAINER.codec(),
            {"align": lambda hello: AlignSession(table, asker=link.party)},
            software_version="1",
            asker=link.party,
        )
        serve_link(link, answerer)

    class Remote:
        name = "bureau"

        def connect(self, trainer):
            link = dial(f"127.0.0.1:{server.port}", wires.bank)
            return Peer("bureau", LinkTransport(link), trainer.codec())

    with listen("127.0.0.1:0", wires.bureau, answer) as server:
        aligned = align(keys_of(own), [Remote()], AlignOptions(chunk=64))
    mine = aligned.alignments["bureau"]
    kept = table.alignments.load(mine.id)
    assert [own[i] for i in mine.rows] == [theirs[i] for i in kept.rows]
    assert len(mine) == 200
    assert kept.peer == "bank"


def test_a_hundred_thousand():
    """Once in a size of real tables; the group costs nothing, the bookkeeping is all there is."""
    n = 100_000
    rng = np.random.default_rng(3)
    own, theirs = ([f"{i:07d}" for i in rng.permutation(2 * n)[:size]] for size in (n, n // 2))
    party = AlignParty(keys_of(theirs))
    aligned = align_parties(keys_of(own), party, chunk=8192, padding=1000)
    pairs = matches(aligned, own, party, theirs)
    assert {mine for mine, _ in pairs if mine} == set(own) & set(theirs)
    assert all(mine == other for mine, other in pairs if mine)
    assert len(pairs) == aligned.sizes.agreed + 1000
    assert sum(isinstance(m, TellSize) for m, _ in party.messages()) == 1
