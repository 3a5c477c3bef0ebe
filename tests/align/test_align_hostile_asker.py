"""A label party that lies, or asks out of turn: refused by name, nothing kept, the party free."""

import logging
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from support.aligning import Conversation, keys_of
from support.insecure_group import INSECURE, InsecureGroup, encode

from parties.messages import Ack, Failure, Message
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.protocol import (
    Agreed,
    BlindedKeys,
    Conclude,
    DoublyBlinded,
    DoublyBlindedOf,
    KeysOf,
    ListKeys,
    Order,
    OrderOf,
    PartyKeys,
    Propose,
    TellSize,
    Verdict,
)
from secureboost.align.table import AlignTable
from secureboost.align.transcript import Transcript

THEIRS = [f"id{i}" for i in range(7)]
OWN = [f"id{i}" for i in range(2, 12)]
N_COMMON = 5
GROUP = InsecureGroup()
SCALAR = GROUP.random_scalar()
TAG = b"SecureBoost-V02-align-ecdh-" + INSECURE.encode()


def own_elements():
    return GROUP.blind(keys_of(OWN).encoded, SCALAR, tag=TAG)


def propose(**changes):
    fields = {
        "nonce": b"n" * 32,
        "method": "ecdh",
        "groups": (INSECURE,),
        "rules": ("exact",),
        "n_keys": len(OWN),
        "result": "both",
        "min_size": 1,
        "chunk": 4,
        "join": None,
    }
    return Propose(**(fields | changes))


class Talk(Conversation):
    """An honest label party up to any step; then the test asks what it should not."""

    def __init__(self, tmp_path, **policy):
        self.folder = tmp_path / "kept"
        rules = AlignPolicy(**policy)
        super().__init__(
            AlignTable(
                "bureau",
                keys_of(THEIRS),
                state_folder=self.folder,
                policy=rules,
                budget=AlignBudget(rules),
            )
        )

    def agreed(self, **changes):
        self.proposal = propose(**changes)
        reply = self.ask(self.proposal)
        assert isinstance(reply, Agreed), reply
        self.transcript = Transcript(self.proposal, reply)
        return self

    def sent(self, **changes):
        self.agreed(**changes)
        for chunk in range(3):
            elements = own_elements()[4 * chunk : 4 * chunk + 4]
            assert self.ask(BlindedKeys(chunk=chunk, elements=elements)) == Ack()
        return self

    def fetched(self, **changes):
        self.sent(**changes)
        replies = [self.ask(KeysOf(chunk=chunk)) for chunk in range(2)]
        assert all(isinstance(reply, PartyKeys) for reply in replies)
        return self

    def compared(self, **changes):
        self.fetched(**changes)
        for chunk in range(3):
            assert isinstance(self.ask(DoublyBlindedOf(chunk=chunk)), DoublyBlinded)
        return self

    def sized(self, n_common=N_COMMON, **changes):
        reply = self.compared(**changes).ask(TellSize(n_common=n_common))
        self.goes_on = isinstance(reply, Verdict) and reply.goes_on
        return self

    def ordered(self, **changes):
        self.sized(**changes)
        for chunk in range(3):
            assert isinstance(self.ask(OrderOf(chunk=chunk)), Order)
        return self

    def listed(self, positions=(0, 1, 2, 3, 4), **changes):
        assert self.ordered(**changes).ask(list_keys(positions)) == Ack()
        return self

    def assert_over(self, reply: Message, code: str, text: str) -> None:
        """Refused for good; nothing is left of it but the spending."""
        assert isinstance(reply, Failure), reply
        assert (reply.code, reply.ends_session) == (code, True)
        assert text in reply.detail
        assert self.answerer.closed
        assert not self.table.alignments.alignments
        assert not self.folder.exists() or not list(self.folder.iterdir())

    def assert_refused(self, reply: Message, code: str, text: str) -> None:
        """Refused; the session stands where it stood."""
        assert isinstance(reply, Failure), reply
        assert (reply.code, reply.ends_session) == (code, False)
        assert text in reply.detail
        assert not self.answerer.closed
        assert not self.table.alignments.alignments

    def assert_forgotten(self) -> None:
        assert not list(self.folder.iterdir())


def list_keys(positions, first=0, total=None):
    array = np.array(positions, np.int32)
    return ListKeys(first=first, total=len(array) if total is None else total, positions=array)


@pytest.fixture
def talk(tmp_path) -> Talk:
    return Talk(tmp_path)


def with_row(elements, row, value):
    elements = elements.copy()
    elements[row] = value
    return elements


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda e: e[:3], "chunk_refused", "chunk 1 has 3 elements of 8 bytes; announced were 4"),
        (lambda e: np.vstack([e, e[:1]]), "chunk_refused", "chunk 1 has 5 elements"),
        (lambda e: e[:, :7], "chunk_refused", "chunk 1 has 4 elements of 7 bytes"),
        (lambda e: with_row(e, 2, 0), "elements_refused", "chunk 1 of the label party: element 2"),
        (lambda e: with_row(e, 0, encode([1])), "elements_refused", "it is the identity"),
        (lambda e: with_row(e, 3, 255), "elements_refused", "element 3 of 4 is refused"),
    ],
)
def test_elements_that_cannot_be(talk, change: Callable, code, text):
    talk.agreed()
    talk.ask(BlindedKeys(chunk=0, elements=own_elements()[:4]))
    reply = talk.ask(
        BlindedKeys(chunk=1, elements=np.ascontiguousarray(change(own_elements()[4:8])))
    )
    talk.assert_over(reply, code, text)
    talk.assert_forgotten()


@pytest.mark.parametrize("row", [0, 5, 8])
def test_an_element_told_twice(talk, row):
    talk.agreed()
    elements = with_row(own_elements(), 9, own_elements()[row])
    for chunk in range(3):
        some = elements[4 * chunk : 4 * chunk + 4]
        reply = talk.ask(BlindedKeys(chunk=chunk, elements=some))
    talk.assert_over(reply, "elements_refused", "the label party told an element twice")
    talk.assert_forgotten()


@pytest.mark.parametrize("chunk", [0, 1, 3, 2**53])
def test_chunks_out_of_order(talk, chunk):
    talk.agreed()
    talk.ask(BlindedKeys(chunk=0, elements=own_elements()[:4]))
    if chunk == 1:
        talk.ask(BlindedKeys(chunk=1, elements=own_elements()[4:8]))
    reply = talk.ask(BlindedKeys(chunk=chunk, elements=own_elements()[4:8]))
    talk.assert_over(reply, "chunk_refused", f"chunk {chunk} of the label party's keys came; ")
    talk.assert_forgotten()


def test_one_chunk_too_many(talk):
    reply = talk.sent().ask(BlindedKeys(chunk=3, elements=own_elements()[:4]))
    talk.assert_over(reply, "chunk_refused", "chunk 3 of the label party's keys came; 3 of 3 are")


def test_our_keys_before_all_of_theirs(talk):
    talk.agreed()
    talk.ask(BlindedKeys(chunk=0, elements=own_elements()[:4]))
    reply = talk.ask(KeysOf(chunk=0))
    talk.assert_over(reply, "chunk_refused", "the label party has told 1 of 3 chunks of its keys;")


@pytest.mark.parametrize("chunk", [1, 2, 2**53])
def test_our_keys_in_another_order(talk, chunk):
    reply = talk.sent().ask(KeysOf(chunk=chunk))
    talk.assert_over(reply, "chunk_refused", f"chunk {chunk} of this party's 2 was asked for; 0")


def test_our_keys_told_again_are_the_same(talk):
    talk.sent()
    first = talk.ask(KeysOf(chunk=0))
    talk.ask(KeysOf(chunk=1))
    assert talk.ask(KeysOf(chunk=0)) == first
    talk.assert_over(talk.ask(KeysOf(chunk=2)), "chunk_refused", "2 were told")


def test_doubly_blinded_keys_before_all_of_ours(talk):
    talk.sent()
    talk.ask(KeysOf(chunk=0))
    reply = talk.ask(DoublyBlindedOf(chunk=0))
    talk.assert_over(reply, "chunk_refused", "1 of 2 chunks of this party's keys were asked for")


@pytest.mark.parametrize("chunk", [1, 2, 2**53])
def test_doubly_blinded_keys_in_another_order(talk, chunk):
    reply = talk.fetched().ask(DoublyBlindedOf(chunk=chunk))
    talk.assert_over(reply, "chunk_refused", f"chunk {chunk} was asked for; 0 of 3 were told")


def test_a_size_before_it_can_be_known(talk):
    talk.fetched()
    talk.ask(DoublyBlindedOf(chunk=0))
    reply = talk.ask(TellSize(n_common=3))
    talk.assert_refused(reply, "chunk_refused", "all 3 chunks of doubly blinded keys, not after 1")


def test_a_size_that_cannot_be(talk):
    reply = talk.compared().ask(TellSize(n_common=8))
    talk.assert_over(reply, "list_refused", "8 common keys are more than either side has")


@pytest.mark.parametrize(
    ("policy", "changes", "n_common"),
    [({"min_size": 6}, {}, 5), ({}, {"min_size": 6}, 5), ({}, {}, 0), ({}, {"result": "size"}, 5)],
)
def test_which_keys_match_is_not_told_below_the_minimum(tmp_path, policy, changes, n_common):
    talk = Talk(tmp_path, **policy).sized(n_common, **changes)
    assert not talk.goes_on
    talk.assert_forgotten()
    talk.assert_refused(talk.ask(OrderOf(chunk=0)), "below_minimum", "nothing more is told")
    talk.assert_refused(talk.ask(list_keys([0])), "chunk_refused", "the order, not after 0")


def test_rows_listed_before_the_order_is_known(talk):
    talk.sized()
    talk.ask(OrderOf(chunk=0))
    talk.assert_refused(talk.ask(list_keys([0])), "chunk_refused", "not after 1")


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ([list_keys([0, 7])], "row 1 names none of this party's 7 keys"),
        ([list_keys([0, -2])], "row 1 names none"),
        ([list_keys([2**31 - 1])], "row 0 names none"),
        ([list_keys([3, 4, 3])], "rows 0 to 2 name a key twice, or one named before"),
        ([list_keys([3], total=2), list_keys([3], first=1, total=2)], "rows 1 to 1 name a key twi"),
        ([list_keys([3], first=1, total=2)], "rows 1 to 1 of 2 came where row 0 of 2 was due"),
        ([list_keys([3], total=2), list_keys([4], first=1, total=3)], "came where row 1 of 2 was"),
        ([list_keys([3, 4], total=1)], "rows 0 to 1 of 1 came where row 0 of 1"),
        ([list_keys([3], total=2), list_keys([], first=1, total=2)], "an empty list names none"),
        ([list_keys([3]), list_keys([4], first=1, total=1)], "came where row 1 of 1 was due"),
    ],
)
def test_lists_that_cannot_be(talk, requests, text):
    talk.ordered()
    for request in requests:
        reply = talk.ask(request)
    talk.assert_over(reply, "list_refused", text)


def test_a_list_that_would_never_end(tmp_path):
    talk = Talk(tmp_path, max_rows=20).ordered()
    reply = talk.ask(list_keys([0], total=28))
    talk.assert_refused(reply, "too_many_keys", "28 agreed rows are above 27")


def test_fewer_rows_listed_than_the_minimum(tmp_path):
    talk = Talk(tmp_path, min_size=4).ordered()
    reply = talk.ask(list_keys([0, 1, 2, -1, -1]))
    talk.assert_over(reply, "below_minimum", "3 of this party's ids are listed; the minimum is 4")


def test_not_all_rows_listed_though_the_result_is_for_the_label_party(talk):
    reply = talk.ordered(result="label-party").ask(list_keys([0, 1, 2, 3, 4, 5]))
    talk.assert_over(reply, "list_refused", "6 of this party's 7 keys are listed; with result=")


def test_another_record_of_what_was_said(talk):
    reply = talk.listed().ask(Conclude(alignment=b"x" * 32))
    talk.assert_over(reply, "transcripts_differ", "do not have the same record of what was said")


def test_concluding_too_early(talk):
    talk.ordered()
    assert talk.ask(list_keys([3], total=2)) == Ack()
    talk.assert_refused(talk.ask(Conclude(alignment=b"x" * 32)), "list_refused", "not all agreed")


@pytest.mark.parametrize(
    ("step", "request_"),
    [
        (lambda t: t, BlindedKeys(chunk=0, elements=np.zeros((1, 8), np.uint8))),
        (lambda t: t, KeysOf(chunk=0)),
        (lambda t: t, TellSize(n_common=1)),
        (lambda t: t, list_keys([0])),
        (lambda t: t, Conclude(alignment=b"x" * 32)),
        (lambda t: t.agreed(), propose()),
        (lambda t: t.agreed(), TellSize(n_common=1)),
        (lambda t: t.agreed(), OrderOf(chunk=0)),
        (lambda t: t.sent(), list_keys([0])),
        (lambda t: t.fetched(), BlindedKeys(chunk=3, elements=np.zeros((1, 8), np.uint8))),
        (lambda t: t.fetched(), TellSize(n_common=1)),
        (lambda t: t.compared(), KeysOf(chunk=0)),
        (lambda t: t.compared(), OrderOf(chunk=0)),
        (lambda t: t.sized(), DoublyBlindedOf(chunk=0)),
        (lambda t: t.sized(), TellSize(n_common=1)),
        (lambda t: t.sized(), Conclude(alignment=b"x" * 32)),
        (lambda t: t.ordered(), TellSize(n_common=1)),
        (lambda t: t.listed(), OrderOf(chunk=0)),
        (lambda t: t.listed(), propose()),
    ],
)
def test_what_is_not_in_the_table(talk, step, request_):
    reply = step(talk).ask(request_)
    assert isinstance(reply, Failure)
    assert (reply.code, reply.ends_session) == ("out_of_turn", True)
    assert not talk.table.alignments.alignments


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"method": "psi"}, "method_refused", "method 'psi' is unknown to this party; there is: "),
        ({"groups": ()}, "group_refused", "no group was proposed"),
        ({"groups": ("sm2", "p")}, "group_refused", "'sm2' is unknown"),
        ({"rules": ("text",)}, "key_rules_differ", "key rule 1 is 'text' at the label party and"),
        ({"rules": ("exact", "date")}, "key_rules_differ", "by 2 rules (exact, date), this party"),
        ({"n_keys": 31}, "too_many_keys", "31 ids are above this party's limit of 30"),
        ({"n_keys": 1}, "below_minimum", "with 1 ids on a side no more can be common"),
        ({"n_keys": 26}, "align_budget_spent", "26 ids are more than this party still lets be"),
    ],
)
def test_terms_that_are_not_accepted(tmp_path, changes, code, text):
    talk = Talk(tmp_path, max_rows=30, max_probed_keys=25, min_size=2)
    talk.assert_refused(talk.ask(propose(**changes)), code, text)
    assert not talk.folder.exists()
    assert talk.table.budget.spent.probed_keys == 0
    talk.agreed()  # and now as it should be


@pytest.mark.parametrize(
    "changes",
    [
        {"n_keys": 0},
        {"n_keys": 2**31},
        {"chunk": 0},
        {"chunk": 1 << 17},
        {"result": "all"},
        {"min_size": 0},
        {"nonce": b"short"},
        {"groups": ("x",) * 9},
        {"method": "../../etc"},
    ],
)
def test_proposals_that_are_no_message(talk, changes):
    """The codec of an honest side would not send them; what arrives is refused all the same."""
    frame = talk.answerer.codec.encode(propose())
    message = msgspec.msgpack.encode(propose(**changes))
    head = b"SBF1" + len(message).to_bytes(4, "little") + bytes(8) + message
    reply = talk.answerer.codec.decode(
        talk.answerer.answer(head + bytes(-len(message) % 8)), "bureau"
    )
    assert len(frame) > 40
    talk.assert_over(reply, "malformed_frame", "sent a malformed Propose")


def test_an_honest_talk_ends_well(talk):
    """What the tests above depart from is the protocol: up to the end nothing is refused."""
    talk.ordered()
    positions = np.array([0, 1, 2, 3, -1], np.int32)
    reply = talk.ask(list_keys(positions))
    assert reply == Ack()
    (session,) = talk.folder.iterdir()
    assert session.name == (b"n" * 32).hex()


def test_what_the_partys_log_says_of_keys(talk, caplog):
    with caplog.at_level(logging.INFO, logger="secureboost"):
        talk.listed()
    assert "10 ids of the label party" in caplog.text
    assert not [value for value in {*OWN, *THEIRS} if value in caplog.text]
