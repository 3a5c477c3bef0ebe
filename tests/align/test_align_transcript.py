"""What crosses between the companies while they find common customers, from recorded frames."""

import base64
import hashlib
import hmac
import itertools
import zlib

import numpy as np
import pytest
from support.aligning import CODEC, AlignParty, align_parties, keys_of
from support.insecure_group import INSECURE

from crypto.groups import GROUPS
from parties.catalogue import reveals
from parties.messages import Goodbye, Hello
from secureboost.align import permutation
from secureboost.align.ecdh_secrets import EcdhSecrets
from secureboost.align.protocol import (
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
)
from secureboost.alignment import read_alignment, write_alignment
from secureboost.trainers import ALIGN_TRAINER

GROUP = "ristretto255"
COMMON = [f"customer-{i:05d}" for i in range(7)]
OWN = [*COMMON, *(f"lender-only-{i:05d}" for i in range(9))]
THEIRS = [*(f"bureau-only-{i:05d}" for i in range(6)), *COMMON]
OTHER_OWN = [*COMMON, *(f"lender-other-{i:05d}" for i in range(9))]
OTHER_THEIRS = [*(f"bureau-other-{i:05d}" for i in range(6)), *COMMON]


def record(own, theirs, **options):
    party = AlignParty(keys_of(theirs, "text"))
    aligned = align_parties(keys_of(own, "text"), party, **({"group": GROUP, "chunk": 4} | options))
    return party, aligned


@pytest.fixture(scope="module")
def run():
    return record(OWN, THEIRS)


@pytest.mark.parametrize("message", ALIGN_TRAINER.codec().message_types, ids=lambda m: m.__name__)
def test_every_message_says_what_it_reveals(message):
    assert len(reveals(message)) >= len("nothing")


def test_only_the_declared_fields_travel(run):
    for frame in run[0].frames():
        assert CODEC.encode(CODEC.decode(frame, "test")) == frame


def test_the_order_of_requests(run):
    kinds = [type(request) for request, _ in run[0].messages()]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        *(Hello, Propose, BlindedKeys, KeysOf, DoublyBlindedOf, TellSize, OrderOf, ListKeys),
        *(Conclude, Goodbye),
    ]


def forms(value: str):
    """An id as it may be written, and everything that a careless protocol makes of it."""
    texts = {value, value.upper(), value.casefold(), value.rpartition("-")[2]}
    texts |= {text.encode("utf-16-le").decode("latin-1") for text in set(texts)}
    for text in texts:
        yield text.encode("latin-1")
    (key,) = keys_of([value], "text").encoded
    for data in (value.encode(), value.casefold().encode(), key):
        yield key
        yield base64.b64encode(data)
        yield zlib.crc32(data).to_bytes(4, "big")
        for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
            digest = hashlib.new(name, data).digest()
            yield digest[:16]
            yield digest.hex()[:32].encode()
        yield hmac.new(b"", data, "sha256").digest()[:16]


def test_no_id_and_no_hash_of_an_id_travels(run):
    stream = b"".join(run[0].frames())
    lower = stream.lower()
    for value in {*OWN, *THEIRS}:
        for form in forms(value):
            if len(form) > 4:  # four bytes may occur by chance
                assert form not in stream
                assert form.lower() not in lower


def test_no_element_without_a_scalar_travels(run):
    """H(x) itself, under the protocol's own tag, would let everybody test guesses."""
    group = GROUPS[GROUP]
    tag = b"SecureBoost-V02-align-ecdh-ristretto255"
    encoded = keys_of([*OWN, *THEIRS[:6]], "text").encoded
    stream = b"".join(run[0].frames())
    for element in group.hash_to_group(encoded, tag=tag):
        assert element.tobytes() not in stream
    # and the tag is the one that is used
    scalar = group.random_scalar()
    assert (
        group.blind(encoded, scalar, tag=tag)
        == group.multiply(group.hash_to_group(encoded, tag=tag), scalar)
    ).all()


def test_ids_are_in_no_file_and_in_no_name(run, tmp_path):
    mine = run[1].alignments["bureau"]
    path = tmp_path / "a.alignment"
    write_alignment(path, mine)
    data = path.read_bytes() + repr(mine).encode() + repr(read_alignment(path)).encode()
    for value in OWN:
        assert not any(form in data for form in forms(value) if len(form) > 4)


@pytest.fixture
def fixed(monkeypatch):
    """Scalars, orders and nonces are the same in every run."""
    group = GROUPS[GROUP]
    scalars = {"label": b"\x11" * 31 + b"\x01", "bureau": b"\x22" * 31 + b"\x02"}

    def secrets_of(side):
        return lambda group_, state: EcdhSecrets(
            group.scalar_from_bytes(scalars[side]), side.encode() * 8
        )

    monkeypatch.setattr("secureboost.align.ecdh_asker.session_secrets", secrets_of("label"))
    monkeypatch.setattr("secureboost.align.ecdh_answerer.session_secrets", secrets_of("bureau"))
    monkeypatch.setattr("secureboost.align.run_state.new_seed", lambda: b"s" * 32)
    monkeypatch.setattr("secrets.token_bytes", lambda n=32: b"n" * n)
    assert permutation.SEED_BYTES == 32


def elements(party, side, kind):
    """All rows of a field of elements over a run."""
    return np.vstack(
        [m.elements for exchange in party.messages() for m in [exchange[side]] if type(m) is kind]
    )


def test_other_unmatched_keys_change_nothing_but_their_own_elements(fixed):
    """Same scalars, two different unmatched sets on both sides: the transcripts are the same but
    for the unmatched keys' elements, and for what says in which order elements are sorted."""
    (one, first), (two, second) = record(OWN, THEIRS), record(OTHER_OWN, OTHER_THEIRS)
    order = EcdhSecrets(GROUPS[GROUP].scalar_from_bytes(b"\x11" * 31 + b"\x01"), b"label" * 8)
    place = order.order(len(OWN))
    for kind, side, n_common in ((BlindedKeys, 0, place < 7), (PartyKeys, 1, None)):
        mine, others = elements(one, side, kind), elements(two, side, kind)
        same = (mine == others).all(axis=1)
        assert same.sum() == 7
        if n_common is not None:
            assert (same == n_common).all()
    doubled = [elements(party, 1, DoublyBlinded) for party in (one, two)]
    rows = [{row.tobytes() for row in array} for array in doubled]
    assert len(rows[0] & rows[1]) == 7
    # everything else is equal: message for message, field for field, in the same number of bytes
    varying = (BlindedKeys, PartyKeys, DoublyBlinded, Order, Conclude)
    frames = [party.frames() for party in (one, two)]
    assert [len(frame) for frame in frames[0]] == [len(frame) for frame in frames[1]]
    for frame, other in zip(*frames, strict=True):
        message, twin = CODEC.decode(frame, "test"), CODEC.decode(other, "test")
        assert type(message) is type(twin)
        if not isinstance(message, varying):
            assert message == twin
    assert first.alignments["bureau"].rows.tolist() == second.alignments["bureau"].rows.tolist()


def test_the_elements_of_one_side_do_not_depend_on_the_other_side(fixed):
    one, two = record(OWN, THEIRS)[0], record(OWN, OTHER_THEIRS)[0]
    assert (elements(one, 0, BlindedKeys) == elements(two, 0, BlindedKeys)).all()
    assert (elements(one, 1, DoublyBlinded) == elements(two, 1, DoublyBlinded)).all()


def test_fresh_scalars_make_all_elements_new():
    one, two = record(OWN, THEIRS)[0], record(OWN, THEIRS)[0]
    for side, kind in ((0, BlindedKeys), (1, PartyKeys), (1, DoublyBlinded)):
        mine, others = ({r.tobytes() for r in elements(p, side, kind)} for p in (one, two))
        assert not mine & others


def test_doubly_blinded_keys_are_sorted_and_so_in_no_order_of_the_label_partys(run):
    rows = [row.tobytes() for row in elements(run[0], 1, DoublyBlinded)]
    assert rows == sorted(rows)


@pytest.mark.parametrize("side", [0, 1])
def test_keys_are_told_in_a_random_order(side):
    """Over many runs each key stands at each place; a fixed order would show in a table's order."""
    group = GROUPS[INSECURE]
    ids = ["a", "b", "c", "d"]
    seen = set()
    for _ in range(60):
        secrets = EcdhSecrets(group.random_scalar(), permutation.new_seed())
        seen.add(tuple(secrets.order(len(ids))))
    assert len(seen) >= 15
    party, _ = record(ids, ids, group=INSECURE)
    kind = BlindedKeys if side == 0 else PartyKeys
    assert len({r.tobytes() for r in elements(party, side, kind)}) == 4


def test_traffic_depends_on_sizes_alone():
    sizes = set()
    for own, theirs in ((OWN, THEIRS), (OTHER_OWN, THEIRS), (OWN, OTHER_THEIRS)):
        sizes.add(tuple(len(frame) for frame in record(own, theirs)[0].frames()))
    assert len(sizes) == 1
