"""Paillier itself: the law of its randomness, python-paillier as oracle, hostile ciphertexts."""

from itertools import product
from math import gcd

import numpy as np
import phe
import pytest
from gmpy2 import mpz
from support.keys import full_paillier_key, insecure_paillier_key

from crypto import sampling, wide
from crypto.errors import CiphertextError, KeyFormatError
from crypto.paillier_private import PaillierPrivateKey
from crypto.paillier_zeros import short_exponent_bits
from crypto.primes import KnownPrime
from crypto.schemes import SCHEMES


def without_roots(key):
    """The same key as if it came from elsewhere."""
    return PaillierPrivateKey(KnownPrime(key.p.value, None), KnownPrime(key.q.value, None))


def oracle(key):
    public = phe.PaillierPublicKey(key.public_key.n)
    return public, phe.PaillierPrivateKey(public, key.p.value, key.q.value)


def words(numbers, width=2):
    return wide.from_integers(numbers, width, signed=True)


@pytest.fixture(params=[True, False], ids=["tables", "no tables"])
def key(request):
    key = insecure_paillier_key(256)
    return key if request.param else without_roots(key)


@pytest.fixture(scope="module")
def tiny():
    """A key whose randomness can be enumerated, and all encryptions of zero by the textbook."""
    key = insecure_paillier_key(16)
    n = key.public_key.n
    textbook = sorted(pow(r, n, n * n) for r in range(n) if gcd(r, n) == 1)
    return key, textbook


def units_last(n):
    """All numbers below n, ordered such that what is drawn again for non-units are units."""
    return sorted(range(n), key=lambda number: gcd(number, n) == 1)


def draws(monkeypatch, *batches):
    """Let `sampling.below` return these numbers, each below the limit that it is asked for."""
    numbers = iter([number for batch in batches for number in batch])

    def below(limit, count):
        drawn = [next(numbers) for _ in range(count)]
        assert all(0 <= number < limit for number in drawn)
        return wide.from_integers(drawn, wide.words_for(limit.bit_length()))

    monkeypatch.setattr(sampling, "below", below)
    return numbers


def test_table_encryption_has_the_textbook_law(tiny, monkeypatch):
    key, textbook = tiny
    p, q = key.p.value, key.q.value
    exponents = list(product(range(p - 1), range(q - 1)))
    numbers = draws(monkeypatch, [e for e, _ in exponents], [e for _, e in exponents])
    ciphertexts = key.encrypt(words([0] * len(exponents)))
    assert next(numbers, None) is None
    assert sorted(key.public_key.to_residues(ciphertexts)) == textbook


def test_table_encryption_of_a_message_has_the_textbook_law(tiny, monkeypatch):
    key, textbook = tiny
    p, q, n = key.p.value, key.q.value, key.public_key.n
    exponents = list(product(range(p - 1), range(q - 1)))
    draws(monkeypatch, [e for e, _ in exponents], [e for _, e in exponents])
    ciphertexts = key.encrypt(words([-5] * len(exponents)))
    assert sorted(key.public_key.to_residues(ciphertexts)) == sorted(
        zero * (1 - 5 * n) % (n * n) for zero in textbook
    )


def test_encryption_without_tables_has_the_textbook_law(tiny, monkeypatch):
    key, textbook = tiny
    numbers = draws(monkeypatch, units_last(key.public_key.n))  # what is no unit is drawn again
    ciphertexts = without_roots(key).encrypt(words([0] * len(textbook)))
    assert next(numbers, None) is None
    assert sorted(key.public_key.to_residues(ciphertexts)) == textbook


def test_short_exponents_have_the_law_that_their_name_states(tiny, monkeypatch):
    """``(x**2)**n`` to the power of a uniform short exponent, times ``1 + m n``."""
    key, textbook = tiny
    n = key.public_key.n
    x = next(x for x in range(2, n) if gcd(x, n) == 1)
    exponents = [0, 1, 2, 2**320 - 1, 3**200]
    draws(monkeypatch, [x], exponents)
    short = SCHEMES["paillier-short-exponent-djn"].adopt(key)
    assert short.short_exponent_djn
    assert not key.short_exponent_djn
    ciphertexts = short.encrypt(words([-5] * len(exponents)))
    base = pow(x * x, n, n * n)
    zeros = [pow(base, exponent, n * n) for exponent in exponents]
    assert set(zeros) <= set(textbook)
    assert key.public_key.to_residues(ciphertexts) == [z * (1 - 5 * n) % (n * n) for z in zeros]
    assert wide.to_integers(key.decrypt(ciphertexts), signed=True) == [-5] * len(exponents)


def test_lengths_of_short_exponents():
    lengths = [short_exponent_bits(bits) for bits in (16, 2048, 2304, 3072, 4096)]
    assert lengths == [320, 320, 384, 384, 448]


def test_units_are_uniform_and_drawn_again_where_they_are_none(tiny, monkeypatch):
    key, _ = tiny
    n = key.public_key.n
    numbers = units_last(n)
    count = sum(gcd(number, n) == 1 for number in range(n))
    left = draws(monkeypatch, numbers)
    units = wide.to_integers(key.public_key.random_units(count))
    assert next(left, None) is None
    assert sorted(units) == [number for number in range(n) if gcd(number, n) == 1]


def test_sums_of_what_was_not_checked_are_refused():
    key = insecure_paillier_key(256)
    bad = np.hstack([wide.from_integers([key.p.value], 4), wide.from_integers([1], 4)])
    public = key.public_key
    for use in (
        lambda: public.sum_by_segment(bad, np.array([0]), np.array([0, 1])),
        lambda: public.pack(np.repeat(bad, 2, axis=0), 5, 2),
        lambda: public.rerandomise(bad),
    ):
        with pytest.raises(CiphertextError, match="check what a peer sent before using it"):
            use()


def test_rerandomising_has_the_textbook_law(tiny, monkeypatch):
    key, textbook = tiny
    public, n = key.public_key, key.public_key.n
    one = public.from_residues([1 + 9 * n])
    draws(monkeypatch, units_last(n))
    fresh = public.rerandomise(np.repeat(one, len(textbook), axis=0))
    assert sorted(public.to_residues(fresh)) == sorted(
        zero * (1 + 9 * n) % (n * n) for zero in textbook
    )


def test_pair_form_is_one_to_one(tiny):
    key, textbook = tiny
    pairs = key.public_key.from_residues(textbook)
    assert len({row.tobytes() for row in pairs}) == len(textbook)
    assert key.public_key.to_residues(pairs) == textbook


def test_python_paillier_decrypts_ours(key):
    _, private = oracle(key)
    n = key.public_key.n
    numbers = [0, 1, -1, 2**120, -(2**120)]
    residues = key.public_key.to_residues(key.encrypt(words(numbers)))
    assert [private.raw_decrypt(int(c)) for c in residues] == [m % n for m in numbers]


def test_we_decrypt_python_pailliers(key):
    public, _ = oracle(key)
    numbers = [0, 1, -1, 2**120, -(2**120)]
    ciphertexts = key.public_key.from_residues([public.raw_encrypt(m % public.n) for m in numbers])
    assert wide.to_integers(key.decrypt(ciphertexts), signed=True) == numbers


def test_python_paillier_makes_the_same_ciphertext_from_the_same_randomness(key):
    """``a = r**n mod n``, so the owner of the key can find the r behind one of ours."""
    public, _ = oracle(key)
    p, q, n = key.p.value, key.q.value, key.public_key.n
    (ours,) = key.public_key.to_residues(key.encrypt(words([-123456789])))
    r = pow(int(ours % n), pow(n, -1, (p - 1) * (q - 1)), n)
    assert ours == public.raw_encrypt(-123456789 % n, r_value=r)


def test_fixed_vector():
    """Made with python-paillier 1.5.0: ``PaillierPublicKey(n).raw_encrypt(m, r_value=r)``."""
    p, q, m, r = 4294967291, 4294967279, 1234567890123, 987654321987654321
    ciphertext = 141924211334233059226014605625933056278
    key = PaillierPrivateKey(KnownPrime(p, None), KnownPrime(q, None))
    n = p * q
    assert ciphertext == (1 + m * n) * pow(r, n, n * n) % (n * n)
    assert phe.PaillierPublicKey(n).raw_encrypt(m, r_value=r) == ciphertext
    pair = key.public_key.from_residues([ciphertext])
    assert wide.to_integers(key.decrypt(pair), signed=True) == [m]
    assert key.public_key.to_residues(pair) == [ciphertext]


def test_oracle_at_the_full_length():
    key = full_paillier_key()
    public, private = oracle(key)
    (ours,) = key.public_key.to_residues(key.encrypt(words([-7])))
    assert private.raw_decrypt(int(ours)) == public.n - 7
    theirs = key.public_key.from_residues([public.raw_encrypt(9), int(ours)])
    assert wide.to_integers(key.decrypt(theirs, n_jobs=2), signed=True) == [9, -7]


def test_sums_agree_with_python_paillier():
    key = insecure_paillier_key(256)
    public, _ = oracle(key)
    numbers = [phe.EncryptedNumber(public, public.raw_encrypt(m)) for m in (3, 4, 5)]
    pairs = key.public_key.from_residues([x.ciphertext(be_secure=False) for x in numbers])
    total = key.public_key.sum_by_segment(pairs, np.array([0, 1, 2, 1]), np.array([0, 4]))
    expected = numbers[0] + numbers[1] + numbers[2] + numbers[1]
    assert key.public_key.to_residues(total) == [expected.ciphertext(be_secure=False)]


@pytest.mark.parametrize(
    ("a", "t", "message"),
    [
        (lambda key: 0, lambda key: 1, "a is zero"),
        (lambda key: key.public_key.n, lambda key: 1, "a is not below the modulus"),
        (lambda key: 2**256 - 1, lambda key: 1, "a is not below the modulus"),
        (lambda key: 1, lambda key: key.public_key.n, "t is not below the modulus"),
        (lambda key: key.p.value, lambda key: 1, "shares a factor with the modulus"),
        (lambda key: 3 * key.q.value, lambda key: 0, "shares a factor with the modulus"),
    ],
)
def test_hostile_ciphertexts_are_refused(a, t, message):
    key = insecure_paillier_key(256)
    ciphertexts = key.encrypt(words([1, 2, 3, 4]))
    ciphertexts[2] = np.hstack([wide.from_integers([f(key)], 4)[0] for f in (a, t)])
    for check in (key.public_key.check, key.decrypt):
        with pytest.raises(CiphertextError, match=f"ciphertext 2:? {message}") as caught:
            check(ciphertexts)
        assert caught.value.position == 2


def test_residues_out_of_range_are_refused():
    key = insecure_paillier_key(256)
    n = key.public_key.n
    for bad in (0, -1, n * n, n * n + 1):
        with pytest.raises(CiphertextError, match="ciphertext 1 is not between") as caught:
            key.public_key.from_residues([5, bad])
        assert caught.value.position == 1
    with pytest.raises(CiphertextError, match="ciphertext 1 shares a factor"):
        key.public_key.from_residues([5, mpz(key.p.value)])


def test_extreme_pairs_that_are_valid_decrypt():
    key = insecure_paillier_key(256)
    n = key.public_key.n
    pairs = np.hstack(
        [wide.from_integers([1, n - 1, 1, 2], 4), wide.from_integers([0, 0, n - 1, 5], 4)]
    )
    key.public_key.check(pairs)
    private = oracle(key)[1]
    expected = [private.raw_decrypt(int(c)) for c in key.public_key.to_residues(pairs)]
    assert [m % n for m in wide.to_integers(key.decrypt(pairs), signed=True)] == expected


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        (251, 251, "must differ"),
        (251, 253, "must both be prime"),
        (7, 29, "shares a factor"),
    ],
)
def test_bad_private_keys_are_refused(p, q, message):
    with pytest.raises(KeyFormatError, match=message):
        PaillierPrivateKey(KnownPrime(p, None), KnownPrime(q, None))
