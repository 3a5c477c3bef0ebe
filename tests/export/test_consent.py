"""Releases: what they hold, who signed them, and which are refused."""

import json

import msgspec
import pytest
from support.ensembles import random_model
from support.releases import release_of

from parties.certificates import TLS, create_certificate, read_pins
from parties.errors import CertificateError, PartyNameError
from secureboost._version import __version__
from secureboost.errors import ModelError
from secureboost.export.consent import check_release, read_release, release_half
from secureboost.gbdt.model import half_digest
from secureboost.gbdt.store import FolderStore, MemoryStore


@pytest.fixture
def grown():
    return random_model(1, n_owners=3)


@pytest.fixture
def label(grown):
    return grown.label_half()


@pytest.fixture
def half(grown):
    return grown.party_halves()[0]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """TLS files of party1, party2 and of a stranger who calls itself party1."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for owner, name in (("party1", "party1"), ("party2", "party2"), ("stranger", "party1")):
        files = folder / f"{owner}.crt", folder / f"{owner}.key"
        create_certificate(name, *files)
        made[owner] = TLS(*files, files[0])
    return made


def pins(certificates, owner):
    return read_pins(certificates[owner].certificate)


def test_a_release_says_what_was_agreed_to(half):
    consent = release_of(half, purpose="monitoring", released_to="lender").consent
    assert (consent.party, consent.model_id) == (half.party, half.model_id)
    assert consent.half_digest == half_digest(half).hex()
    assert (consent.purpose, consent.released_to) == ("monitoring", "lender")
    assert consent.software_version == __version__
    assert consent.time.utcoffset().total_seconds() == 0


def test_a_file_brings_it_back(half, label, tmp_path, certificates):
    release = release_of(half, tls=certificates["party1"])
    release.save(tmp_path / "half.json")
    assert (tmp_path / "half.json").stat().st_mode & 0o777 == 0o600
    read = read_release(tmp_path / "half.json")
    assert read == release
    check_release(read, label, pins(certificates, "party1"))
    assert str(half.splits[0].threshold) not in repr(read)


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_the_store_lists_every_release(kind, half, tmp_path):
    store = MemoryStore() if kind == "memory" else FolderStore(tmp_path)
    store.save(half)
    made = [release_half(store, half.model_id, purpose=why) for why in ("one", "two")]
    if kind == "memory":
        lines = store.releases
    else:
        assert (tmp_path / "releases.jsonl").stat().st_mode & 0o777 == 0o600
        lines = (tmp_path / "releases.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["purpose"] for line in lines] == ["one", "two"]
    assert [msgspec.json.encode(release.consent) for release in made] == lines


def test_what_cannot_be_written_is_not_released(half, tmp_path):
    store = FolderStore(tmp_path)
    store.save(half)
    (tmp_path / "releases.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        release_half(store, half.model_id, purpose="one")


def test_without_such_a_half_or_a_purpose(half, tmp_path):
    store = FolderStore(tmp_path)
    with pytest.raises(ModelError, match="no finished half of model"):
        release_half(store, half.model_id, purpose="one")
    store.save(half)
    for purpose in ("", "  ", "x" * 1001):
        with pytest.raises(ValueError, match=f"purpose has {len(purpose)} characters"):
            release_half(store, half.model_id, purpose=purpose)
    with pytest.raises(PartyNameError, match="cannot name a party"):
        release_half(store, half.model_id, purpose="one", released_to="a b")
    assert not (tmp_path / "releases.jsonl").exists()


def test_only_the_half_of_the_training_run_passes(half, label, grown):
    other = msgspec.structs.replace(half, salt="f" * 32)
    with pytest.raises(ModelError, match="not the one whose hash"):
        check_release(release_of(other), label)
    another_model = msgspec.structs.replace(half, model_id="e" * 32)
    with pytest.raises(ModelError, match="belongs to model e"):
        check_release(release_of(another_model), label)
    stranger = msgspec.structs.replace(half, party="telco")
    with pytest.raises(ModelError, match="'telco' has released a half, but it took no part"):
        check_release(release_of(stranger), label)
    no_hash = msgspec.structs.replace(
        label,
        partners=tuple(msgspec.structs.replace(p, digest="") for p in label.partners),
    )
    with pytest.raises(ModelError, match="holds no hash of the half of 'party1'"):
        check_release(release_of(half), no_hash)
    check_release(release_of(half), label)


def test_a_consent_to_something_else(half, label, grown):
    mine, theirs = release_of(half), release_of(grown.party_halves()[1])
    swapped = type(mine)(mine.half, theirs.consent)
    with pytest.raises(ModelError, match="consent in the release of 'party1' is about another"):
        check_release(swapped, label)


def test_a_changed_consent_or_half_breaks_the_signature(half, label, certificates):
    release = release_of(half, tls=certificates["party1"])
    check_release(release, label)
    changed = msgspec.structs.replace(release.consent, purpose="whatever you like")
    with pytest.raises(ModelError, match="signature of something else"):
        check_release(
            type(release)(release.half, changed, release.certificate, release.signature), label
        )
    with pytest.raises(ModelError, match="signature of something else"):
        check_release(
            type(release)(release.half, release.consent, release.certificate, b"\0" * 70), label
        )
    with pytest.raises(ModelError, match="bytes that are no certificate"):
        check_release(type(release)(release.half, release.consent, b"x", release.signature), label)
    with pytest.raises(ModelError, match="bytes that are no certificate"):
        check_release(type(release)(release.half, release.consent, b"", release.signature), label)


def test_a_pinned_certificate_must_have_signed(half, label, certificates):
    pinned = pins(certificates, "party1")
    with pytest.raises(ModelError, match="is not signed, and its certificate is pinned"):
        check_release(release_of(half), label, pinned)
    forged = release_of(half, tls=certificates["stranger"])
    check_release(forged, label)  # nobody said which certificate is party1's
    with pytest.raises(ModelError, match="another certificate than the pinned one"):
        check_release(forged, label, pinned)


def test_nobody_signs_for_another(half, label, certificates):
    with pytest.raises(CertificateError, match="is the certificate of 'party2'"):
        release_of(half, tls=certificates["party2"])
    mine = release_of(half, tls=certificates["party1"])
    theirs = pins(certificates, "party2")[0].pem
    with pytest.raises(ModelError, match="signed with another party's certificate"):
        check_release(type(mine)(mine.half, mine.consent, theirs, mine.signature), label)


def test_hostile_files(half, tmp_path):
    path = tmp_path / "half.json"
    release_of(half).save(path)
    good = json.loads(path.read_text())

    def refused(match, **changes):
        path.write_text(json.dumps({**good, **changes}))
        with pytest.raises(ModelError, match=match):
            read_release(path)

    refused("is not a feature party's release", type="secureboost.party")
    refused("is not a feature party's release", consent=None)
    refused("is not a feature party's release", signature="not base64!")
    refused("version 2", version=2)
    refused("is not a feature party's half", half={"type": "secureboost.label"})
    refused("is not a feature party's release", consent={**good["consent"], "time": "yesterday"})
    refused("is not a feature party's release", consent={**good["consent"], "half_digest": "ab"})
    refused("is not a feature party's release", consent={**good["consent"], "purpose": ""})
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(ModelError, match="is not a feature party's release"):
        read_release(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_release(tmp_path / "absent.json")
