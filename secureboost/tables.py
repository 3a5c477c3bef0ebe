"""Tables from files: CSV and Parquet into data frames indexed by row id, and their inner join."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from secureboost.data import check_columns, check_ids, table_name
from secureboost.errors import DataError, did_you_mean

# What a CSV may write for "no value"; ids are exempt: NA may be somebody's id.
MISSING_TEXTS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>")


def read_table(path: str | Path, id_column: str) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Ids are kept as text, leading zeros and all. A CSV is UTF-8, separated by commas, with a header;
    ``MISSING_TEXTS`` are missing values.

    Parameters
    ----------
    path : str or Path
        A file ending in ``.csv``, ``.parquet`` or ``.pq``.
    id_column : str
        Column with the row ids.

    Returns
    -------
    DataFrame
        Indexed by id, columns in the order of the file.

    Raises
    ------
    DataError
        If the file is absent, empty, damaged, or its ids or column names cannot be used.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path.name}: cannot tell the format from the ending {path.suffix!r}. "
            "Use .csv, .parquet or .pq."
        )
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name}: the file is empty.")
        frame = reader(path, id_column)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(frame) == 0:
        raise DataError(f"{path.name}: the file has a header but no rows.")
    check_ids(pd.Index(frame[id_column]), path.name)
    frame = frame.set_index(id_column)
    frame.index = frame.index.astype(str)
    return frame


def take_target(
    frame: pd.DataFrame, target: str, party: str = ""
) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    """Separate the label from the features.

    Returns
    -------
    features : DataFrame
    target : Series

    Raises
    ------
    DataError
        If the column is not there.
    """
    _check_column(target, [str(column) for column in frame.columns], "target", party)
    return frame.drop(columns=target), frame[target]


@dataclass(frozen=True)
class JoinCounts:
    """How many rows an inner join kept.

    Attributes
    ----------
    label_rows : int
        Rows of the label party's table.
    partner_rows : tuple of (str, int)
        Rows of each partner's table, in session order.
    common : int
        Rows that all of them have.
    """

    label_rows: int
    partner_rows: tuple[tuple[str, int], ...]
    common: int

    def __str__(self) -> str:
        partners = ", ".join(f"{name} {rows:,}" for name, rows in self.partner_rows)
        return f"rows: label party {self.label_rows:,}, {partners}; common {self.common:,}"


def join_tables(
    label_table: pd.DataFrame, partner_tables: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame], JoinCounts]:
    """Keep the rows that every table has, in the order of the label party's table.

    Parameters
    ----------
    label_table : DataFrame
        Indexed by id.
    partner_tables : mapping of str to DataFrame
        Indexed by id; the key is the party's name.

    Returns
    -------
    label_table : DataFrame
    partner_tables : dict of str to DataFrame
        The common rows of each, in one order.
    counts : JoinCounts

    Raises
    ------
    DataError
        If no row is common to all.
    """
    common = label_table.index
    for table in partner_tables.values():
        common = common[common.isin(table.index)]
    counts = JoinCounts(
        len(label_table),
        tuple((name, len(table)) for name, table in partner_tables.items()),
        len(common),
    )
    if len(common) == 0:
        raise DataError(
            f"no id is common to all tables ({counts}). Compare how each side writes its ids: "
            "leading zeros, spaces, upper and lower case."
        )
    joined = {name: table.loc[common] for name, table in partner_tables.items()}
    return label_table.loc[common], joined, counts


def _check_column(column: str, present: list[str], role: str, party: str) -> None:
    """Refuse a column that is not there, with the nearest name."""
    if column not in present:
        raise DataError(
            f"{table_name(party)}: there is no {role} column {column!r}."
            f"{did_you_mean(column, present)} The columns are: {', '.join(present)}."
        )


def _read_csv(path: Path, id_column: str) -> pd.DataFrame:
    header = _check_csv(path)
    check_columns(header, path.name)
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(f"{path.name}: the fields are not separated by commas. Save it as such.")
    _check_column(id_column, header, "id", path.name)
    missing = {column: list(MISSING_TEXTS) for column in header if column != id_column}
    try:
        return pd.read_csv(
            path,
            encoding="utf-8-sig",
            dtype={id_column: str},
            keep_default_na=False,
            na_values=missing,
            low_memory=False,  # one look at a whole column decides its type
        )
    except (ValueError, OverflowError):
        # pandas quotes cells in its messages, so neither text nor chain goes on.
        raise DataError(f"{path.name}: the file cannot be read as CSV. Save it again.") from None


def _check_csv(path: Path) -> list[str]:
    """Return the header after checking that every row has as many fields.

    pandas fills short rows with missing values, so a file that was cut off would pass unseen.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next((fields for fields in reader if fields), [])
            row = 0
            for fields in reader:
                if not fields:  # a blank line
                    continue
                row += 1
                if len(fields) != len(header):
                    raise DataError(
                        f"{path.name}: data row {row} (line {reader.line_num}) has {len(fields)} "
                        f"fields but the header has {len(header)}. The file is damaged or was cut "
                        "off: export it again."
                    )
    except UnicodeDecodeError:  # it holds the bytes, so the chain ends here
        raise DataError(f"{path.name}: the file is not UTF-8 text. Save it as UTF-8.") from None
    except csv.Error as error:
        raise DataError(
            f"{path.name}: line {reader.line_num} is not valid CSV ({error}). The file is damaged "
            "or was cut off: export it again."
        ) from error
    if not header:
        raise DataError(f"{path.name}: the file is empty.")
    return header


def _read_parquet(path: Path, id_column: str) -> pd.DataFrame:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading Parquet needs pyarrow. Install it: "
            "pip install 'secureboost[parquet]'"
        ) from error
    try:
        columns = list(parquet.read_schema(path).names)
        check_columns(columns, path.name)
        _check_column(id_column, columns, "id", path.name)
        frame = pd.read_parquet(path, engine="pyarrow")
    except ArrowException as error:
        raise DataError(
            f"{path.name}: the file is not readable Parquet; it is damaged or was cut off. "
            "Export it again."
        ) from error
    if id_column not in frame.columns:  # pandas wrote it as the frame's index
        frame = frame.reset_index()
    if pd.api.types.is_float_dtype(frame[id_column].dtype):
        raise DataError(
            f"{path.name}: the id column {id_column!r} holds floating-point numbers. Write ids as "
            "text or as integers."
        )
    return frame
