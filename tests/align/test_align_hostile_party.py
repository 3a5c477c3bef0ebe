"""A feature party that lies: the label party names it and what is wrong, and keeps nothing."""

import msgspec
import numpy as np
import pytest
from support.aligning import CODEC, AlignParty, align_parties, keys_of
from support.insecure_group import InsecureGroup, decode, encode

from parties.errors import PeerRefusedError, PeerTimeoutError, PeerUnreachableError
from parties.messages import Ack
from parties.peer import Transport
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.protocol import (
    Agreed,
    BlindedKeys,
    DoublyBlinded,
    Order,
    PartyKeys,
    Verdict,
)
from secureboost.errors import IntegrityError

OWN = [f"id{i}" for i in range(10)]
THEIRS = [f"id{i}" for i in range(4, 13)]


def lying(kind, change, chunk=None):
    """Alter the replies of a kind; `change` gets elements or positions and what was seen so far."""
    seen: dict[str, list] = {"ours": [], "theirs": [], "replies": []}

    def alter(request, reply):
        if isinstance(request, BlindedKeys):
            seen["ours"].append(request.elements)
        if isinstance(reply, PartyKeys):
            seen["theirs"].append(reply.elements)
        if type(reply) is not kind or (chunk is not None and request.chunk != chunk):
            return reply
        seen["replies"].append(reply)
        field = "positions" if kind is Order else "elements"
        changed = change(getattr(reply, field).copy(), seen)
        return msgspec.structs.replace(reply, **{field: changed})

    return alter


def assert_caught(tmp_path, alter, problem, *, error=IntegrityError, **options):
    party = AlignParty(keys_of(THEIRS), alter=alter)
    with pytest.raises(error, match=rf"^(party 'bureau'|bureau): {problem}"):
        align_parties(keys_of(OWN), party, state=tmp_path / "state", **options)
    assert party.released
    assert not party.kept


def with_row(elements, row, value):
    elements[row] = value
    return elements


def put_in(value):
    return lambda elements, _seen: with_row(elements, 1, value)


def squared(elements, _seen):
    """One valid element for another."""
    other = pow(decode(elements)[0], 2, InsecureGroup.modulus)
    return with_row(elements, 0, encode([other])[0])


IDENTITY = encode([1])[0]
TOO_LARGE = encode([InsecureGroup.modulus + 4])[0]
NO_SQUARE = encode([InsecureGroup.modulus - 4])[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda e, _: e[:-1], "chunk 1 of its keys has 3 elements of 8 bytes; announced were 4 of"),
        (lambda e, _: np.vstack([e, e[:1]]), "chunk 1 of its keys has 5 elements"),
        (lambda e, _: e[:0], "chunk 1 of its keys has 0 elements"),
        (lambda e, _: np.hstack([e, e]), "chunk 1 of its keys has 4 elements of 16 bytes"),
        (put_in(IDENTITY), "chunk 1 of its keys: element 1 of 4 is refused: it is the identity"),
        (put_in(0), "chunk 1 of its keys: element 1 of 4 is refused: no element"),
        (put_in(255), "chunk 1 of its keys: element 1 of 4 is refused: no element"),
        (put_in(TOO_LARGE), "chunk 1 of its keys: element 1 of 4 is refused: no element"),
        (put_in(NO_SQUARE), "chunk 1 of its keys: element 1 of 4 is refused: no element"),
        (lambda e, _: with_row(e, 0, e[3]), "sent one of its own keys twice"),
        (lambda e, s: with_row(e, 0, s["theirs"][0][2]), "sent one of its own keys twice"),
        (lambda e, s: with_row(e, 2, s["ours"][1][0]), "chunk 1 of its keys holds an element that"),
    ],
)
def test_keys_of_the_party(tmp_path, change, problem):
    assert_caught(tmp_path, lying(PartyKeys, change, chunk=1), problem)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda e, _: e[:-1], "chunk 1 of our keys has 3 elements of 8 bytes; announced were 4"),
        (lambda e, _: e[::-1].copy(), "chunk 1 of our keys is not in ascending order"),
        (lambda e, _: with_row(e, 1, e[0]), "chunk 1 of our keys is not in ascending order"),
        (lambda e, _: with_row(e, 0, 0), "chunk 1 of our keys is not in ascending order"),
        (
            lambda _, s: s["replies"][0].elements[:0].repeat(4, axis=0),
            "chunk 1 of our keys has 0 elements",
        ),
    ],
)
def test_doubly_blinded_keys(tmp_path, change, problem):
    assert_caught(tmp_path, lying(DoublyBlinded, change, chunk=1), problem)


def test_our_own_keys_sent_back_as_they_were(tmp_path):
    def echo(_elements, seen):
        ours = np.vstack(seen["ours"])
        return ours[np.argsort(decode(ours))][:4]

    assert_caught(tmp_path, lying(DoublyBlinded, echo, chunk=0), "chunk 0 of our keys holds an el")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p, _: p[:-1], "chunk 1 of the order has 3 positions, not 4"),
        (lambda p, _: with_row(p, 0, p[1]), "the order that it told is none: positions are miss"),
        (lambda p, _: with_row(p, 0, 10), "the order that it told is none"),
        (lambda p, _: with_row(p, 0, -1), "the order that it told is none"),
        (lambda p, _: with_row(p, 0, -(2**31)), "the order that it told is none"),
    ],
)
def test_the_order(tmp_path, change, problem):
    assert_caught(tmp_path, lying(Order, change, chunk=1), problem)


def changing(kind, **fields):
    def alter(_request, reply):
        return msgspec.structs.replace(reply, **fields) if type(reply) is kind else reply

    return alter


def test_more_or_fewer_keys_than_announced(tmp_path):
    assert_caught(
        tmp_path, changing(Agreed, n_keys=10), "chunk 2 of its keys has 1 elements of 8 bytes; ann"
    )
    assert_caught(
        tmp_path / "more",
        changing(Agreed, n_keys=8),
        r"refused \(chunk_refused\): 2 of 3 chunks of this party's keys were asked for",
        error=PeerRefusedError,
    )


def test_a_group_that_was_not_proposed(tmp_path):
    assert_caught(tmp_path, changing(Agreed, group="p256"), "chose group 'p256', which was not pro")


def test_a_party_that_goes_on_where_only_the_size_was_asked(tmp_path):
    alter = changing(Verdict, goes_on=True)
    assert_caught(tmp_path, alter, "goes on though only the size", result="size")


def test_a_party_that_ignores_the_label_partys_minimum():
    party = AlignParty(keys_of(THEIRS), alter=changing(Verdict, goes_on=True))
    aligned = align_parties(keys_of(OWN), party, min_size=7)
    assert not aligned.alignments
    assert not party.kept


def test_a_changed_element_on_the_way_is_found_in_the_end(tmp_path):
    """The element is valid: only the record of what was said can show it."""

    assert_caught(
        tmp_path,
        lying(PartyKeys, squared, chunk=1),
        r"refused \(transcripts_differ\): both sides do not have the same record",
        error=PeerRefusedError,
    )


class Tampering(Transport):
    """Changes one request on its way to the party."""

    def __init__(self, inner, kind, **fields):
        self._inner, self._kind, self._fields = inner, kind, fields

    def exchange(self, frame, timeout):
        request = CODEC.decode(frame, "test")
        if type(request) is self._kind:
            frame = CODEC.encode(msgspec.structs.replace(request, **self._fields))
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort):
        self._inner.close(abort=abort)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Propose", {"min_size": 2}),
        ("Propose", {"nonce": b"x" * 32}),
        ("TellSize", {"n_common": 5}),
        ("ListKeys", {"positions": np.array([0, 1, 2, 3, 4, 5], np.int32)}),
        ("Conclude", {"alignment": b"x" * 32}),
    ],
)
def test_a_changed_request_on_the_way_is_found_in_the_end(tmp_path, kind, fields):
    (message,) = [m for m in CODEC.message_types if m.__name__ == kind]
    party = AlignParty(keys_of(THEIRS), wrap=lambda i: Tampering(i, message, **fields))
    with pytest.raises(PeerRefusedError, match="transcripts_differ"):
        align_parties(keys_of(OWN), party, state=tmp_path / "state")
    assert party.released
    assert not party.kept


class Silent(Transport):
    """Answers the first requests and then nothing more."""

    def __init__(self, inner, requests, error):
        self._inner, self._left, self._error = inner, requests, error

    def exchange(self, frame, timeout):
        if not self._left:
            raise self._error
        self._left -= 1
        return self._inner.exchange(frame, timeout)

    def close(self, *, abort):
        self._inner.close(abort=abort)


@pytest.mark.parametrize("requests", [1, 2, 4, 7, 9, 12, 14])
def test_a_party_that_stops(tmp_path, requests):
    for error, expected in (
        (TimeoutError(), PeerTimeoutError),
        (PeerUnreachableError("bureau", "is gone"), PeerUnreachableError),
    ):
        party = AlignParty(keys_of(THEIRS), wrap=lambda i, error=error: Silent(i, requests, error))
        with pytest.raises(expected):
            align_parties(keys_of(OWN), party)
        assert party.released
        assert not party.kept


def test_a_reply_of_another_kind(tmp_path):
    party = AlignParty(keys_of(THEIRS), alter=lambda _request, _reply: Ack())
    with pytest.raises(PeerRefusedError, match="internal_error"):
        align_parties(keys_of(OWN), party)
    assert party.released


def test_no_error_holds_an_id_or_an_element(tmp_path):
    """Over all lies above: texts name positions and counts."""
    texts = []
    for kind, change in (
        (PartyKeys, put_in(IDENTITY)),
        (PartyKeys, lambda e, s: with_row(e, 2, s["ours"][1][0])),
        (DoublyBlinded, lambda e, _: e[::-1].copy()),
        (Order, lambda p, _: with_row(p, 0, 10)),
    ):
        party = AlignParty(keys_of(THEIRS), alter=lying(kind, change, chunk=1))
        with pytest.raises(IntegrityError) as caught:
            align_parties(keys_of(OWN), party)
        texts.append(str(caught.value))
        for message, _ in party.messages():
            for value in getattr(message, "elements", np.zeros((0, 8), np.uint8)):
                assert value.tobytes().hex() not in texts[-1]
                assert str(decode(value[None])[0]) not in texts[-1]
    assert not [text for text in texts for value in {*OWN, *THEIRS} if value in text]


def test_after_a_lie_an_honest_party_is_not_held_to_it(tmp_path):
    """What a party sent is forgotten with the fault: the same state goes on to a good end."""
    kept = {"state_folder": tmp_path / "kept", "budget": AlignBudget(AlignPolicy())}
    for alter, error in (
        (lying(PartyKeys, put_in(IDENTITY), chunk=1), IntegrityError),
        (lying(DoublyBlinded, lambda e, _: e[::-1].copy(), chunk=1), IntegrityError),
        (changing(Agreed, n_keys=10), IntegrityError),
    ):
        party = AlignParty(keys_of(THEIRS), alter=alter, **kept)
        with pytest.raises(error):
            align_parties(keys_of(OWN), party, state=tmp_path / "state")
    party = AlignParty(keys_of(THEIRS), **kept)
    aligned = align_parties(keys_of(OWN), party, state=tmp_path / "state")
    assert aligned.sizes.agreed == 6
    assert not (tmp_path / "state").exists()


def test_after_a_change_on_the_way_both_sides_begin_anew(tmp_path):
    kept = {"state_folder": tmp_path / "kept"}
    party = AlignParty(keys_of(THEIRS), alter=lying(PartyKeys, squared, chunk=1), **kept)
    with pytest.raises(PeerRefusedError, match="transcripts_differ"):
        align_parties(keys_of(OWN), party, state=tmp_path / "state")
    party = AlignParty(keys_of(THEIRS), **kept)
    assert align_parties(keys_of(OWN), party, state=tmp_path / "state").sizes.agreed == 6
