"""An agreed order of rows, as one side sees it: the outcome of `secureboost.align`.

Both sides hold an `Alignment` of the same id. Agreed row k is the same customer on both: each side
knows which row of its own table that is, and neither knows the other's rows. Training and scoring
name the alignment (`parties.messages.UseAlignment`) and count in its rows. The module knows no
protocol: what finds common customers, trains and scores all import it.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.errors import AlignmentError
from secureboost.files import make_folder, write_atomically

ABSENT = -1
"""In `Alignment.rows`: this side has no row there."""

MAGIC = b"SBALIGN1"
SUFFIX = ".alignment"
_DIGEST_BYTES = 32
_KEYS_AT_A_TIME = 1 << 16
"""Part of what `keys_digest` is: with another number every digest would be another."""


@dataclass(frozen=True, repr=False, eq=False)
class Alignment:
    """One side's view of an agreed order of rows.

    Attributes
    ----------
    id : bytes
        32: a hash of everything that was said to agree on it, equal on both sides.
    rows : array of shape (n_agreed,), int32
        For each agreed row its position in this side's table; `ABSENT` where it has none: at the
        label party a padding row, at a feature party a row of which all columns are missing.
    table_digest : bytes
        32, `keys_digest` of this side's table: one that has changed since is noticed.
    party, peer : str
        Whose view this is, and who the other side is.
    details : dict of str to (str or int)
        How it came about, for people: method, group, rules, sizes, time.
    secret : bytes
        32 random bytes that this side never tells. What must look random to the other side, and be
        the same when a run goes on, is drawn from them: the places of padding rows.
    """

    id: bytes
    rows: NDArray[np.int32]
    table_digest: bytes
    party: str
    peer: str
    details: dict[str, str | int]
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(_DIGEST_BYTES))

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise AlignmentError(f"The alignment of {self.party!r} cannot be: {problem}.")

    def __repr__(self) -> str:
        between = f"{self.party!r} with {self.peer!r}"
        return f"Alignment({self.id.hex()[:8]}, {between}, {len(self.rows)} rows)"

    def __len__(self) -> int:
        return len(self.rows)

    def check_table(self, table_digest: bytes) -> None:
        """Refuse another table than the one that was aligned.

        Parameters
        ----------
        table_digest : bytes
            `keys_digest` of the table as it is now.

        Raises
        ------
        secureboost.errors.AlignmentError
        """
        if table_digest != self.table_digest:
            raise AlignmentError(
                f"The table of {self.party!r} is not the one that alignment {self.id.hex()[:8]} "
                f"with {self.peer!r} was made with: rows or key columns have changed. Align again, "
                "or take that table."
            )


def keys_digest(encoded: Sequence[bytes], number: NDArray[np.int32]) -> bytes:
    """Name the key columns of a table, in their order: SHA-256.

    It stays with the table's owner: whoever knows all keys but one could test guesses for that one.

    Parameters
    ----------
    encoded : sequence of bytes
        The different keys.
    number : array of shape (n_rows,), int32
        For each row the position of its key in `encoded`; -1 for a row left out.

    Returns
    -------
    bytes, 32 long
    """
    digest = hashlib.sha256(b"secureboost keys 1")
    digest.update(len(encoded).to_bytes(8, "little") + len(number).to_bytes(8, "little"))
    for first in range(0, len(encoded), _KEYS_AT_A_TIME):
        some = encoded[first : first + _KEYS_AT_A_TIME]
        digest.update(np.fromiter(map(len, some), "<u8", len(some)).tobytes())
        digest.update(b"".join(some))
    digest.update(np.ascontiguousarray(number, "<i4").data)
    return digest.digest()


def write_alignment(path: Path, alignment: Alignment) -> None:
    """Write the file: whole, flushed to the disk, readable by its owner alone.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there is then as it was.
    """
    write_atomically(path, encode_alignment(alignment), mode=0o600)


def encode_alignment(alignment: Alignment) -> bytes:
    """Return what its file holds."""
    body = MAGIC + msgspec.msgpack.encode(
        _Kept(
            id=alignment.id,
            rows=np.ascontiguousarray(alignment.rows, "<i4").tobytes(),
            table_digest=alignment.table_digest,
            party=alignment.party,
            peer=alignment.peer,
            details=alignment.details,
            secret=alignment.secret,
        )
    )
    return body + hashlib.sha256(body).digest()


def read_alignment(path: Path) -> Alignment:
    """Read a file that `write_alignment` has made.

    Raises
    ------
    secureboost.errors.AlignmentError
        If it is no such file, of another version, or damaged.
    OSError
        If it cannot be read.
    """
    return decode_alignment(path.read_bytes(), str(path))


def decode_alignment(data: bytes, where: str) -> Alignment:
    """Read what `encode_alignment` has made.

    Parameters
    ----------
    data : bytes
    where : str
        What errors call it.

    Raises
    ------
    secureboost.errors.AlignmentError
        If it is no alignment, of another version, or damaged.
    """
    if not data.startswith(MAGIC[:-1]):
        raise AlignmentError(f"{where} is no alignment file; `secureboost align` makes them.")
    if not data.startswith(MAGIC):
        raise AlignmentError(
            f"{where} is an alignment file of another version; make it again with this one, by "
            "`secureboost align`."
        )
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise AlignmentError(f"{where} is damaged: its digest does not match. Align again.")
    try:
        kept = msgspec.msgpack.decode(memoryview(body)[len(MAGIC) :], type=_Kept)
        return Alignment(
            id=kept.id,
            rows=np.frombuffer(kept.rows, "<i4").astype(np.int32),
            table_digest=kept.table_digest,
            party=kept.party,
            peer=kept.peer,
            details=kept.details,
            secret=kept.secret,
        )
    except (msgspec.DecodeError, ValueError, AlignmentError) as error:
        raise AlignmentError(f"{where} is no alignment file: {error}") from error


class AlignmentStore(Protocol):
    """Keeps alignments by id."""

    def save(self, alignment: Alignment) -> None:
        """Keep an alignment; it replaces one of the same id."""

    def load(self, alignment_id: bytes) -> Alignment | None:
        """Return the alignment of that id, or None where there is none."""


class MemoryAlignments:
    """Alignments of this process.

    Attributes
    ----------
    alignments : dict of bytes to Alignment
    """

    def __init__(self) -> None:
        self.alignments: dict[bytes, Alignment] = {}

    def save(self, alignment: Alignment) -> None:
        """Keep an alignment; it replaces one of the same id."""
        self.alignments[alignment.id] = alignment

    def load(self, alignment_id: bytes) -> Alignment | None:
        """Return the alignment of that id, or None where there is none."""
        return self.alignments.get(alignment_id)


class FolderAlignments:
    """Alignments as ``<id>.alignment`` in a folder that only its owner can read.

    Parameters
    ----------
    folder : Path
        Made with mode 0700 where it is absent.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder, mode=0o700)
        self.folder = folder

    def path(self, alignment_id: bytes) -> Path:
        """File of an alignment.

        Raises
        ------
        ValueError
            If the id is not 32 bytes long.
        """
        if len(alignment_id) != _DIGEST_BYTES:
            raise ValueError(f"an alignment's id has 32 bytes, this one {len(alignment_id)}")
        return self.folder / f"{alignment_id.hex()}{SUFFIX}"

    def save(self, alignment: Alignment) -> None:
        """Keep an alignment; it replaces one of the same id.

        Raises
        ------
        OSError
        """
        write_alignment(self.path(alignment.id), alignment)

    def load(self, alignment_id: bytes) -> Alignment | None:
        """Return the alignment of that id, or None where there is none.

        Raises
        ------
        secureboost.errors.AlignmentError
            If the file is there and damaged.
        """
        path = self.path(alignment_id)
        return read_alignment(path) if path.exists() else None


class _Kept(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.alignment"):
    """The file between its magic and its digest."""

    id: bytes
    rows: bytes
    table_digest: bytes
    party: str
    peer: str
    details: dict[str, str | int]
    secret: bytes


def _problem(alignment: Alignment) -> str:
    for name in ("id", "table_digest", "secret"):
        n_bytes = len(getattr(alignment, name))
        if n_bytes != _DIGEST_BYTES:
            return f"its {name} has {n_bytes} bytes, not {_DIGEST_BYTES}"
    rows = alignment.rows
    if rows.dtype != np.int32 or rows.ndim != 1:
        return f"its rows are {rows.dtype.name}{list(rows.shape)}, not a list of int32"
    if len(rows) and rows.min() < ABSENT:
        return f"agreed row {int(rows.argmin())} stands for a row below {ABSENT}"
    return ""
