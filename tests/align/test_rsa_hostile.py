"""RSA signatures with a signer or an asker that is not honest: refused, and nothing is kept."""

import msgspec
import numpy as np
import pytest
from support.aligning import Conversation, Faulty, keys_of
from support.keys import full_signing_key, insecure_signing_key
from support.signing import align_by_rsa, signer, signing_party

from crypto.blind_rsa import generate_signing_key
from parties.errors import PeerUnreachableError
from parties.messages import Failure
from secureboost.align.protocol import DoublyBlindedOf, KeysOf, ListKeys, Propose, TellSize
from secureboost.align.rsa_protocol import (
    BlindSignatures,
    SignBlinded,
    TagKey,
    TagKeyOf,
    Tags,
    TagsOf,
)
from secureboost.align.signer import Signer
from secureboost.align.table import AlignTable
from secureboost.errors import AlignmentError, IntegrityError

OWN = [f"own {i}" for i in range(6)] + [f"both {i}" for i in range(7)]
THEIRS = [f"both {i}" for i in range(7)] + [f"theirs {i}" for i in range(4)]


# the signer


def altered(kind, **changes):
    """Change fields of a reply of one kind; a change is a function of the field."""

    def alter(_request, reply):
        if not isinstance(reply, kind):
            return reply
        new = {name: change(getattr(reply, name)) for name, change in changes.items()}
        return msgspec.structs.replace(reply, **new)

    return alter


def at(rows, place, row):
    changed = rows.copy()
    changed[place] = row
    return changed


def negative(row):
    n = full_signing_key().public_key.n
    number = n - int.from_bytes(row.tobytes(), "big")
    return np.frombuffer(number.to_bytes(256, "big"), dtype=np.uint8)


def off_by_one(values):
    """Other numbers than those that were sent, below the modulus still."""
    values = values.copy()
    values[:, -1] ^= 1
    return values


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (
            altered(BlindSignatures, values=lambda v: at(v, 0, off_by_one(v)[0])),
            "signature 0 is not valid under the key",
        ),
        (
            altered(BlindSignatures, values=lambda v: at(v, -1, negative(v[-1]))),
            "signature [03] is not valid under the key",
        ),
        (altered(BlindSignatures, values=lambda v: v[::-1]), "signature [03] is not valid|uint8"),
        (
            altered(BlindSignatures, values=lambda v: at(v, 0, 255)),
            "signature 0 is not below the modulus",
        ),
        (altered(BlindSignatures, values=lambda v: v[:-1]), r"must be uint8 of shape \(4, 256\)"),
        (
            altered(BlindSignatures, values=lambda v: np.vstack([v, v])),
            r"must be uint8 of shape \(4, 256\)",
        ),
        (altered(BlindSignatures, values=lambda v: v[:, 1:]), r"must be uint8 of shape \(4, 256\)"),
        (altered(Tags, tags=lambda t: t[::-1]), "chunk 0 of its tags is not in ascending order"),
        (
            altered(Tags, tags=lambda t: at(t, 1, t[0])),
            "chunk 0 of its tags is not in ascending order, or one occurs twice",
        ),
        (altered(Tags, tags=lambda t: t[:-1]), r"its tags has the shape \(3, 32\); announced was"),
        (altered(Tags, tags=lambda t: t[:, :-1]), r"its tags has the shape \(4, 31\); announced"),
        (
            altered(Tags, tags=lambda t: at(t, 0, t[0] ^ np.uint8(1))),
            "its tags are not those that it had announced|not in ascending order",
        ),
        (altered(TagKey, digest=lambda d: bytes(32)), "not those that it had announced"),
        (altered(TagKey, proof=lambda p: p[::-1]), "its signing key is refused: .*valid proof"),
        (altered(TagKey, proof=lambda p: p[:, 1:]), "its signing key is refused: .*valid proof"),
        (
            altered(TagKey, public_key=lambda k: k[:-1] + bytes([k[-1] ^ 2])),
            "its signing key is refused",
        ),
        (altered(TagKey, public_key=lambda k: k[1:]), "not a blind-rsa public key of format 1"),
        (
            altered(
                TagKey,
                public_key=lambda _: insecure_signing_key(1024).public_key.to_bytes(),
                proof=lambda _: insecure_signing_key(1024).proof,
            ),
            "its signing key is refused: key_bits=1024 is insecure",
        ),
    ],
)
def test_a_signer_that_is_not_honest(tmp_path, alter, message):
    party = signing_party(THEIRS, alter=alter)
    with pytest.raises(IntegrityError, match=f"(?s)party 'bureau': .*({message}).*ask the party"):
        align_by_rsa(keys_of(OWN), party, state=tmp_path / "state", signatures=tmp_path / "bank")
    assert party.released
    assert party.kept == []
    assert not (tmp_path / "state" / "parties" / "bureau").exists()
    assert not (tmp_path / "bank" / "bureau.tagset").exists()


def test_tags_of_a_chunk_that_is_told_twice():
    told = []

    def first_again(_request, reply):
        if isinstance(reply, Tags):
            told.append(reply)
            return told[0]
        return reply

    party = signing_party(THEIRS, alter=first_again)
    with pytest.raises(IntegrityError, match="chunk 1 of its tags is not in ascending order"):
        align_by_rsa(keys_of(OWN), party)


def test_signatures_that_were_good_are_kept_when_a_later_one_is_not(tmp_path):
    def later(request, reply):
        if isinstance(request, SignBlinded) and request.chunk == 2:
            return BlindSignatures(values=off_by_one(reply.values))
        return reply

    party = signing_party(THEIRS, alter=later)
    with pytest.raises(IntegrityError, match="signature 0 is not"):
        align_by_rsa(keys_of(OWN), party, signatures=tmp_path)
    honest = signing_party(THEIRS)
    align_by_rsa(keys_of(OWN), honest, signatures=tmp_path)
    asked = [r for r, _ in honest.messages() if isinstance(r, SignBlinded)]
    assert sum(len(request.values) for request in asked) == 13 - 8


def test_a_key_that_changes_between_runs(tmp_path):
    align_by_rsa(keys_of(OWN), signing_party(THEIRS), signatures=tmp_path)
    other = signing_party(THEIRS, signer=Signer(generate_signing_key()))
    with pytest.raises(
        AlignmentError, match=r"bureau\.tags holds tags under the signing key .*has changed its key"
    ):
        align_by_rsa(keys_of(OWN), other, signatures=tmp_path)
    assert other.released
    (tmp_path / "bureau.tags").unlink()
    align_by_rsa(keys_of(OWN), other, signatures=tmp_path)


def test_a_key_that_changes_within_a_run(tmp_path):
    cut = {"wrap": lambda transport: Faulty(transport, 5, told=True)}
    folder = {"state_folder": tmp_path / "party"}
    with pytest.raises(PeerUnreachableError):
        align_by_rsa(keys_of(OWN), signing_party(THEIRS, **cut, **folder), state=tmp_path / "state")
    other = signing_party(THEIRS, signer=Signer(generate_signing_key()), **folder)
    with pytest.raises(IntegrityError, match="signs with another key than before the interrup"):
        align_by_rsa(keys_of(OWN), other, state=tmp_path / "state")
    assert other.released


# the asker


@pytest.fixture
def table():
    return AlignTable("bureau", keys_of(THEIRS), signer=signer(max_signatures=100))


def proposal(**changes):
    terms = {
        "nonce": bytes(32),
        "method": "rsa",
        "groups": (),
        "rules": keys_of(OWN).rules,
        "n_keys": 13,
        "result": "both",
        "min_size": 1,
        "chunk": 4,
        "join": None,
    }
    return Propose(**(terms | changes))


def talk_with(table, **changes):
    talk = Conversation(table)
    talk.ask(proposal(**changes))
    assert isinstance(talk.ask(TagKeyOf()), TagKey)
    return talk


def blinded(count=4):
    return full_signing_key().public_key.blind([b"x"] * count)[0]


def number(value):
    return np.frombuffer(value.to_bytes(256, "big"), dtype=np.uint8)


def refused(reply, code, detail):
    assert isinstance(reply, Failure)
    assert reply.code == code
    assert detail in reply.detail
    return reply.ends_session


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (lambda key: 0, "chunk 0: blinded value 2 is zero or shares a factor"),
        (lambda key: key.public_key.n, "chunk 0: blinded value 2 is not below the modulus"),
        (lambda key: key.public_key.n + 5, "chunk 0: blinded value 2 is not below"),
        (lambda key: key.p, "chunk 0: blinded value 2 is zero or shares a factor"),
        (lambda key: 2**2048 - 1, "chunk 0: blinded value 2 is not below"),
    ],
)
def test_values_that_are_not_signed(table, value, detail):
    talk = talk_with(table)
    reply = talk.ask(
        SignBlinded(chunk=0, values=at(blinded(), 2, number(value(full_signing_key()))))
    )
    assert refused(reply, "elements_refused", detail)
    assert talk.answerer.closed


@pytest.mark.parametrize(
    ("request_", "code", "detail"),
    [
        (
            SignBlinded(chunk=1, values=blinded()),
            "chunk_refused",
            "chunk 1 of 4 blinded keys came; chunk 0 of 1 to 4 was due",
        ),
        (SignBlinded(chunk=0, values=blinded(5)), "chunk_refused", "chunk 0 of 5 blinded keys"),
        (SignBlinded(chunk=0, values=blinded(0)), "chunk_refused", "chunk 0 of 0 blinded keys"),
        (
            SignBlinded(chunk=0, values=blinded()[:, 1:].copy()),
            "elements_refused",
            "must be uint8 of shape (count, 256)",
        ),
        (TagsOf(chunk=3), "chunk_refused", "chunk 3 of 3 chunks of tags"),
        (
            ListKeys(first=0, total=1, positions=np.zeros(1, dtype=np.int32)),
            "out_of_turn",
            "does not allow",
        ),
    ],
)
def test_requests_that_are_out_of_turn_or_size(table, request_, code, detail):
    talk = talk_with(table)
    assert refused(talk.ask(request_), code, detail)
    assert talk.answerer.closed


def test_more_keys_than_were_announced(table):
    talk = talk_with(table, n_keys=6)
    assert isinstance(talk.ask(SignBlinded(chunk=0, values=blinded())), BlindSignatures)
    reply = talk.ask(SignBlinded(chunk=1, values=blinded(3)))
    assert refused(reply, "too_many_keys", "7 keys were to be signed; announced were 6")
    assert table.signer.budget.spent.signatures == 4


def test_a_chunk_that_comes_again(table):
    talk, values = talk_with(table), blinded()
    first = talk.ask(SignBlinded(chunk=0, values=values))
    assert talk.ask(SignBlinded(chunk=0, values=values)) == first
    assert table.signer.budget.spent.signatures == 4
    reply = talk.ask(SignBlinded(chunk=0, values=blinded()))
    assert refused(reply, "chunk_refused", "chunk 0 was signed already, and is another one now")
    assert table.signer.budget.spent.signatures == 4


def test_more_than_is_allowed():
    table = AlignTable("bureau", keys_of(THEIRS), signer=signer(max_signatures=5))
    talk = talk_with(table)
    talk.ask(SignBlinded(chunk=0, values=blinded()))
    reply = talk.ask(SignBlinded(chunk=1, values=blinded(2)))
    assert refused(reply, "align_budget_spent", "this party gives 1 more of 5 under its signing")
    again = talk_with(table)
    assert isinstance(again.ask(SignBlinded(chunk=0, values=blinded(1))), BlindSignatures)
    assert refused(
        again.ask(SignBlinded(chunk=1, values=blinded(1))), "align_budget_spent", "gives 0 more"
    )


@pytest.mark.parametrize(
    ("terms", "code", "detail"),
    [
        ({"result": "size"}, "method_refused", "result 'size' was proposed, but with method 'rsa'"),
        ({"min_size": 3}, "method_refused", "the label party's minimum of 3 common keys cannot"),
        ({"rules": ("digits",)}, "key_rules_differ", "digits"),
    ],
)
def test_terms_that_are_refused(table, terms, code, detail):
    reply = Conversation(table).ask(proposal(**terms))
    assert not refused(reply, code, detail)  # the session stays where it was


def test_a_size_before_the_tags_were_described(table):
    talk = Conversation(table)
    talk.ask(proposal())
    assert refused(talk.ask(TellSize(n_common=1)), "out_of_turn", "does not allow")


def test_requests_of_another_method(table):
    for request in (KeysOf(chunk=0), DoublyBlindedOf(chunk=0)):
        talk = Conversation(table)
        talk.ask(proposal())
        reply = talk.ask(request)
        assert refused(reply, "method_refused", "is of another method than 'rsa'")
