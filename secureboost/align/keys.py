"""From id columns to keys: what both sides compare, and which rows of a table have which key.

A key is the normal form of a row's key columns (`secureboost.align.rules`) as bytes. Each column
has its length before it, so different columns never give the same bytes::

    ("ann", "1980-02-03")  ->  00 00 00 03 'ann' 00 00 00 0a '1980-02-03'

Keys hold ids in the clear. They do not leave the process. Messages name columns and positions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from struct import Struct
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.align.cells import CellReader, Gap
from secureboost.align.duplicates import Duplicates, settle_duplicates
from secureboost.align.rules import KeyRules
from secureboost.alignment import keys_digest
from secureboost.data import table_name
from secureboost.errors import ConfigError, DataError

LeftOut: TypeAlias = Literal["error", "drop"]
"""What happens to rows without a usable key: refused, or left out and counted."""

Batch: TypeAlias = "Sequence[pd.Series[Any]]"
"""The key columns of some rows, one for each rule and in their order."""

BATCH_ROWS = 65_536
MAX_ROWS = 2**31 - 1  # positions are int32

_length_of = Struct(">I").pack


@dataclass(frozen=True)
class KeyCounts:
    """What became of a table's rows.

    Attributes
    ----------
    rows, keys : int
        Rows of the table; different keys.
    blank, unreadable : int
        Rows left out because a key column is blank, or because its rule cannot read it; a row may
        count in both.
    repeated : int
        Rows with a key that a row before them has.
    notes : tuple of str
        The same with columns and positions, for the owner of the table.
    """

    rows: int
    keys: int
    blank: int
    unreadable: int
    repeated: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join([f"rows {self.rows:,}, different ids {self.keys:,}", *self.notes])


@dataclass(frozen=True, repr=False)
class Keys:
    """The keys of a table.

    Attributes
    ----------
    encoded : list of bytes
        The different keys, in the order in which rows first have them.
    number : array of shape (n_rows,), int32
        For each row the position of its key in `encoded`; -1: the row is left out.
    rules : tuple of str
        What both sides must have alike: `KeyRules.agreed`.
    counts : KeyCounts
    """

    encoded: list[bytes]
    number: NDArray[np.int32]
    rules: tuple[str, ...]
    counts: KeyCounts

    def digest(self) -> bytes:
        """Name the keys in the order of the table's rows: `secureboost.alignment.keys_digest`."""
        return keys_digest(self.encoded, self.number)


@dataclass(frozen=True)
class Choices:
    """What happens to rows that have no key of their own; see `make_keys`.

    `table` stands before the names of these choices in messages.
    """

    duplicates: Duplicates = "error"
    blanks: LeftOut = "drop"
    unreadable: LeftOut = "error"
    table: str = ""

    def __post_init__(self) -> None:
        for name, choices in (
            ("duplicates", get_args(Duplicates)),
            ("blanks", get_args(LeftOut)),
            ("unreadable", get_args(LeftOut)),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"is {value!r}; use one of: {', '.join(choices)}", name)


def make_keys(
    columns: "Sequence[pd.Series[Any]] | pd.DataFrame",
    rules: KeyRules,
    *,
    duplicates: Duplicates = "error",
    blanks: LeftOut = "drop",
    unreadable: LeftOut = "error",
    party: str = "",
) -> Keys:
    """Make the keys of a table in memory.

    Parameters
    ----------
    columns : sequence of Series, or DataFrame
        The key columns, one for each rule and in their order.
    rules : KeyRules
    duplicates : {"error", "first", "last", "all"}
        What happens to rows with the same key: refused; the first or the last one taken; all.
    blanks : {"drop", "error"}
        What happens to rows of which a key column is missing or blank: left out and counted;
        refused.
    unreadable : {"error", "drop"}
        What happens to rows of which a rule cannot read a key column.
    party : str
        File or party to name in messages.

    Raises
    ------
    ConfigError
        If a choice is unknown, or there is not one rule for each column.
    DataError
        If a column mixes text and others, or is of a type that its rule does not read; if rows are
        blank, unreadable or repeated where that is refused; or if no row has a key.
    """
    if isinstance(columns, pd.DataFrame):
        columns = [columns.iloc[:, number] for number in range(columns.shape[1])]
    columns = list(columns)
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"{table_name(party)}: the key columns differ in length.")
    choices = Choices(duplicates, blanks, unreadable)
    return keys_of_batches(_batches(columns), rules, choices, party)


def keys_of_batches(
    batches: Iterable[Batch], rules: KeyRules, choices: Choices, party: str = ""
) -> Keys:
    """Make the keys of a table that comes in pieces; see `make_keys`."""
    name = table_name(party)
    readers = [CellReader(rule, number, name) for number, rule in enumerate(rules.rules, start=1)]
    found: dict[bytes, int] = {}
    numbers: list[NDArray[np.int32]] = []
    writings: list[NDArray[np.int64]] = []
    n_rows = 0
    for batch in batches:
        if len(batch) != len(readers):
            raise ConfigError(
                f"rules {len(readers)}, key columns {len(batch)}; give one rule for each", "rules"
            )
        cells = [reader.read(column, n_rows) for reader, column in zip(readers, batch, strict=True)]
        usable = np.logical_and.reduce([each.usable for each in cells])
        numbers.append(_numbers(_encoded([each.texts for each in cells]), usable, found))
        writings.append(_writing([each.raw for each in cells]))
        n_rows += len(usable)
        if n_rows > MAX_ROWS:
            raise DataError(f"{name}: more than {MAX_ROWS:,} rows. Split the table.")
    if not n_rows:
        raise DataError(f"{name}: the table has no rows.")
    blank, blank_notes = _gaps(readers, "blanks", choices, name)
    unread, unread_notes = _gaps(readers, "unreadable", choices, name)
    if not found:
        problems = "; ".join(blank_notes + unread_notes)
        raise DataError(f"{name}: no row has a key; {problems}. Check the key columns.")
    settled = settle_duplicates(
        np.concatenate(numbers),
        np.concatenate(writings),
        len(found),
        choices.duplicates,
        name,
        f"{choices.table}duplicates",
    )
    notes = blank_notes + unread_notes + settled.notes
    counts = KeyCounts(n_rows, len(found), blank, unread, settled.n_repeated, notes)
    return Keys(list(found), settled.number, rules.agreed, counts)


def _batches(columns: "list[pd.Series[Any]]") -> Iterator[Batch]:
    n_rows = len(columns[0]) if columns else 0
    for start in range(0, max(n_rows, 1), BATCH_ROWS):  # one piece at least, to check the columns
        yield [column.iloc[start : start + BATCH_ROWS] for column in columns]


def _encoded(columns: list[list[str]]) -> list[bytes]:
    """Write the columns of each row into one key."""
    parts = [
        [_length_of(len(text)) + text for text in map(str.encode, column)] for column in columns
    ]
    return parts[0] if len(parts) == 1 else list(map(b"".join, zip(*parts, strict=True)))


def _numbers(
    keys: list[bytes], usable: NDArray[np.bool_], found: dict[bytes, int]
) -> NDArray[np.int32]:
    """Number the keys of usable rows in the order in which they are first seen."""
    if not usable.all():
        keys = list(compress(keys, usable.tolist()))
    number = np.full(len(usable), -1, np.int32)
    number[usable] = [found.setdefault(key, len(found)) for key in keys]
    return number


def _writing(columns: list[list[Any]]) -> NDArray[np.int64]:
    """Tell rows that are written differently apart: hashes that mean nothing elsewhere."""
    rows: Iterable[Any] = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
    return np.fromiter(map(hash, rows), np.int64, len(columns[0]))


def _gaps(
    readers: list[CellReader], why: Gap, choices: Choices, name: str
) -> tuple[int, tuple[str, ...]]:
    """Count the rows without a usable key and say where they are, or refuse them."""
    rows = [reader.gaps(why) for reader in readers]
    found = [reader.describe(why) for reader, gaps in zip(readers, rows, strict=True) if len(gaps)]
    if found and getattr(choices, why) == "error":
        raise DataError(
            f"{name}: {'; '.join(found)}. Correct the table, or leave such rows out with "
            f"{choices.table}{why}='drop'."
        )
    return len(np.unique(np.concatenate(rows))), tuple(f"left out: {note}" for note in found)
