"""Key columns from files: only those columns are held, and some rows at a time."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd

from secureboost.align.duplicates import Duplicates
from secureboost.align.keys import BATCH_ROWS, Choices, Keys, LeftOut, keys_of_batches
from secureboost.align.rules import KeyRules
from secureboost.csv_rows import csv_rows
from secureboost.errors import ConfigError, DataError
from secureboost.tables import naming_file, no_rows, parquet_file, read_header, table_format


def read_keys(
    path: str | Path,
    columns: Sequence[str],
    rules: KeyRules,
    *,
    duplicates: Duplicates = "error",
    blanks: LeftOut = "drop",
    unreadable: LeftOut = "error",
    table: str = "",
) -> Keys:
    """Make the keys of a table in a file, without loading its other columns.

    Parameters
    ----------
    path : str or Path
        A file ending in ``.csv``, ``.parquet`` or ``.pq``.
    columns : sequence of str
        The key columns, one for each rule and in their order.
    rules : KeyRules
    duplicates, blanks, unreadable
        See `keys.make_keys`.
    table : str
        Stands before the names of these three in messages, such as ``"align."``.

    Raises
    ------
    ConfigError, DataError
        See `keys.make_keys` and `iter_key_batches`.
    """
    path = Path(path)
    choices = Choices(duplicates, blanks, unreadable, table)
    batches = ([batch[column] for column in columns] for batch in iter_key_batches(path, columns))
    return keys_of_batches(batches, rules, choices, path.name)


def iter_key_batches(
    path: str | Path, columns: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[pd.DataFrame]:
    """Read some columns of a table, some rows at a time.

    A CSV is UTF-8, separated by commas, with a header. All its cells are text: ``NA`` may be
    somebody's id, and leading zeros stay. Parquet keeps its types; integers stay integers where
    some are missing.

    Parameters
    ----------
    path : str or Path
        A file ending in ``.csv``, ``.parquet`` or ``.pq``.
    columns : sequence of str
        Key columns, and a column of times if one is needed.
    batch_rows : int
        Rows of a batch; the last one has fewer.

    Returns
    -------
    iterator of DataFrame
        The columns in the order asked for; the index is the position in the table.

    Raises
    ------
    ConfigError
        If no column is asked for, or one twice.
    DataError
        If the file is absent, empty, damaged or cut off, or lacks a column. What is wrong with a
        row shows when its batch is read.
    """
    path = Path(path)
    columns = list(columns)
    if not columns or len(set(columns)) < len(columns):
        raise ConfigError(f"name one key column or more, each once: {columns}", "id")
    reader = _csv_batches if table_format(path) == "csv" else _parquet_batches
    return _numbered(path, reader(path, columns, batch_rows))


def _numbered(path: Path, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Let the index say the position in the table; refuse a table without rows."""
    n_rows = 0
    with naming_file(path):
        for batch in batches:
            batch.index = pd.RangeIndex(n_rows, n_rows + len(batch))
            n_rows += len(batch)
            yield batch
    if not n_rows:
        raise no_rows(path)


def _csv_batches(path: Path, columns: list[str], batch_rows: int) -> Iterator[pd.DataFrame]:
    header = read_header(path, columns, "key")
    positions = [header.index(column) for column in columns]
    rows = csv_rows(path, max(positions) + 1)
    while fields := list(islice(rows, batch_rows)):
        picked = {
            column: pd.Series([row[position] for row in fields], dtype=object)
            for column, position in zip(columns, positions, strict=True)
        }
        yield pd.DataFrame(picked)


def _parquet_batches(path: Path, columns: list[str], batch_rows: int) -> Iterator[pd.DataFrame]:
    with parquet_file(path, columns, "key") as file:
        for batch in file.iter_batches(batch_size=batch_rows, columns=columns):
            try:
                batch.validate(full=True)
            except ValueError as error:  # it names a position, not the text
                raise DataError(
                    f"{path.name}: a key column holds text that is not UTF-8, or is damaged. "
                    "Export it again."
                ) from error
            frame = batch.to_pandas(integer_object_nulls=True, ignore_metadata=True)
            if len(frame):
                yield frame[columns]
    from pyarrow import default_memory_pool

    default_memory_pool().release_unused()  # it would keep what the batches took, for good
