"""From a message to uniform bytes: ``expand_message_xmd`` of RFC 9380, section 5.3.1."""

import hashlib
from typing import Literal

from crypto.errors import HashInputError

HashName = Literal["sha256", "sha512"]

MAX_TAG_BYTES = 255
"""The tag's length must fit a byte; RFC 9380 would hash a longer one first, which nobody needs."""


def expand_message_xmd(message: bytes, tag: bytes, n_bytes: int, hash_name: HashName) -> bytes:
    """Stretch a message to bytes that look uniform and independent of those of any other tag.

    Parameters
    ----------
    message : bytes
    tag : bytes
        Names protocol, version and group, so that no two uses of the hash share values (the RFC's
        DST). 1 to 255 bytes.
    n_bytes : int
        From 1 to 255 times the length of a digest.
    hash_name : {"sha256", "sha512"}

    Returns
    -------
    bytes
        As many as were asked for.

    Raises
    ------
    HashInputError
        If the tag's or the output's length is out of range.
    """
    check_tag(tag)
    ending = with_length(tag)
    first = hashlib.new(hash_name)
    blocks = -(-n_bytes // first.digest_size)
    if not 1 <= blocks <= 255:
        raise HashInputError(
            f"n_bytes={n_bytes} is not from 1 to 255 digests of {first.digest_size} bytes"
        )
    first.update(bytes(first.block_size) + message + n_bytes.to_bytes(2, "big") + b"\0" + ending)
    root = first.digest()
    block = hashlib.new(hash_name, root + b"\1" + ending).digest()
    uniform = block
    for number in range(2, blocks + 1):
        mixed = bytes(a ^ b for a, b in zip(root, block, strict=True))
        block = hashlib.new(hash_name, mixed + bytes([number]) + ending).digest()
        uniform += block
    return uniform[:n_bytes]


def check_tag(tag: bytes) -> None:
    """Check that a tag can be used.

    Raises
    ------
    HashInputError
        If it is empty or longer than 255 bytes.
    """
    if not 1 <= len(tag) <= MAX_TAG_BYTES:
        raise HashInputError(f"tag has {len(tag)} bytes; give 1 to {MAX_TAG_BYTES}")


def with_length(tag: bytes) -> bytes:
    """Return the tag followed by its length in a byte (the RFC's DST_prime)."""
    return tag + bytes([len(tag)])
