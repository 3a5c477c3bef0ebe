"""What a public modulus must satisfy, and its bytes.

The encoding is ``<scheme>/1:`` and then the modulus, big endian, without leading zeros: one key
has one encoding, so its SHA-256 is a fingerprint.
"""

from functools import cache

import gmpy2
from gmpy2 import mpz

from crypto.errors import KeyFormatError, KeySizeError
from crypto.primes import SMALLEST_BITS, is_prime

DEFAULT_KEY_BITS = 2048
MIN_KEY_BITS = 2048
"""About 112-bit strength; 3072 gives 128."""
MAX_KEY_BITS = 8192
"""A longer key costs seconds per number: from a peer that is an attack, not a wish."""
KEY_BITS_STEP = 256
MIN_INSECURE_KEY_BITS = 2 * SMALLEST_BITS
SMALL_FACTOR_BITS = 16


def check_key_bits(key_bits: int, *, allow_insecure: bool = False) -> None:
    """Refuse key lengths that are not offered.

    Raises
    ------
    KeySizeError
    """
    if allow_insecure:
        if MIN_INSECURE_KEY_BITS <= key_bits <= MAX_KEY_BITS and key_bits % 2 == 0:
            return
        raise KeySizeError(
            f"key_bits={key_bits} must be an even number from {MIN_INSECURE_KEY_BITS} to "
            f"{MAX_KEY_BITS}, even for an insecure test key"
        )
    if key_bits < MIN_KEY_BITS:
        raise KeySizeError(
            f"key_bits={key_bits} is insecure: at least {MIN_KEY_BITS} are needed (112-bit "
            "strength; 3072 for 128); tests may use insecure_test_key"
        )
    if key_bits > MAX_KEY_BITS or key_bits % KEY_BITS_STEP:
        raise KeySizeError(
            f"key_bits={key_bits} must be a multiple of {KEY_BITS_STEP} from {MIN_KEY_BITS} to "
            f"{MAX_KEY_BITS}; use 2048, 3072 or 4096"
        )


def check_modulus(n: int, *, allow_insecure: bool = False) -> None:
    """Refuse a modulus that is not the product of two large primes, as far as can be seen.

    Raises
    ------
    KeySizeError
        If its length is refused.
    KeyFormatError
        If it is even, prime, a perfect power, or has a small factor.
    """
    key_bits = n.bit_length()
    check_key_bits(key_bits, allow_insecure=allow_insecure)
    advice = "ask its owner for a new key"
    if n % 2 == 0:
        raise KeyFormatError(f"the {key_bits}-bit modulus is even; {advice}")
    if is_prime(n):
        raise KeyFormatError(f"the {key_bits}-bit modulus is prime, so it hides nothing; {advice}")
    if gmpy2.is_power(mpz(n)):
        raise KeyFormatError(f"the {key_bits}-bit modulus is a perfect power; {advice}")
    # Factors of a tiny test key are small themselves.
    limit_bits = min(SMALL_FACTOR_BITS, key_bits // 4)
    if gmpy2.gcd(mpz(n), _primorial(limit_bits)) != 1:
        raise KeyFormatError(
            f"the {key_bits}-bit modulus has a factor below 2**{limit_bits}; {advice}"
        )


def encode_modulus(scheme: str, n: int) -> bytes:
    """Encode a public key that is nothing but its modulus."""
    return f"{scheme}/1:".encode() + n.to_bytes(-(-n.bit_length() // 8), "big")


def decode_modulus(scheme: str, data: bytes, *, allow_insecure: bool = False) -> int:
    """Decode and check a public key that came from somebody else.

    Raises
    ------
    KeyFormatError, KeySizeError
    """
    prefix = f"{scheme}/1:".encode()
    if not data.startswith(prefix):
        raise KeyFormatError(
            f"these {len(data)} bytes are not a {scheme} public key of format 1; "
            "both sides must use the same scheme and version"
        )
    body = data[len(prefix) :]
    if len(body) > MAX_KEY_BITS // 8:
        raise KeySizeError(f"a key of {len(body)} bytes exceeds {MAX_KEY_BITS // 8}")
    if body[:1] in (b"", b"\0"):
        raise KeyFormatError(f"the {scheme} public key is empty or has leading zeros")
    n = int.from_bytes(body, "big")
    check_modulus(n, allow_insecure=allow_insecure)
    return n


@cache
def _primorial(bits: int) -> mpz:
    return gmpy2.primorial(1 << bits)
