"""All tags of a feature party with the key under which they are made: told in a session, or ahead.

The file may be given to the label party long before, on any way: a tag tells nothing to whoever
does not have the signature that it is a hash of. Its layout::

    magic           10   "SBTAGSET1" and a line feed
    length           4   of the public key (little-endian, as all numbers), then the key
    length           4   of the proof, then the proof
    count            8   then the tags, 32 bytes each, ascending
    digest          32   SHA-256 of all before
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crypto.blind_rsa import load_verification_key
from crypto.blind_rsa_public import TAG_BYTES, VerificationKey
from crypto.errors import CryptoError
from secureboost.align.elements import Elements, ascends
from secureboost.errors import AlignmentError
from secureboost.files import write_atomically

MAGIC = b"SBTAGSET1\n"
_DIGEST_BYTES = 32


@dataclass(frozen=True, repr=False, eq=False)
class TagSet:
    """A feature party's tags.

    Attributes
    ----------
    key : VerificationKey
    proof : array of shape (8, value_bytes), uint8
        See `VerificationKey.check_proof`.
    tags : array of shape (n, 32), uint8
        Ascending as bytes.
    """

    key: VerificationKey
    proof: Elements
    tags: Elements

    @property
    def digest(self) -> bytes:
        """What `rsa_protocol.TagKey.digest` commits to."""
        return digest_tags(self.key, self.tags)


def digest_tags(key: VerificationKey, tags: Elements) -> bytes:
    """Hash a signing key's name and the tags made under it, 32 bytes."""
    digest = hashlib.sha256(bytes.fromhex(key.fingerprint))
    digest.update(tags.tobytes())
    return digest.digest()


def write_tag_set(path: Path, tag_set: TagSet) -> None:
    """Write a tag set, readable by its owner only, in one step.

    Raises
    ------
    OSError
    """
    parts = [MAGIC]
    for part in (tag_set.key.to_bytes(), tag_set.proof.tobytes()):
        parts += [len(part).to_bytes(4, "little"), part]
    parts += [len(tag_set.tags).to_bytes(8, "little"), tag_set.tags.tobytes()]
    data = b"".join(parts)
    write_atomically(path, data + hashlib.sha256(data).digest(), mode=0o600)


def read_tag_set(path: Path, *, allow_insecure: bool = False) -> TagSet:
    """Read and check a tag set, which may come from anybody.

    Parameters
    ----------
    path : Path
    allow_insecure : bool
        Accept a key of a length that protects nothing. For tests only.

    Raises
    ------
    secureboost.errors.AlignmentError
        If it is damaged, or not made by these rules.
    crypto.errors.KeyFormatError, crypto.errors.KeySizeError
        If the key in it is refused.
    OSError
    """
    data = path.read_bytes()
    content, digest = memoryview(data)[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if content[: len(MAGIC)] != MAGIC or hashlib.sha256(content).digest() != digest:
        raise _damaged(path)
    public_key, at = _part(path, content, len(MAGIC), 4)
    proof, at = _part(path, content, at, 4)
    count = int.from_bytes(content[at : at + 8], "little")
    tags = np.frombuffer(content[at + 8 :], dtype=np.uint8)
    if len(tags) != count * TAG_BYTES:
        raise _damaged(path)
    tags = tags.reshape(-1, TAG_BYTES)
    if not ascends(tags):
        raise AlignmentError(
            f"{path}: its tags are not in ascending order, or one occurs twice; ask the feature "
            "party for another."
        )
    return TagSet(*_checked_key(path, bytes(public_key), bytes(proof), allow_insecure), tags)


def _checked_key(
    path: Path, public_key: bytes, proof: bytes, allow_insecure: bool
) -> tuple[VerificationKey, Elements]:
    roots = np.frombuffer(proof, dtype=np.uint8)
    if len(roots) % 8:
        raise _damaged(path)
    roots = roots.reshape(8, -1)
    try:
        return load_verification_key(public_key, roots, allow_insecure=allow_insecure), roots
    except CryptoError as error:
        raise type(error)(f"{path}: {error}") from None


def _part(path: Path, content: memoryview, at: int, size: int) -> tuple[memoryview, int]:
    """Read what has its length in `size` bytes before it; returns it and where it ends."""
    start = at + size
    end = start + int.from_bytes(content[at:start], "little")
    if end > len(content):
        raise _damaged(path)
    return content[start:end], end


def _damaged(path: Path) -> AlignmentError:
    return AlignmentError(
        f"{path} is damaged, or no tag set; ask the feature party for another copy."
    )
