"""Blind RSA signatures against Python's own arithmetic, and everything that must be refused."""

import copy
import hashlib
import json
import pickle
from functools import cache
from itertools import count
from math import lcm
from pathlib import Path

import gmpy2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.keys import full_signing_key, insecure_paillier_key, insecure_signing_key

from crypto import keyfile, sampling, wide
from crypto.blind_rsa import (
    generate_signing_key,
    insecure_test_signing_key,
    load_verification_key,
)
from crypto.blind_rsa_private import SigningKey, check_primes
from crypto.blind_rsa_public import EXPONENT, PROOF_SIZE, VerificationKey
from crypto.errors import (
    BlindedValueError,
    FaultError,
    HashInputError,
    KeyFormatError,
    KeySizeError,
    SignatureError,
)
from crypto.full_domain_hash import SLACK_BITS, expand_message, hash_to_residues
from crypto.kernels import ENGINES, VARIABLE
from crypto.modulus import encode_modulus

VECTORS = Path(__file__).parent / "vectors"
SMALL = 512
"""Bits of most test keys: quick, and no hash is a multiple of a prime by chance."""


@cache
def vectors():
    return json.loads((VECTORS / "blind_rsa.json").read_text())


@cache
def vector_key():
    return SigningKey(int(vectors()["p"], 16), int(vectors()["q"], 16))


def rows(encoded):
    return np.array([list(bytes.fromhex(row)) for row in encoded], dtype=np.uint8)


def naive_hash(public, item):
    """Hash as the README says, with hashlib and Python's integers."""
    tag = b"SecureBoost-blind-RSA-v1-hash:" + bytes.fromhex(public.fingerprint)
    size = -(-(public.key_bits + SLACK_BITS) // 8)
    suffix = size.to_bytes(2, "big") + tag + bytes([len(tag)])
    return int.from_bytes(hashlib.shake_256(item + suffix).digest(size), "big") % public.n


def naive_signature(key, item):
    d = pow(EXPONENT, -1, lcm(key.p - 1, key.q - 1))
    signature = pow(naive_hash(key.public_key, item), d, key.public_key.n)
    return np.frombuffer(signature.to_bytes(key.public_key.value_bytes, "big"), dtype=np.uint8)


def naive_signatures(key, data):
    signatures = [naive_signature(key, item) for item in data]
    return np.array(signatures, dtype=np.uint8).reshape(len(data), key.public_key.value_bytes)


def value(public, number):
    row = np.frombuffer(number.to_bytes(public.value_bytes, "big"), dtype=np.uint8)
    return row.reshape(1, -1)


def items(count, first=0):
    return [f"key {i}".encode() for i in range(first, first + count)]


def signed_blindly(key, data, **options):
    blinded, blinding = key.public_key.blind(data, **options)
    return key.public_key.unblind(blinding, key.sign_blinded(blinded, **options), **options)


# the hash


def test_the_vectors_of_rfc_9380():
    known = json.loads((VECTORS / "rfc9380_shake256.json").read_text())
    assert len(known["vectors"]) == 10
    for vector in known["vectors"]:
        expected = bytes.fromhex(vector["expanded"])
        message = vector["message"].encode()
        assert expand_message(message, known["tag"].encode(), len(expected)) == expected


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=255), st.integers(3, 2**300))
def test_the_hash_is_the_expansion_modulo_n(item, tag, n):
    size = -(-(n.bit_length() + SLACK_BITS) // 8)
    expected = int.from_bytes(expand_message(item, tag, size), "big") % n
    assert hash_to_residues([item, item], n, tag) == [expected, expected]


def test_tags_and_sizes_that_rfc_9380_does_not_take():
    for tag in (b"", b"x" * 256):
        with pytest.raises(HashInputError, match=f"tag has {len(tag)} bytes; give 1 to 255"):
            expand_message(b"", tag, 32)
    for size in (0, 1 << 16):
        with pytest.raises(HashInputError, match=f"size={size} is not from 1 to 65535"):
            expand_message(b"", b"tag", size)


# signing, blind and not


def test_known_signatures_and_tags():
    key, known = vector_key(), vectors()
    data = [bytes.fromhex(item["data"]) for item in known["items"]]
    signatures = rows([item["signature"] for item in known["items"]])
    assert (key.sign(data) == signatures).all()
    assert (signed_blindly(key, data) == signatures).all()
    assert (key.public_key.tags(signatures) == rows([x["tag"] for x in known["items"]])).all()
    assert key.public_key.to_bytes().hex() == known["public_key"]
    assert (key.proof == rows(known["proof"])).all()


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=100), max_size=12), st.integers(1, 3))
def test_unblinded_equals_direct_equals_naive(data, n_jobs):
    key = insecure_signing_key(SMALL)
    expected = naive_signatures(key, data)
    assert (signed_blindly(key, data, n_jobs=n_jobs) == expected).all()
    assert (key.sign(data, n_jobs=n_jobs) == expected).all()
    key.public_key.verify(data, expected, n_jobs=n_jobs)


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.available()])
@pytest.mark.parametrize("bits", [130, 256, 1024])
def test_every_engine_gives_the_same(monkeypatch, name, bits):
    monkeypatch.setenv(VARIABLE, name)
    primes = insecure_signing_key(bits)
    key = SigningKey(primes.p, primes.q)  # fresh, so it asks for the engine again
    data = items(19)
    expected = naive_signatures(key, data)
    for n_jobs in (1, 2, 40):
        assert (key.sign(data, n_jobs=n_jobs) == expected).all()
        assert (signed_blindly(key, data, n_jobs=n_jobs) == expected).all()


@pytest.mark.parametrize("bits", [258, 1030])
def test_lengths_that_fill_no_whole_byte_or_word(bits):
    key = insecure_signing_key(bits)
    assert key.public_key.value_bytes == -(-bits // 8)
    assert (signed_blindly(key, items(9)) == naive_signatures(key, items(9))).all()


def test_the_full_length():
    key = full_signing_key()
    assert key.public_key.key_bits == 2048
    loaded = load_verification_key(key.public_key.to_bytes(), key.proof)
    assert loaded.fingerprint == key.public_key.fingerprint
    blinded, blinding = loaded.blind(items(5))
    assert blinded.shape == (5, 256)
    signatures = loaded.unblind(blinding, key.sign_blinded(blinded))
    assert (signatures == naive_signatures(key, items(5))).all()


def test_two_blindings_of_one_value_differ():
    key = insecure_signing_key(SMALL)
    first, second = (key.public_key.blind([b"x", b"x"])[0] for _ in range(2))
    blinded = {row.tobytes() for row in (*first, *second)}
    assert len(blinded) == 4
    assert naive_hash(key.public_key, b"x") not in wide.to_integers(wide.from_big_endian(first))


def test_a_blinded_value_is_uniform_whatever_is_blinded(monkeypatch):
    """With a key of a few bits: over all factors, each unit comes exactly once."""
    key = insecure_signing_key(16)
    n = key.public_key.n
    units = [x for x in range(n) if gmpy2.gcd(x, n) == 1]
    monkeypatch.setattr(
        sampling, "units", lambda modulus, count: wide.from_integers(units, modulus.words)
    )
    hashed = next(x for x in items(100) if gmpy2.gcd(naive_hash(key.public_key, x), n) == 1)
    blinded, _ = key.public_key.blind([hashed] * len(units))
    assert sorted(wide.to_integers(wide.from_big_endian(blinded))) == units


def test_blinding_again_after_a_crash():
    key = insecure_signing_key(SMALL)
    blinded, blinding = key.public_key.blind(items(7))
    again, other = key.public_key.blind_again(items(7), blinding.to_bytes())
    assert (again == blinded).all()
    signatures = key.public_key.unblind(other, key.sign_blinded(blinded))
    assert (signatures == key.sign(items(7))).all()
    with pytest.raises(BlindedValueError, match="448 bytes is not that of 6 values"):
        key.public_key.blind_again(items(6), blinding.to_bytes())


def test_nothing_to_sign():
    key = insecure_signing_key(SMALL)
    assert signed_blindly(key, []).shape == key.sign([]).shape == (0, 64)
    key.public_key.verify([], key.sign([]))
    assert key.public_key.tags(key.sign([])).shape == (0, 32)


def test_tags_are_bound_to_the_key():
    key = insecure_signing_key(SMALL)
    signatures = key.sign(items(3))
    tags = key.public_key.tags(signatures)
    assert len({tag.tobytes() for tag in tags}) == 3
    assert tags.dtype == np.uint8
    other = VerificationKey(insecure_test_signing_key(SMALL).public_key.n)
    assert not (other.tags(signatures) == tags).all(axis=1).any()


def test_read_only_and_strided_rows():
    key = insecure_signing_key(SMALL)
    blinded, blinding = key.public_key.blind(items(4))
    wider = np.zeros((8, 70), dtype=np.uint8)
    wider[::2, 3:67] = blinded
    view = wider[::2, 3:67]
    view.flags.writeable = False
    assert (key.public_key.unblind(blinding, key.sign_blinded(view)) == key.sign(items(4))).all()
    signatures = key.sign(items(4))
    assert (key.public_key.tags(signatures[::2]) == key.public_key.tags(signatures)[::2]).all()


# a signer that is not honest


@pytest.mark.parametrize(
    "forge",
    [
        lambda n, s: n - s,
        lambda n, s: s * s % n,
        lambda n, s: (s + 1) % n,
        lambda n, s: s ^ 1,
        lambda n, s: 0,
        lambda n, s: 1,
    ],
)
def test_a_forged_signature_is_found(forge):
    key = insecure_signing_key(SMALL)
    public, data = key.public_key, items(20)
    blinded, blinding = public.blind(data)
    replies = key.sign_blinded(blinded)
    signatures = public.unblind(blinding, replies)
    for target, check in (
        (replies, lambda rows: public.unblind(blinding, rows)),
        (signatures, lambda rows: public.verify(data, rows)),
    ):
        forged = target.copy()
        number = int.from_bytes(forged[13].tobytes(), "big")
        forged[13] = value(public, int(forge(public.n, number)))
        with pytest.raises(SignatureError, match="signature 13 is not valid under the key") as info:
            check(forged)
        assert info.value.position == 13


def test_signatures_out_of_range_or_order():
    key = insecure_signing_key(SMALL)
    blinded, blinding = key.public_key.blind(items(9))
    replies = key.sign_blinded(blinded)
    high = replies.copy()
    high[4] = value(key.public_key, key.public_key.n)
    with pytest.raises(SignatureError, match="signature 4 is not below the modulus") as info:
        key.public_key.unblind(blinding, high)
    assert info.value.position == 4
    with pytest.raises(SignatureError, match="signature 0 is not valid"):
        key.public_key.unblind(blinding, replies[::-1])


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: np.vstack([rows, rows]),
        lambda rows: rows[:, 1:],
        lambda rows: rows.astype(np.uint64),
        lambda rows: rows.ravel(),
        lambda rows: rows[:0],
    ],
)
def test_replies_of_another_shape(change):
    key = insecure_signing_key(SMALL)
    blinded, blinding = key.public_key.blind(items(3))
    with pytest.raises(SignatureError, match=r"3 signatures must be uint8 of shape \(3, 64\)"):
        key.public_key.unblind(blinding, change(key.sign_blinded(blinded)))


# an asker that is not honest


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda key: 0, "value 11 is zero or shares a factor with the modulus"),
        (lambda key: key.p, "value 11 is zero or shares a factor"),
        (lambda key: 6 * key.q, "value 11 is zero or shares a factor"),
        (lambda key: key.public_key.n, "value 11 is not below the modulus"),
        (lambda key: key.public_key.n + 1, "value 11 is not below the modulus"),
        (lambda key: 2**SMALL - 1, "value 11 is not below the modulus"),
    ],
)
def test_values_that_are_not_signed(bad, message):
    key = insecure_signing_key(SMALL)
    blinded, _ = key.public_key.blind(items(12))
    blinded[11] = value(key.public_key, int(bad(key)))
    with pytest.raises(BlindedValueError, match=message) as info:
        key.sign_blinded(blinded)
    assert info.value.position == 11
    assert str(key.p) not in str(info.value)


@pytest.mark.parametrize(
    "shaped",
    [
        np.zeros((2, 63), dtype=np.uint8),
        np.zeros((2, 64), dtype=np.int8),
        np.zeros(64, dtype=np.uint8),
        np.zeros((1, 2, 64), dtype=np.uint8),
    ],
)
def test_values_of_another_shape(shaped):
    with pytest.raises(BlindedValueError, match=r"must be uint8 of shape \(count, 64\), not"):
        insecure_signing_key(SMALL).sign_blinded(shaped)


@pytest.mark.parametrize("half", [0, 1])
def test_a_fault_gives_nothing_away(monkeypatch, half):
    """A residue that is wrong modulo one prime alone would reveal that prime."""
    key = SigningKey(insecure_signing_key(SMALL).p, insecure_signing_key(SMALL).q)
    modulus = key._halves[half][0]
    honest = modulus.root_powers

    def faulty(numbers, exponent, *, n_jobs):
        powers = honest(numbers, exponent, n_jobs=n_jobs)
        powers[3, 0] ^= np.uint64(1)
        return powers

    monkeypatch.setattr(modulus, "root_powers", faulty)
    with pytest.raises(FaultError, match="a signature came out wrong and was not given out"):
        key.sign(items(5))
    with pytest.raises(FaultError, match="check this machine's memory"):
        key.sign_blinded(key.public_key.blind(items(5))[0])


# keys


@pytest.mark.parametrize("bits", [512, 1024, 2047])
def test_short_keys_have_another_name(bits):
    with pytest.raises(KeySizeError, match=f"key_bits={bits} is insecure: at least 2048"):
        generate_signing_key(bits)


def test_a_short_key_is_not_taken_from_a_peer():
    key = insecure_signing_key(SMALL)
    data = key.public_key.to_bytes()
    with pytest.raises(KeySizeError, match="key_bits=512 is insecure"):
        load_verification_key(data, key.proof)
    assert load_verification_key(data, key.proof, allow_insecure=True).n == key.public_key.n


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n + 1, "512-bit modulus is even"),
        (lambda n: int(gmpy2.next_prime(n)), "512-bit modulus is prime"),
        (lambda n: int(gmpy2.next_prime(gmpy2.isqrt(n))) ** 2, "512-bit modulus is a perfect pow"),
        (lambda n: 65521 * int(gmpy2.next_prime(n // 65521)), r"has a factor below 2\*\*16"),
        (lambda n: n >> 300, "must be an even number|is even|has a factor|is prime|valid proof"),
    ],
)
def test_bad_moduli_are_refused(change, message):
    key = insecure_signing_key(SMALL)
    bad = encode_modulus(VerificationKey.scheme, change(key.public_key.n))
    with pytest.raises((KeyFormatError, KeySizeError), match=message):
        load_verification_key(bad, key.proof, allow_insecure=True)


def test_a_key_of_another_scheme_is_refused():
    paillier = insecure_paillier_key(SMALL).public_key.to_bytes()
    key = insecure_signing_key(SMALL)
    with pytest.raises(KeyFormatError, match="not a blind-rsa public key of format 1"):
        load_verification_key(paillier, key.proof, allow_insecure=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: proof[:-1],
        lambda proof: proof[::-1],
        lambda proof: np.zeros_like(proof),
        lambda proof: np.full_like(proof, 255),
        lambda proof: insecure_test_signing_key(SMALL).proof,
    ],
)
def test_a_key_without_its_proof_is_refused(change):
    key = insecure_signing_key(SMALL)
    with pytest.raises(KeyFormatError, match="does not come with a valid proof that e=65537"):
        load_verification_key(key.public_key.to_bytes(), change(key.proof), allow_insecure=True)


def test_a_key_whose_blinded_values_would_tell_has_no_proof():
    """If e divides p - 1, ``b**((p-1)/e)`` shows in which coset the hash lies, whatever r is."""
    candidates = (2 * EXPONENT * k + 1 for k in count(2**238))
    p = next(candidate for candidate in candidates if gmpy2.is_prime(candidate))
    q = insecure_signing_key(SMALL).q
    public = VerificationKey(p * q)
    cosets = [
        {
            pow(int.from_bytes(public.blind([item])[0].tobytes(), "big"), (p - 1) // EXPONENT, p)
            for _ in range(3)
        }
        for item in (b"x", b"y")
    ]
    assert [len(coset) for coset in cosets] == [1, 1]
    assert cosets[0] != cosets[1]
    roots = [pow(c % p, (p - 1) // EXPONENT, p) for c in wide.to_integers(public.proof_challenge())]
    assert any(root != 1 for root in roots)  # not all have an e-th root, so there is no proof
    with pytest.raises(KeyFormatError, match=r"e=65537 divides \(p - 1\) \* \(q - 1\)"):
        SigningKey(p, q)


def test_numbers_that_are_no_key():
    key = insecure_signing_key(SMALL)
    for p, q in ((key.p, key.p), (key.p, key.q + 2), (1, key.q)):
        with pytest.raises(KeyFormatError, match="must be two different primes"):
            check_primes(p, q)


def test_a_modulus_that_shares_a_factor_with_a_hash():
    public = VerificationKey(3 * int(gmpy2.next_prime(2**200)))
    with pytest.raises(KeyFormatError, match="shares a factor with a hash"):
        public.blind(items(200))


def test_secrets_are_not_shown_pickled_or_copied():
    key = insecure_signing_key(SMALL)
    _, blinding = key.public_key.blind(items(3))
    assert repr(blinding) == "<blinding of 3 values>"
    assert repr(key) == (
        f"<private blind-rsa key, 512 bits, fingerprint {key.public_key.fingerprint[:16]}>"
    )
    for secret in (key, blinding):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="never pickled or copied"):
                attempt(secret)
    public = pickle.loads(pickle.dumps(key.public_key))  # noqa: S301  our own bytes
    assert public.fingerprint == key.public_key.fingerprint
    assert str(public.n) not in repr(public)


def test_derived_secrets():
    key, other = insecure_signing_key(SMALL), insecure_test_signing_key(SMALL)
    assert key.secret(b"a") == SigningKey(key.p, key.q).secret(b"a")
    secrets = {key.secret(b"a"), key.secret(b"b"), other.secret(b"a")}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}


def test_key_files(tmp_path, monkeypatch):
    monkeypatch.setattr(keyfile, "SCRYPT_N", 1 << 10)
    key, path = insecure_signing_key(SMALL), tmp_path / "signing.key"
    keyfile.write_private_key(path, key, "correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = keyfile.read_signing_key(path, "correct horse", allow_insecure=True)
    assert (loaded.p, loaded.q) == (key.p, key.q)
    with pytest.raises(KeySizeError, match=r"signing\.key: key_bits=512 is insecure"):
        keyfile.read_signing_key(path, "correct horse")
    with pytest.raises(KeyFormatError, match=r"'blind-rsa' cannot be used here.*a 'paillier' key"):
        keyfile.read_private_key(path, "correct horse", allow_insecure=True)
    keyfile.write_private_key(path, insecure_paillier_key(256), "correct horse", overwrite=True)
    with pytest.raises(KeyFormatError, match=r"'paillier' cannot be used here.*'blind-rsa' key"):
        keyfile.read_signing_key(path, "correct horse", allow_insecure=True)


def test_the_proof_has_the_size_that_the_bound_needs():
    assert EXPONENT**PROOF_SIZE > 2**128
    assert gmpy2.is_prime(EXPONENT)
