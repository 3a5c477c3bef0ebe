"""Sides of splits in a file: how rows are scored offline, without anybody's consent.

A feature party computes on which side of each of its splits rows lie and sends the file; the label
party joins it with its own columns. The file says what an answer on the wire says
(`protocol.Routes`): for each row one bit for every split, by number. Thresholds, column names and
values stay where they are. The ids of the rows stand in it as both sides know them, since they are
what it is joined by.

The file begins with a line of text; after it come 32 bytes of SHA-256 and a message in MessagePack.
"""

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import pandas as pd
from msgspec import Meta
from numpy.typing import NDArray

from secureboost.data import check_ids
from secureboost.errors import DataError, ModelError, did_you_mean
from secureboost.export.whole import same_codes
from secureboost.features import feature_matrix
from secureboost.files import write_atomically
from secureboost.gbdt.feature_routes import sides_of_rows
from secureboost.gbdt.model import LabelHalf, PartyHalf, half_digest

VERSION = 1
_HEAD = b"SecureBoost sides of splits, version 1\n"
_DIGEST_BYTES = 32
_MAX_ROWS = 2**31 - 1

Text = Annotated[str, Meta(min_length=1, max_length=64)]
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$", max_length=32)]
Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Count = Annotated[int, Meta(ge=0, lt=2**31)]


class Sides(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.sides"):
    """On which side of each split of one half rows lie.

    Attributes
    ----------
    party, model_id : str
    half_digest : str
        `model.half_digest` of the half, in hexadecimal.
    n_splits : int
    ids : tuple of str
        Of the rows, in order.
    bits : bytes
        ``n_splits`` lines of ``ceil(n_rows / 8)`` bytes: bit i of a line, lowest first, says that
        row i goes left.
    """

    party: Text
    model_id: Hex32
    half_digest: Hex64
    n_splits: Count
    ids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=_MAX_ROWS)]
    bits: bytes

    @property
    def goes_left(self) -> NDArray[np.uint8]:
        """The bits as an array of shape (n_splits, ceil(n_rows / 8)), uint8."""
        return np.frombuffer(self.bits, np.uint8).reshape(self.n_splits, -(-len(self.ids) // 8))

    def of_rows(self, rows: NDArray[np.int32]) -> NDArray[np.uint8]:
        """The same of some rows, by position: an array of shape (n_splits, ceil(n / 8)), uint8."""
        chosen = np.empty((self.n_splits, -(-len(rows) // 8)), np.uint8)
        for line, answer in zip(self.goes_left, chosen, strict=True):
            answer[:] = np.packbits((line[rows >> 3] >> (rows & 7)) & 1, bitorder="little")
        return chosen


def compute_sides(half: PartyHalf, table: pd.DataFrame, name: str) -> Sides:
    """Send the rows of a table past every split of a half.

    Parameters
    ----------
    half : PartyHalf
    table : DataFrame
        Indexed by row id; it has the half's columns, and may have others.
    name : str
        File to name in messages.

    Raises
    ------
    secureboost.errors.DataError
        If ids are missing or repeated, or a column is missing or cannot be used.
    """
    check_ids(table.index, name)
    present = list(map(str, table.columns))
    missing = [column for column in half.feature_names if column not in present]
    if missing:
        raise DataError(
            f"{name}: the model needs columns that are not there: "
            f"{', '.join(map(repr, missing))}.{did_you_mean(missing[0], present)}"
        )
    positions = [present.index(column) for column in half.feature_names]
    matrix = feature_matrix(table.iloc[:, positions], name, known=half.categories)
    rows = np.arange(len(table), dtype=np.int32)
    bits = sides_of_rows(half.splits, matrix.values.T, rows, same_codes(half))
    return Sides(
        party=half.party,
        model_id=half.model_id,
        half_digest=half_digest(half).hex(),
        n_splits=len(half.splits),
        ids=tuple(str(row_id) for row_id in table.index),
        bits=bits.tobytes(),
    )


def write_sides(sides: Sides, path: Path) -> None:
    """Write the file, readable by its owner alone.

    Raises
    ------
    OSError
    """
    message = msgspec.msgpack.encode(sides)
    write_atomically(path, _HEAD + hashlib.sha256(message).digest() + message, mode=0o600)


def read_sides(path: Path) -> Sides:
    """Read a file that came from another party, and check that it is whole and consistent.

    Raises
    ------
    secureboost.errors.ModelError
        If it is absent, no such file, damaged, or its parts contradict each other.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    if not data.startswith(_HEAD):
        raise ModelError(f"{path} holds no sides; `secureboost sides` of this version writes them.")
    body = memoryview(data)[len(_HEAD) :]
    if hashlib.sha256(body[_DIGEST_BYTES:]).digest() != body[:_DIGEST_BYTES]:
        raise ModelError(f"{path} is damaged or was cut off. Ask for it again.")
    try:
        sides = msgspec.msgpack.decode(body[_DIGEST_BYTES:], type=Sides)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} holds no sides: {error}.") from error
    expected = sides.n_splits * -(-len(sides.ids) // 8)
    if len(sides.bits) != expected:
        raise ModelError(
            f"{path}: {sides.n_splits} splits of {len(sides.ids)} rows take {expected} bytes, and "
            f"there are {len(sides.bits)}."
        )
    if len(set(sides.ids)) < len(sides.ids):
        raise ModelError(f"{path}: an id stands there twice.")
    return sides


def check_sides(sides: Sides, label: LabelHalf, where: str) -> None:
    """Check that sides are those of a partner's half of this model.

    Parameters
    ----------
    sides : Sides
    label : LabelHalf
    where : str
        File to name in messages.

    Raises
    ------
    secureboost.errors.ModelError
    """
    partner = next((p for p in label.partners if p.name == sides.party), None)
    if partner is None or sides.model_id != label.model_id:
        raise ModelError(
            f"{where}: sides of party {sides.party!r} for model {sides.model_id}; the label "
            f"party's half is of model {label.model_id} with "
            f"{', '.join(repr(p.name) for p in label.partners) or 'no partner'}."
        )
    if sides.n_splits != partner.n_splits or sides.half_digest != partner.digest:
        raise ModelError(
            f"{where}: party {sides.party!r} made these sides with another half than the one that "
            "the label party's half goes with. It must use the half of this training run."
        )
