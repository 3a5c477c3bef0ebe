"""Tags of a side's own keys, kept in a file that grows: nothing is signed twice.

The feature party keeps those it made ahead, the label party those it had signed. The file begins
with the signing key that the tags belong to and a salt; then come chunks, each with a digest::

    magic         8   "SBTAGS1" and a line feed
    fingerprint  32   of the signing key
    salt         32   random
    digest       32   SHA-256 of all before
    chunk ...         n (8, little-endian), n names (32 each), n tags (32 each), SHA-256 of these

A name stands for a key: HMAC-SHA256 under salt and a secret of the owner's. The feature party
derives that secret from its signing key, so that its file tells nothing without that key; the label
party has none, so who can read its file can test guesses of ids. Only the owner can read either. A
chunk that a crash left unfinished at the end is dropped; damage anywhere else is refused. Several
sessions and processes may add to one file: each does so under its lock, behind what the others have
added.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from secureboost.align.elements import Elements, find, sorting
from secureboost.errors import AlignmentError
from secureboost.files import flush_folder, make_folder

MAGIC = b"SBTAGS1\n"
WIDTH = 32
"""Bytes of a name and of a tag."""
_COUNT_BYTES = 8
_HEADER_BYTES = len(MAGIC) + 3 * WIDTH

log = logging.getLogger(__name__)


class TagFile:
    """Tags by key.

    Parameters
    ----------
    path : Path or None
        Made, with mode 0600, when the first tags are added. None: they are kept in memory.
    fingerprint : str
        Of the signing key, in hexadecimal.
    secret : bytes
        Of the owner; empty if there is none.

    Raises
    ------
    secureboost.errors.AlignmentError
        If the file is damaged or belongs to another signing key.
    OSError
    """

    def __init__(self, path: Path | None, fingerprint: str, secret: bytes = b"") -> None:
        self._path = path
        self._fingerprint = bytes.fromhex(fingerprint)
        self._secret = secret
        self._salt = secrets.token_bytes(WIDTH)
        self._names: Elements = np.empty((0, WIDTH), dtype=np.uint8)
        """Ascending."""
        self._tags: Elements = np.empty((0, WIDTH), dtype=np.uint8)
        self._added: list[tuple[Elements, Elements]] = []
        """Names and tags that are not among those in order yet."""
        self._end = 0
        """Bytes of the file that were read or written, and are whole."""
        if path is not None and path.exists():
            data = path.read_bytes()
            self._read(data)
            if self._end < len(data):
                rest = len(data) - self._end
                log.warning("%s: the last %d bytes were not finished and are dropped", path, rest)

    def find(self, encoded: Sequence[bytes]) -> tuple[Elements, NDArray[np.bool_]]:
        """Look keys up.

        Parameters
        ----------
        encoded : sequence of bytes

        Returns
        -------
        tags : array of shape (len(encoded), 32), uint8
            Zeros where there is none.
        known : array of shape (len(encoded),), bool
            Where there is one.
        """
        self._merge()
        places = find(self._names, self._name(encoded))
        known = places >= 0
        tags = np.zeros((len(encoded), WIDTH), dtype=np.uint8)
        tags[known] = self._tags[places[known]]
        return tags, known

    def add(self, encoded: Sequence[bytes], tags: Elements) -> None:
        """Keep tags of keys that have none yet; once this returns they outlive a crash.

        Parameters
        ----------
        encoded : sequence of bytes
            Different keys.
        tags : array of shape (len(encoded), 32), uint8

        Raises
        ------
        OSError
        """
        if self._path is None:
            self._added.append((self._name(encoded), tags))
            return
        with _locked(self._path) as file:
            file.seek(self._end)
            self._read(file.read())
            if not self._end:
                self._write(file, self._header())
            names = self._name(encoded)
            self._write(file, _chunk(names, tags))
        self._added.append((names, tags))

    def _name(self, encoded: Sequence[bytes]) -> Elements:
        key, digest = hmac.digest(self._salt, self._secret, "sha256"), hmac.digest
        names = b"".join([digest(key, item, "sha256") for item in encoded])
        return np.frombuffer(names, dtype=np.uint8).reshape(-1, WIDTH)

    def _merge(self) -> None:
        if not self._added:
            return
        names = np.concatenate([self._names, *(names for names, _ in self._added)])
        tags = np.concatenate([self._tags, *(tags for _, tags in self._added)])
        order = sorting(names)
        self._names, self._tags, self._added = names[order], tags[order], []

    def _header(self) -> bytes:
        header = MAGIC + self._fingerprint + self._salt
        return header + hashlib.sha256(header).digest()

    def _write(self, file: BinaryIO, data: bytes) -> None:
        """Write behind what is whole; what stood there was not finished."""
        file.truncate(self._end)
        file.seek(self._end)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        self._end += len(data)

    def _read(self, data: bytes) -> None:
        """Take up what stands in the file from `_end` on."""
        at = 0
        if not self._end:
            if len(data) < _HEADER_BYTES and MAGIC.startswith(data[: len(MAGIC)]):
                return  # not even the header was finished
            self._read_header(data[:_HEADER_BYTES])
            at = self._end = _HEADER_BYTES
        while (rows := self._chunk_at(data, at)) is not None:
            self._added.append((rows[0], rows[1]))
            size = _COUNT_BYTES + rows.size + WIDTH
            at, self._end = at + size, self._end + size

    def _read_header(self, data: bytes) -> None:
        header, digest = data[:-WIDTH], data[-WIDTH:]
        if header[: len(MAGIC)] != MAGIC or hashlib.sha256(header).digest() != digest:
            raise self._damaged()
        fingerprint, self._salt = header[len(MAGIC) : -WIDTH], header[-WIDTH:]
        if fingerprint != self._fingerprint:
            raise AlignmentError(
                f"{self._path} holds tags under the signing key {fingerprint.hex()[:16]}, but keys "
                f"are now signed with {self._fingerprint.hex()[:16]}. Ask the signer whether it "
                "has changed its key; then delete the file, and all keys are signed anew."
            )

    def _chunk_at(self, data: bytes, start: int) -> Elements | None:
        """Read a chunk, shape (2, n, 32); None if there is none, or the last is not finished."""
        n = int.from_bytes(data[start : start + _COUNT_BYTES], "little")
        end = start + _COUNT_BYTES + 2 * WIDTH * n
        if end + WIDTH > len(data):
            return None
        if hashlib.sha256(data[start:end]).digest() != data[end : end + WIDTH]:
            if end + WIDTH < len(data):
                raise self._damaged()
            return None
        rows = np.frombuffer(data, np.uint8, 2 * WIDTH * n, start + _COUNT_BYTES)
        return rows.reshape(2, n, WIDTH)

    def _damaged(self) -> AlignmentError:
        return AlignmentError(
            f"{self._path} is damaged, or holds no tags. Restore it from a backup, or delete it; "
            "all keys are signed anew then."
        )


def _chunk(names: Elements, tags: Elements) -> bytes:
    chunk = len(names).to_bytes(_COUNT_BYTES, "little") + names.tobytes() + tags.tobytes()
    return chunk + hashlib.sha256(chunk).digest()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file, made where it is absent, that no other session or process adds to meanwhile."""
    make_folder(path.parent)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        flush_folder(path.parent)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
