"""Keys that must be refused."""

import gmpy2
import pytest
from support.keys import full_paillier_key, insecure_key

from crypto.errors import KeyFormatError, KeySizeError
from crypto.modulus import MAX_KEY_BITS, check_key_bits, check_modulus, encode_modulus
from crypto.primes import is_prime, random_known_prime
from crypto.schemes import SCHEMES, load_public_key


def test_good_moduli_pass():
    check_modulus(full_paillier_key().public_key.n)
    check_modulus(insecure_key("paillier", 256).public_key.n, allow_insecure=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n + 1, "2048-bit modulus is even"),
        (lambda n: int(gmpy2.next_prime(n)), "2048-bit modulus is prime"),
        (lambda n: int(gmpy2.next_prime(gmpy2.isqrt(n))) ** 2, "2048-bit modulus is a perfect pow"),
        (lambda n: 65521 * int(gmpy2.next_prime(n // 65521)), r"has a factor below 2\*\*16"),
    ],
)
def test_bad_moduli_are_refused(change, message):
    bad = change(full_paillier_key().public_key.n)
    assert bad.bit_length() == 2048
    for scheme in ("paillier", "phe"):
        with pytest.raises(KeyFormatError, match=message):
            load_public_key(scheme, encode_modulus(scheme, bad))


@pytest.mark.parametrize("scheme", ["paillier", "phe"])
def test_a_short_key_is_refused_unless_insecure_keys_are_allowed(scheme):
    data = encode_modulus(scheme, insecure_key("paillier", 512).public_key.n)
    with pytest.raises(KeySizeError, match="key_bits=512 is insecure: at least 2048"):
        load_public_key(scheme, data)
    assert load_public_key(scheme, data, allow_insecure=True).key_bits == 512


@pytest.mark.parametrize("scheme", ["paillier", "phe"])
@pytest.mark.parametrize("key_bits", [0, 512, 1024, 2047])
def test_short_keys_are_not_generated(scheme, key_bits):
    with pytest.raises(KeySizeError, match=f"key_bits={key_bits} is insecure"):
        SCHEMES[scheme].generate(key_bits)


@pytest.mark.parametrize("key_bits", [2050, 3000, MAX_KEY_BITS + 256])
def test_odd_lengths_are_refused(key_bits):
    with pytest.raises(KeySizeError, match=f"key_bits={key_bits} must be a multiple of 256"):
        check_key_bits(key_bits)


@pytest.mark.parametrize("key_bits", [0, 14, 17])
def test_test_keys_have_limits_too(key_bits):
    with pytest.raises(KeySizeError, match="must be an even number from 16 to 8192"):
        SCHEMES["paillier"].insecure_test_key(key_bits)


def test_a_key_of_another_format_is_refused():
    data = full_paillier_key().public_key.to_bytes()
    with pytest.raises(KeyFormatError, match="are not a phe public key of format 1"):
        load_public_key("phe", data)
    with pytest.raises(KeyFormatError, match="leading zeros"):
        load_public_key("paillier", data.replace(b":", b":\0", 1))
    with pytest.raises(KeySizeError, match="exceeds 1024"):
        load_public_key("paillier", b"paillier/1:" + b"\1" * 100_000)


@pytest.mark.parametrize("bits", [8, 9, 16, 31, 64, 128])
def test_primes_have_the_exact_length_and_a_primitive_root(bits):
    for _ in range(5):
        prime = random_known_prime(bits)
        p, root = prime.value, prime.primitive_root
        assert is_prime(p)
        assert p**2 >= 2 ** (2 * bits - 1)
        assert p < 2**bits
        if bits <= 9:
            assert len({pow(root, e, p) for e in range(p - 1)}) == p - 1
        assert pow(root, (p - 1) // 2, p) == p - 1


@pytest.mark.parametrize("key_bits", [16, 18, 30, 64, 130, 256])
def test_moduli_have_the_exact_length(key_bits):
    for _ in range(3):
        key = SCHEMES["paillier"].insecure_test_key(key_bits)
        assert key.public_key.n.bit_length() == key.public_key.key_bits == key_bits


def test_primes_below_the_smallest_length_are_refused():
    with pytest.raises(ValueError, match="bits=7 must be at least 8"):
        random_known_prime(7)
