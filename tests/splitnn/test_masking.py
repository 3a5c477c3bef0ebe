"""Masks: the sum is right, a summand tells nothing, and whoever tampers gets nothing."""

import copy
import pickle
from itertools import combinations

import msgspec
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from parties.certificates import TLS, create_certificate, read_identity, read_pins
from parties.errors import CertificateError
from secureboost.splitnn.masking import LARGEST, Masker, from_fixed, read_sum, summand, to_fixed
from secureboost.splitnn.masking_keys import MaskError, MaskGroup, MaskKey

NAMES = ("bureau", "telco", "utility")
ABOUT = b"batch 7"


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """Certificates of three feature parties, and of the label party."""
    folder = tmp_path_factory.mktemp("certificates")
    found = {}
    for name in (*NAMES, "lender"):
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        create_certificate(name, *paths)
        found[name] = read_identity(TLS(*paths, paths[0]))
    return found


def group_of(identities, own, names=NAMES):
    return MaskGroup(own, [identities[name].certificate for name in names])


@pytest.fixture(scope="module")
def offered(identities):
    keys = {name: MaskKey(group_of(identities, name)) for name in NAMES}
    return keys, {name: key.offer(identities[name]) for name, key in keys.items()}


def to_others(offers, own):
    return [offer for name, offer in offers.items() if name != own]


def maskers(offered, names=NAMES):
    keys, offers = offered
    agreed = {name: keys[name].agree(to_others(offers, name)) for name in names}
    return {name: Masker(name, shared) for name, shared in agreed.items()}


def activations(seed=0, shape=(20, 6), names=NAMES):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0.0, 3.0, shape) for name in names}


def masked(of, values, about=ABOUT):
    for masker in of.values():
        masker.note(about)
    return {name: masker.masked(summand(values[name])) for name, masker in of.items()}


def rounded_sum(values):
    return from_fixed(sum(to_fixed(part) for part in values.values()))


# fixed point


@given(st.lists(st.floats(-LARGEST, LARGEST, width=64), min_size=1, max_size=20))
def test_fixed_point_is_within_half_a_step(numbers):
    values = np.array(numbers)
    assert np.all(np.abs(from_fixed(to_fixed(values)) - values) <= 2.0**-33)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 2.0**20 + 1])
def test_what_does_not_fit_is_refused(number):
    with pytest.raises(MaskError, match="not finite or beyond 1048576"):
        to_fixed(np.array([[0.0, number]]))


def test_a_thousand_parties_do_not_overflow():
    parts = [np.full((1, 2), sign * LARGEST) for sign in (1, -1)]
    for part in parts:
        found = read_sum({str(number): summand(part) for number in range(1024)})
        assert np.array_equal(found, 1024 * part)


# keys


def test_each_pair_agrees_and_each_pair_has_its_own_key(offered):
    keys, offers = offered
    agreed = {name: keys[name].agree(to_others(offers, name)) for name in NAMES}
    shared = []
    for one, other in combinations(NAMES, 2):
        assert agreed[one][other] == agreed[other][one]
        shared.append(agreed[one][other])
    assert len(set(shared)) == 3


def test_every_training_has_new_keys(identities):
    group = group_of(identities, "bureau")
    assert MaskKey(group).public != MaskKey(group).public


def test_a_label_party_cannot_put_itself_in_between(identities, offered):
    """It signs a key of its own with its certificate, or in the name of a member."""
    keys, offers = offered
    others = to_others(offers, "bureau")
    impostor = MaskKey(group_of(identities, "telco"))
    forged = msgspec.structs.replace(offers["telco"], key=impostor.public)
    own = MaskKey(group_of(identities, "lender", ("bureau", "lender", "utility")))
    signed = own.offer(identities["lender"])
    for offer, message in (
        (forged, "'telco' is not signed with the certificate that is pinned"),
        (msgspec.structs.replace(signed, party="telco"), "'telco' is not signed"),
        (signed, "came from lender, utility; due is one from each of telco, utility"),
    ):
        with pytest.raises(MaskError, match=message):
            keys["bureau"].agree([offer, others[1]])


def test_offers_are_for_one_group(identities, offered):
    """An offer for a group of two is no offer for a group of three."""
    keys, offers = offered
    pair = MaskKey(group_of(identities, "telco", ("bureau", "telco")))
    with pytest.raises(MaskError, match="made for another group of parties"):
        keys["bureau"].agree([pair.offer(identities["telco"]), offers["utility"]])


@pytest.mark.parametrize("which", [[], ["telco"], ["telco", "telco"], ["telco", "bureau"]])
def test_all_offers_are_due(offered, which):
    keys, offers = offered
    with pytest.raises(MaskError, match="due is one from each of telco, utility"):
        keys["bureau"].agree([offers[name] for name in which])


@pytest.mark.parametrize("key", [bytes(32), bytes(31), b"\x01" + bytes(31)])
def test_a_key_that_is_none_is_refused(identities, key):
    """Even signed: points of small order give a shared secret that everybody knows."""
    bad = MaskKey(group_of(identities, "telco", ("bureau", "telco")))
    bad.public = key
    own = MaskKey(group_of(identities, "bureau", ("bureau", "telco")))
    with pytest.raises(MaskError, match="'telco' offers a key for masks that is none"):
        own.agree([bad.offer(identities["telco"])])


def test_a_group_has_two_members_with_names_of_their_own(identities):
    for own, names, message in (
        ("bureau", ("bureau",), "has 1 members, and needs 2 to 1024"),
        ("bureau", ("bureau", "telco", "telco"), "each member must have one, 'bureau' too"),
        ("utility", ("bureau", "telco"), "each member must have one, 'utility' too"),
    ):
        with pytest.raises(MaskError, match=message):
            group_of(identities, own, names)


def test_an_offer_is_signed_by_its_own_party(identities):
    with pytest.raises(CertificateError, match="not the group's member"):
        MaskKey(group_of(identities, "bureau")).offer(identities["telco"])


def test_ed25519_certificates_sign_too(identities, tmp_path):
    """A company may have made its certificate with other tools."""
    key = ed25519.Ed25519PrivateKey.generate()
    old = x509.load_pem_x509_certificate(identities["telco"].certificate.pem)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .add_extension(old.extensions[0].value, False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .sign(key, None)
    )
    encoding = serialization.Encoding.PEM
    (tmp_path / "a.crt").write_bytes(certificate.public_bytes(encoding))
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "a.key").write_bytes(private)
    (tmp_path / "a.key").chmod(0o600)
    telco = read_identity(TLS(tmp_path / "a.crt", tmp_path / "a.key", tmp_path / "a.crt"))
    mixed = identities | {"telco": telco}
    keys = {name: MaskKey(group_of(mixed, name)) for name in NAMES}
    offers = {name: key.offer(mixed[name]) for name, key in keys.items()}
    values = activations()
    found = read_sum(masked(maskers((keys, offers)), values))
    assert np.array_equal(found, rounded_sum(values))
    assert (
        certificate.fingerprint(hashes.SHA256()).hex()
        == read_pins(tmp_path / "a.crt")[0].fingerprint
    )


# masks


@pytest.mark.parametrize("shape", [(1, 1), (20, 6), (0, 3), (1000, 64)])
def test_the_sum_is_the_sum_of_the_rounded_summands(offered, shape):
    values = activations(shape=shape)
    found = read_sum(masked(maskers(offered), values))
    assert np.array_equal(found, rounded_sum(values))
    assert np.abs(found - sum(values.values())).max(initial=0.0) <= 3 * 2.0**-33


def test_float32_activations_are_exact(offered):
    values = {name: part.astype(np.float32) for name, part in activations().items()}
    found = read_sum(masked(maskers(offered), values))
    assert np.allclose(found, sum(part.astype(np.float64) for part in values.values()), atol=1e-9)


def test_what_one_party_sends_is_uniform_whatever_its_activations_are(offered):
    constant = {name: np.full((300, 50), 1.5) for name in NAMES}
    for words in masked(maskers(offered), constant).values():
        assert kstest(words.ravel() / 2.0**64, "uniform").pvalue > 1e-6
        counts = np.bincount(words.view(np.uint8).ravel(), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
        bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64).mean(0)
        assert np.all(np.abs(bits - 0.5) < 0.03)


def test_two_of_three_tell_nothing_and_collusion_costs_a_mask(offered):
    """Without the third party's words, the sum of two is uniform, too."""
    constant = {name: np.zeros((300, 50)) for name in NAMES}
    words = masked(maskers(offered), constant)
    partial = words["bureau"] + words["telco"]
    assert kstest(partial.ravel() / 2.0**64, "uniform").pvalue > 1e-6


def test_a_mask_is_used_once(offered):
    values = {name: np.zeros((5, 4)) for name in NAMES}
    of = maskers(offered)
    first, second = masked(of, values), masked(of, values)
    for name in NAMES:
        assert not (first[name] == second[name]).any()
    assert not read_sum(second).any()


def test_the_same_masks_show_the_difference_and_nothing_else(offered):
    """So no mask is used twice: two summands under one differ by their difference."""
    one, other = activations(1), activations(2)
    sent = [masked(maskers(offered), values)["bureau"] for values in (one, other)]
    difference = to_fixed(one["bureau"]) - to_fixed(other["bureau"])
    assert np.array_equal((sent[0] - sent[1])[:-1], difference)


def test_members_who_are_told_different_things_give_no_sum(offered):
    values = activations()
    for told in ((b"other rows",), (ABOUT, ABOUT), (ABOUT[:3], ABOUT[3:]), ()):
        of = maskers(offered)
        words = masked({"bureau": of["bureau"], "utility": of["utility"]}, values)
        for said in told:
            of["telco"].note(said)
        words["telco"] = of["telco"].masked(summand(values["telco"]))
        with pytest.raises(MaskError, match=r"masks of bureau, utility, telco do not cancel"):
            read_sum(words)


def test_what_was_said_before_enters_all_masks(offered):
    of = maskers(offered)
    of["telco"].note(b"a gradient for telco alone")
    for _ in range(2):
        with pytest.raises(MaskError, match="do not cancel"):
            read_sum(masked(of, activations()))


def test_a_member_that_is_asked_twice_gives_no_sum(offered):
    of = maskers(offered)
    words = masked(of, activations())
    words["telco"] = of["telco"].masked(summand(activations()["telco"]))
    with pytest.raises(MaskError, match="do not cancel"):
        read_sum(words)


def test_a_missing_member_leaves_no_sum_and_the_others_begin_anew(identities, offered):
    values = activations()
    words = masked(maskers(offered), values)
    del words["telco"]
    with pytest.raises(MaskError, match="masks of bureau, utility do not cancel"):
        read_sum(words)
    left = ("bureau", "utility")
    keys = {name: MaskKey(group_of(identities, name, left)) for name in left}
    offers = {name: key.offer(identities[name]) for name, key in keys.items()}
    values = {name: values[name] for name in left}
    found = read_sum(masked(maskers((keys, offers), left), values))
    assert np.array_equal(found, rounded_sum(values))


def test_a_single_number_is_enough_to_see_that_masks_do_not_cancel(offered):
    """The number alone would pass for an activation once in some hundred times."""
    for trial in range(50):
        of = maskers(offered)
        of["telco"].note(bytes([trial]))
        with pytest.raises(MaskError):
            read_sum(masked(of, activations(shape=(1, 1))))


def test_keys_are_not_pickled_copied_or_shown(offered):
    keys, _ = offered
    for secret in (keys["bureau"], maskers(offered)["bureau"]):
        for attempt in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="never pickled"):
                attempt(secret)
        assert "0x" in repr(secret)  # the default one: a type and an address
