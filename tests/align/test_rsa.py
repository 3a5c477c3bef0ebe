"""Alignment by RSA signatures: the result, what is kept, what travels, and what it costs."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.aligning import AlignParty, Faulty, align_parties, keys_of, matches
from support.keys import full_signing_key
from support.signing import align_by_rsa, signer, signing_party

from crypto.blind_rsa_private import SigningKey
from parties.errors import PeerRefusedError, PeerUnreachableError
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.rsa_protocol import SignBlinded, TagsOf
from secureboost.align.signer import SignatureBudget, Signer, kept_signature_budget
from secureboost.align.tag_set import write_tag_set
from secureboost.alignment_progress import AlignmentProgress
from secureboost.errors import ConfigError, DataError

OWN = [f"own {i}" for i in range(6)] + [f"both {i}" for i in range(7)]
THEIRS = [f"both {i}" for i in range(7)][::-1] + [f"theirs {i}" for i in range(4)]
COMMON = {(f"both {i}", f"both {i}") for i in range(7)}


def requests(party, kind):
    return [request for request, _ in party.messages() if isinstance(request, kind)]


def n_signed(party):
    """Keys for which a signature was asked."""
    return sum(len(request.values) for request in requests(party, SignBlinded))


# the result


ids = st.sets(
    st.sampled_from(["7", "007", "Zoë", "Zoe\u0308", "ﬁ", "fi", "A", "\u0391", "\u0410"])
    | st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4),
    min_size=1,
    max_size=12,
)


@settings(max_examples=20)
@given(ids, ids, st.integers(1, 5))
def test_the_result_is_the_intersection_as_by_ecdh(own, theirs, chunk):
    common = {(x, x) for x in own & theirs}
    own, theirs = list(own), list(theirs)
    for run in (align_by_rsa, align_parties):
        party = signing_party(theirs)
        if common:
            aligned = run(keys_of(own), party, chunk=chunk)
            assert aligned.sizes.common == {"bureau": len(common)}
            assert set(matches(aligned, own, party, theirs)) == common
        else:
            with pytest.raises(DataError, match="No id is common with 'bureau'"):
                run(keys_of(own), party, chunk=chunk)
        assert party.released


@pytest.mark.parametrize("theirs", [OWN, OWN[:1], OWN[::-1]])
def test_all_keys_of_a_side_are_common(theirs):
    party = signing_party(theirs)
    aligned = align_by_rsa(keys_of(OWN), party)
    assert set(matches(aligned, OWN, party, theirs)) == {(x, x) for x in theirs}


def test_several_parties():
    ids = {"bureau": THEIRS, "telco": [*OWN[3:9], "other"]}
    parties = [signing_party(some, name) for name, some in ids.items()]
    aligned = align_by_rsa(keys_of(OWN), *parties)
    assert aligned.sizes.common == {"bureau": 7, "telco": 6}
    for party in parties:
        found = set(matches(aligned, OWN, party, ids[party.name]))
        assert found == {(f"both {i}", f"both {i}") for i in range(3)}


def test_the_feature_party_need_not_learn_which_are_common():
    party = signing_party(THEIRS)
    aligned = align_by_rsa(keys_of(OWN), party, result="label-party")
    found = matches(aligned, OWN, party, THEIRS)
    assert len(found) == len(THEIRS)
    assert {theirs for _, theirs in found} == set(THEIRS)
    assert {pair for pair in found if pair[0]} == COMMON


def test_padding():
    party = signing_party(THEIRS)
    aligned = align_by_rsa(keys_of(OWN), party, padding=2)
    found = matches(aligned, OWN, party, THEIRS)
    assert {pair for pair in found if pair[0]} == COMMON
    assert len([theirs for own, theirs in found if own is None and theirs]) == 2


# what is kept


def test_a_second_look_up_costs_nothing(tmp_path):
    party = signing_party(THEIRS, signer=signer(tmp_path / "party" / "own.tags", 13))
    for time in range(3):
        aligned = align_by_rsa(keys_of(OWN), party, signatures=tmp_path / "bank")
        assert set(matches(aligned, OWN, party, THEIRS)) == COMMON
        assert (n_signed(party), len(requests(party, TagsOf))) == (13, 3), f"run {time}"
    assert party.table.signer.budget.left == 0
    assert sorted(path.name for path in (tmp_path / "bank").iterdir()) == [
        "bureau.tags",
        "bureau.tagset",
    ]
    for path in [*(tmp_path / "bank").iterdir(), tmp_path / "party" / "own.tags"]:
        assert path.stat().st_mode & 0o777 == 0o600


def test_progress_ends_at_the_end(tmp_path):
    party, ends = signing_party(THEIRS), []
    for _ in range(2):  # the second time everything is at hand
        out = io.StringIO()
        console = Console(file=out, width=200)
        with AlignmentProgress(len(OWN), 1, lambda: 0, console) as progress:
            align_by_rsa(keys_of(OWN), party, signatures=tmp_path, progress=progress.show_step)
        lines = out.getvalue().splitlines()
        ends.append(lines[-1].partition(",")[0])
        assert len(lines) == 2
    assert ends == ["100 % aligned", "100 % aligned"]


def test_only_new_keys_are_signed(tmp_path):
    party = signing_party(THEIRS)
    align_by_rsa(keys_of(OWN[:10]), party, signatures=tmp_path)
    own = ["both 6", "both 3", "new", *OWN[:4]]
    aligned = align_by_rsa(keys_of(own), party, signatures=tmp_path)
    assert n_signed(party) == 10 + 2
    found = set(matches(aligned, own, party, THEIRS))
    assert found == {("both 6", "both 6"), ("both 3", "both 3")}


def test_a_party_that_grows_signs_only_what_is_new(tmp_path, monkeypatch):
    signed = []
    honest = SigningKey.sign
    monkeypatch.setattr(
        SigningKey,
        "sign",
        lambda key, data, **options: signed.extend(data) or honest(key, data, **options),
    )
    tags, bank = tmp_path / "own.tags", tmp_path / "bank"
    align_by_rsa(keys_of(OWN), signing_party(THEIRS, signer=signer(tags)), signatures=bank)
    assert len(signed) == len(THEIRS)
    grown = signing_party([*THEIRS, "own 2"], signer=signer(tags))
    aligned = align_by_rsa(keys_of(OWN), grown, signatures=bank)
    assert len(signed) == len(THEIRS) + 1
    assert set(matches(aligned, OWN, grown, [*THEIRS, "own 2"])) == COMMON | {("own 2", "own 2")}
    assert n_signed(grown) == 0
    assert len(requests(grown, TagsOf)) == 3


def test_tags_that_were_given_ahead(tmp_path):
    party = signing_party(THEIRS)
    made = party.table.signer.tag_set(party.table.read_rows().encoded)
    write_tag_set(tmp_path / "bureau.tagset", made)
    aligned = align_by_rsa(keys_of(OWN), party, signatures=tmp_path)
    assert set(matches(aligned, OWN, party, THEIRS)) == COMMON
    assert requests(party, TagsOf) == []


@pytest.mark.parametrize("change", ["older", "damaged", "other key"])
def test_tags_at_hand_that_cannot_be_used_are_fetched(tmp_path, change, caplog):
    party, path = signing_party(THEIRS), tmp_path / "bureau.tagset"
    encoded = party.table.read_rows().encoded
    write_tag_set(path, party.table.signer.tag_set(encoded[:-1]))
    if change == "damaged":
        path.write_bytes(path.read_bytes()[:-1])
    aligned = align_by_rsa(keys_of(OWN), party, signatures=tmp_path)
    assert set(matches(aligned, OWN, party, THEIRS)) == COMMON
    assert len(requests(party, TagsOf)) == 3
    assert ("is damaged, or no tag set" in caplog.text) == (change == "damaged")


def test_tags_made_ahead_go_on_where_they_were_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr("secureboost.align.signer.SIGN_CHUNK", 4)
    encoded, made = keys_of(THEIRS).encoded, signer(tmp_path / "own.tags")
    honest, calls = SigningKey.sign, []

    def breaks(key, data, **options):
        calls.append(len(data))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return honest(key, data, **options)

    monkeypatch.setattr(SigningKey, "sign", breaks)
    with pytest.raises(KeyboardInterrupt):
        made.own_tags(encoded)
    steps = []
    tags = made.own_tags(encoded, progress=lambda done, total: steps.append((done, total)))
    assert calls == [4, 4, 3, 3]
    assert steps == [(8, 11), (11, 11)]
    public = full_signing_key().public_key
    assert (tags == public.tags(full_signing_key().sign(encoded))).all()


# the budget


def test_what_is_signed_is_bounded():
    party = signing_party(THEIRS, signer=signer(max_signatures=12))
    with pytest.raises(DataError, match="'bureau' signs 12 more ids, and 13 of ours are new to"):
        align_by_rsa(keys_of(OWN), party)
    assert party.table.signer.budget.left == 12
    align_by_rsa(keys_of(OWN[:8]), party)
    assert party.table.signer.budget.left == 4
    with pytest.raises(DataError, match="signs 4 more ids, and 5 of ours"):
        align_by_rsa(keys_of(OWN[-5:]), party)
    assert party.released


def test_an_asker_that_ignores_what_is_left_is_refused():
    def promise(request, reply):
        return type(reply)(
            **{
                name: None if name == "signatures_left" else getattr(reply, name)
                for name in reply.__struct_fields__
            }
        )

    party = signing_party(THEIRS, signer=signer(max_signatures=9))
    party.alter = lambda request, reply: (
        promise(request, reply) if type(reply).__name__ == "TagKey" else reply
    )
    with pytest.raises(PeerRefusedError, match=r"4 signatures were asked for.*gives 1 more of 9"):
        align_by_rsa(keys_of(OWN), party)
    assert party.table.signer.budget.left == 1
    assert party.released


def test_the_budget_outlives_the_process_and_the_table(tmp_path):
    def budget(limit):
        return kept_signature_budget(limit, tmp_path / "signed.json", full_signing_key())

    party = signing_party(THEIRS, signer=Signer(full_signing_key(), None, budget(20)))
    align_by_rsa(keys_of(OWN), party)
    again = signing_party(["another table"], signer=Signer(full_signing_key(), None, budget(20)))
    with pytest.raises(DataError, match="signs 7 more ids, and 13"):
        align_by_rsa(keys_of(OWN), again)
    assert budget(None).left is None
    assert budget(5).left == 0
    assert (tmp_path / "signed.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("limit", [-1, 1.5, True, "9", 2**60])
def test_limits_that_are_none(limit):
    with pytest.raises(ConfigError, match=r"policy\.max_signatures: .* is not allowed; give a who"):
        SignatureBudget(limit)


def test_sessions_are_paid_for_by_signatures_alone():
    policy = AlignPolicy(max_probed_keys=1)
    party = signing_party(THEIRS, policy=policy, budget=AlignBudget(policy))
    align_by_rsa(keys_of(OWN), party)
    assert party.table.budget.spent.probed_keys == 0


# what cannot be had


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"result": "size"}, r"align\.result: 'size' cannot be had: with method 'rsa' the label p"),
        ({"min_size": 2}, r"align\.min_size: 2 cannot be held.*knows which keys are common as so"),
        ({"group": "ristretto255"}, r"align\.group: 'ristretto255' has no meaning with method"),
    ],
)
def test_options_that_are_not_offered(option, message):
    with pytest.raises(ConfigError, match=message):
        align_by_rsa(keys_of(OWN), signing_party(THEIRS), **option)


def test_a_minimum_of_the_feature_party():
    party = signing_party(THEIRS, policy=AlignPolicy(min_size=5))
    with pytest.raises(PeerRefusedError, match="this party's minimum of 5 common keys cannot be"):
        align_by_rsa(keys_of(OWN), party)
    assert party.released


def test_a_party_without_a_signing_key():
    with pytest.raises(PeerRefusedError, match="has no signing key, so method 'rsa' cannot be"):
        align_by_rsa(keys_of(OWN), AlignParty(keys_of(THEIRS)))


def test_a_party_whose_tags_cannot_be_read(tmp_path, caplog):
    (tmp_path / "own.tags").write_bytes(b"something")
    party = signing_party(THEIRS, signer=signer(tmp_path / "own.tags"))
    with pytest.raises(PeerRefusedError, match="tags cannot be used; its log says why"):
        align_by_rsa(keys_of(OWN), party)
    assert "own.tags is damaged, or holds no tags" in caplog.text
    assert party.released


# crashes


def interrupted(tmp_path, where, told, signatures):
    """Cut the line at one request, then go on; what both sides have paid and found."""
    bank = tmp_path / "bank" if signatures else None
    party = signing_party(
        THEIRS,
        signer=signer(tmp_path / "own.tags", max_signatures=len(OWN)),
        state_folder=tmp_path / "party",
        wrap=lambda transport: Faulty(transport, where, told=told),
    )
    options = {"state": tmp_path / "state", "signatures": bank}
    try:
        align_by_rsa(keys_of(OWN), party, **options)
    except PeerUnreachableError:
        cut = True
    else:
        cut = False
    party.wrap = lambda transport: transport
    if cut:
        aligned = align_by_rsa(keys_of(OWN), party, **options)
        assert set(matches(aligned, OWN, party, THEIRS)) == COMMON
        assert not (tmp_path / "state").exists()
    return cut, party


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("signatures", [False, True])
def test_an_interrupted_run_goes_on_and_pays_nothing_twice(tmp_path, told, signatures):
    where, cut = 0, True
    while cut:
        where += 1
        folder = tmp_path / str(where)
        cut, party = interrupted(folder, where, told, signatures)
        assert party.table.signer.budget.left == 0, f"request {where}"
        assert party.released
    assert where > 10  # proposal, key, four chunks to sign, three of tags, size, rows, end


def test_tags_that_came_before_an_interruption_are_not_asked_for_again(tmp_path):
    """The fifth request is the third chunk to be signed; two are on their way behind it."""
    _, party = interrupted(tmp_path, 5, False, True)
    assert [request.chunk for request in requests(party, SignBlinded)][-2:] == [2, 3]


# what travels


def test_no_id_and_no_plain_hash_of_one_travels_or_is_kept(tmp_path):
    party = signing_party(THEIRS, signer=signer(tmp_path / "own.tags"))
    align_by_rsa(keys_of(OWN), party, signatures=tmp_path / "bank", state=tmp_path / "state")
    seen = b"".join(party.frames())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(kept) > 13 * 64
    for text, encoded in zip(
        [*OWN, *THEIRS], [*keys_of(OWN).encoded, *keys_of(THEIRS).encoded], strict=True
    ):
        for data in (text.encode(), encoded):
            for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
                digest = hashlib.new(name, data).digest()
                assert digest not in seen
                assert digest not in kept
            assert data not in seen
            assert data not in kept


def test_what_is_sent_for_one_key_does_not_depend_on_it_or_on_the_others():
    """Two runs over the same keys have no blinded value in common, and say the same tags."""
    runs = [signing_party(THEIRS) for _ in range(2)]
    for party in runs:
        align_by_rsa(keys_of(OWN), party)
    blinded, tags = [], []
    for party in runs:
        blinded.append({row.tobytes() for r in requests(party, SignBlinded) for row in r.values})
        tags.append([r.tags for _, r in party.messages() if type(r).__name__ == "Tags"])
    assert len(blinded[0]) == len(blinded[1]) == len(OWN)
    assert not blinded[0] & blinded[1]
    assert (np.concatenate(tags[0]) == np.concatenate(tags[1])).all()


def test_secrets_are_not_shown(tmp_path):
    made = signer(tmp_path / "own.tags")
    key = full_signing_key()
    shown = repr(made) + repr(made.tag_set([b"x"])) + repr(made.budget)
    for secret in (key.p, key.q, key.public_key.n):
        assert str(secret) not in shown
        assert f"{secret:x}" not in shown
