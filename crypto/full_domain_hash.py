"""A hash onto all of Z_n, as RSA signatures by full-domain hash need it.

Bytes are expanded by ``expand_message_xof`` with SHAKE256 (RFC 9380, section 5.3.2) to 128 bits
more than the modulus has, and reduced modulo n: so the result is uniform but for a distance below
``2**-128``.
"""

import hashlib
from collections.abc import Sequence

from gmpy2 import mpz

from crypto.errors import HashInputError

SLACK_BITS = 128
"""Expanded beyond the length of the modulus: bounds how far from uniform a residue is."""


def hash_to_residues(data: Sequence[bytes], modulus: int, tag: bytes) -> list[mpz]:
    """Hash each item onto the numbers below a modulus.

    Parameters
    ----------
    data : sequence of bytes
        Of any length, 0 included.
    modulus : int
    tag : bytes
        Separates domains: under different tags the hashes of one item are independent.

    Raises
    ------
    crypto.errors.HashInputError
        If `tag` is not 1 to 255 bytes long.
    """
    n, size = mpz(modulus), -(-(modulus.bit_length() + SLACK_BITS) // 8)
    suffix, shake, read = _suffix(size, tag), hashlib.shake_256, mpz.from_bytes
    return [read(shake(item + suffix).digest(size), "big") % n for item in data]


def expand_message(message: bytes, tag: bytes, size: int) -> bytes:
    """Expand a message to `size` pseudo-random bytes: RFC 9380's ``expand_message_xof``.

    Raises
    ------
    crypto.errors.HashInputError
        If `tag` is not 1 to 255 bytes long, or `size` not from 1 to 65,535.
    """
    return hashlib.shake_256(message + _suffix(size, tag)).digest(size)


def _suffix(size: int, tag: bytes) -> bytes:
    """Return what follows the message: the length asked for, and the tag with its length."""
    if not 0 < len(tag) < 1 << 8:
        raise HashInputError(f"tag has {len(tag)} bytes; give 1 to 255")
    if not 0 < size < 1 << 16:
        raise HashInputError(f"size={size} is not from 1 to {(1 << 16) - 1}")
    return size.to_bytes(2, "big") + tag + len(tag).to_bytes(1, "big")
