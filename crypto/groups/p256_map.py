"""The hash to P-256 of RFC 9380, suite P256_XMD:SHA-256_SSWU_RO_: not in constant time.

A message is expanded to two numbers modulo p, each is mapped to a point by the simplified SWU map
(sections 6.6.2 and F.2), and the points are added. Points are pairs (x, y).
"""

from typing import Final

import gmpy2
from gmpy2 import mpz

from crypto.groups.expand import expand_message_xmd

PRIME: Final = mpz(2**256 - 2**224 + 2**192 + 2**96 - 1)
A: Final = mpz(-3)
B: Final = mpz(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
_Z: Final = mpz(-10)
_EXPONENT: Final = (PRIME - 3) // 4
_ROOT: Final = gmpy2.powmod(-_Z, (PRIME + 1) // 4, PRIME)
"""A square root of -Z; p = 3 mod 4."""
_FIELD_BYTES = 48
"""128 bits more than p has, so that a residue is as good as uniform."""

Point = tuple[mpz, mpz]


def hash_to_point(message: bytes, tag: bytes) -> Point:
    """Hash a message to a point of the curve.

    The identity would come out if two points were opposite, for one message in 2^256.
    """
    first, second = hash_to_field(message, tag)
    return add(map_to_curve(first), map_to_curve(second))


def hash_to_field(message: bytes, tag: bytes) -> tuple[mpz, mpz]:
    """Hash a message to two numbers modulo p (section 5.2)."""
    uniform = expand_message_xmd(message, tag, 2 * _FIELD_BYTES, "sha256")
    return (
        mpz.from_bytes(uniform[:_FIELD_BYTES], "big") % PRIME,
        mpz.from_bytes(uniform[_FIELD_BYTES:], "big") % PRIME,
    )


def map_to_curve(u: mpz) -> Point:
    """Map a number modulo p to a point (section F.2, the variables' names with it)."""
    tv1 = _Z * u * u % PRIME
    tv2 = (tv1 * tv1 + tv1) % PRIME
    tv3 = B * (tv2 + 1) % PRIME
    tv4 = A * (-tv2 if tv2 else _Z) % PRIME
    square = tv4 * tv4 % PRIME
    gx_over = square * tv4 % PRIME
    gx = ((tv3 * tv3 + A * square) % PRIME * tv3 + B * gx_over) % PRIME
    is_square, y = _root_of_ratio(gx, gx_over)
    x = tv3
    if not is_square:
        x, y = tv1 * x % PRIME, tv1 * u % PRIME * y % PRIME
    if gmpy2.is_odd(u) != gmpy2.is_odd(y):
        y = PRIME - y
    return x * gmpy2.invert(tv4, PRIME) % PRIME, y


def _root_of_ratio(u: mpz, v: mpz) -> tuple[bool, mpz]:
    """Return whether u / v is a square, and a root of it, or else of Z u / v (section F.2.1.2)."""
    product = u * v % PRIME
    y = gmpy2.powmod(v * v % PRIME * product % PRIME, _EXPONENT, PRIME) * product % PRIME
    if y * y % PRIME * v % PRIME == u:
        return True, y
    return False, y * _ROOT % PRIME


def add(p: Point, q: Point) -> Point:
    """Add two points, neither equal nor opposite."""
    slope = (q[1] - p[1]) * gmpy2.invert(q[0] - p[0], PRIME) % PRIME
    x = (slope * slope - p[0] - q[0]) % PRIME
    return x, (slope * (p[0] - x) - p[1]) % PRIME
