"""Tables from files: CSV and Parquet into data frames indexed by row id, and their inner join."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from secureboost.csv_rows import MISSING_TEXTS, csv_header, csv_rows
from secureboost.data import check_columns, check_ids, check_present, table_name
from secureboost.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile


def read_table(
    path: str | Path, id_column: str | Sequence[str], *, unique_ids: bool = True
) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Ids are kept as text, leading zeros and all. A CSV is UTF-8, separated by commas, with a header;
    `csv_rows.MISSING_TEXTS` are missing values.

    Parameters
    ----------
    path : str or Path
        A file ending in ``.csv``, ``.parquet`` or ``.pq``.
    id_column : str or sequence of str
        Column with the row ids. Several columns are one id together, see `joined_ids`.
    unique_ids : bool
        Every row must have an id of its own; otherwise that is for the caller to settle.

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
    id_columns = [id_column] if isinstance(id_column, str) else list(id_column)
    reader = _read_csv if table_format(path) == "csv" else _read_parquet
    with naming_file(path):
        frame = reader(path, id_columns)
    if len(frame) == 0:
        raise no_rows(path)
    if unique_ids:
        for column in id_columns:
            _check_no_fractions(frame, column, path)
            check_present(pd.Index(frame[column]), path.name)
    ids = joined_ids(frame[id_columns])
    if unique_ids:
        check_ids(ids, path.name)
    return frame.drop(columns=id_columns).set_axis(ids)


def joined_ids(columns: pd.DataFrame) -> pd.Index:
    """Write the id of each row as text.

    Of one column it is the cell. Several cells are written like a line of CSV, so that different
    cells never give the same id: ``Miller,1980-02-03``.

    Parameters
    ----------
    columns : DataFrame
        The id columns.
    """
    texts = [columns.iloc[:, number].astype(str) for number in range(columns.shape[1])]
    if len(texts) == 1:
        return pd.Index(texts[0])
    cells = [
        text.where(~text.str.contains('[,"]'), '"' + text.str.replace('"', '""') + '"')
        for text in texts
    ]
    joined = [",".join(row) for row in zip(*cells, strict=True)]
    return pd.Index(joined, name=",".join(map(str, columns.columns)))


def take_target(
    frame: pd.DataFrame, target: str | Sequence[str], party: str = ""
) -> tuple[pd.DataFrame, Any]:
    """Separate the label from the features.

    Parameters
    ----------
    frame : DataFrame
    target : str or sequence of str
        Its column, or the columns of several labels.
    party : str
        For messages.

    Returns
    -------
    features : DataFrame
    target : Series, or a DataFrame of several labels

    Raises
    ------
    DataError
        If a column is not there.
    """
    names = [target] if isinstance(target, str) else list(target)
    for name in names:
        check_column(name, [str(column) for column in frame.columns], "target", party)
    return frame.drop(columns=names), frame[target if isinstance(target, str) else names]


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

    def as_json(self) -> dict[str, int]:
        """The numbers by name."""
        return {"label party": self.label_rows, **dict(self.partner_rows), "common": self.common}


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


def table_format(path: Path) -> Literal["csv", "parquet"]:
    """Tell the format of a table that is there.

    Raises
    ------
    DataError
        If the ending is another one, there is no such file, or it is empty.
    """
    formats: dict[str, Literal["csv", "parquet"]] = {
        ".csv": "csv",
        ".parquet": "parquet",
        ".pq": "parquet",
    }
    found = formats.get(path.suffix.lower())
    if found is None:
        raise DataError(
            f"{path.name}: cannot tell the format from the ending {path.suffix!r}. "
            "Use .csv, .parquet or .pq."
        )
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    with naming_file(path):
        if path.stat().st_size == 0:
            raise DataError(f"{path.name}: the file is empty.")
    return found


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a file into a `DataError` that names it."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def no_rows(path: Path) -> DataError:
    """The error for a table without rows."""
    return DataError(f"{path.name}: the file has a header but no rows.")


def check_column(column: str, present: list[str], role: str, party: str) -> None:
    """Refuse a column that is not there, with the nearest name."""
    if column not in present:
        raise DataError(
            f"{table_name(party)}: there is no {role} column {column!r}."
            f"{did_you_mean(column, present)} The columns are: {', '.join(present)}."
        )


def read_header(path: Path, wanted: Sequence[str], role: str) -> list[str]:
    """Read the names of a CSV's columns.

    Raises
    ------
    DataError
        If they cannot be used, or `wanted` is not among them; see `csv_rows.csv_header`.
    """
    header = csv_header(path)
    check_columns(header, path.name)
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(f"{path.name}: the fields are not separated by commas. Save it as such.")
    for column in wanted:
        check_column(column, header, role, path.name)
    return header


def _read_csv(path: Path, id_columns: list[str]) -> pd.DataFrame:
    header = read_header(path, id_columns, "id")
    for _ in csv_rows(path):  # pandas fills short rows up, so a file that was cut off would pass
        pass
    missing = {column: list(MISSING_TEXTS) for column in header if column not in id_columns}
    try:
        return pd.read_csv(
            path,
            encoding="utf-8-sig",
            dtype=dict.fromkeys(id_columns, str),
            keep_default_na=False,
            na_values=missing,
            low_memory=False,  # one look at a whole column decides its type
        )
    except (ValueError, OverflowError):
        # pandas quotes cells in its messages, so neither text nor chain goes on.
        raise DataError(f"{path.name}: the file cannot be read as CSV. Save it again.") from None


@contextmanager
def parquet_file(path: Path, wanted: Sequence[str], role: str) -> Iterator["ParquetFile"]:
    """Open a Parquet file.

    Raises
    ------
    DataError
        If pyarrow is not installed, the file is damaged, its columns cannot be used, or `wanted` is
        not among them.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading Parquet needs pyarrow. Install it: "
            "pip install 'secureboost[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            check_columns(columns, path.name)
            for column in wanted:
                check_column(column, columns, role, path.name)
            yield file
    except ArrowException as error:
        raise DataError(
            f"{path.name}: the file is not readable Parquet; it is damaged or was cut off. "
            "Export it again."
        ) from error


def _read_parquet(path: Path, id_columns: list[str]) -> pd.DataFrame:
    with parquet_file(path, id_columns, "id"):
        frame = pd.read_parquet(path, engine="pyarrow")
    if not set(id_columns) <= set(frame.columns):  # pandas wrote them as the frame's index
        frame = frame.reset_index()
    return frame


def _check_no_fractions(frame: pd.DataFrame, id_column: str, path: Path) -> None:
    if pd.api.types.is_float_dtype(frame[id_column].dtype):
        raise DataError(
            f"{path.name}: the id column {id_column!r} holds floating-point numbers. Write ids as "
            "text or as integers."
        )
