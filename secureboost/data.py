"""Tables in memory: checks of row ids, features and labels before any of them is used.

Messages count and name positions (data rows start at 1, the header does not count). They never
repeat a value, an id or a label: error texts end up in logs.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secureboost.errors import ConfigError, DataError

_SHOWN_POSITIONS = 5
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_NUMERIC_OBJECTS = {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}


def positions_text(bad: NDArray[np.bool_]) -> str:
    """Say where `bad` is true: ``"3 rows (data rows 4, 9 and 12)"``."""
    rows = np.flatnonzero(bad) + 1
    shown = [str(row) for row in rows[:_SHOWN_POSITIONS]]
    if len(rows) == 1:
        return f"1 row (data row {shown[0]})"
    if len(rows) > _SHOWN_POSITIONS:
        return f"{len(rows):,} rows (first at data rows {', '.join(shown)})"
    return f"{len(rows)} rows (data rows {', '.join(shown[:-1])} and {shown[-1]})"


def table_name(party: str) -> str:
    """Name a table in messages; the empty name is the label party's own table."""
    return party or "label party"


def check_ids(index: pd.Index, party: str) -> None:
    """Check that every row of a table has an id of its own.

    Parameters
    ----------
    index : pandas.Index
        The row ids.
    party : str
        File or party to name in messages.

    Raises
    ------
    DataError
        If the index has several levels, or an id is missing, blank or duplicated.
    """
    name = table_name(party)
    if isinstance(index, pd.MultiIndex):
        raise DataError(
            f"{name}: the index has {index.nlevels} levels; row ids must be one value per row. "
            "Join the levels into one text."
        )
    missing = np.asarray(index.isna(), dtype=bool)
    if missing.any():
        raise DataError(
            f"{name}: the id is missing in {positions_text(missing)}. Give every row an id or "
            "drop those rows."
        )
    if not pd.api.types.is_numeric_dtype(index.dtype):
        blank = np.asarray(index.astype(str).str.strip() == "", dtype=bool)
        if blank.any():
            raise DataError(
                f"{name}: the id is blank in {positions_text(blank)}. Give every row an id or "
                "drop those rows."
            )
    if not index.is_unique:
        repeated = np.asarray(index.duplicated(keep=False), dtype=bool)
        raise DataError(
            f"{name}: ids occur more than once in {positions_text(repeated)}. Keep one row per id."
        )


def match_rows(index: pd.Index, other_index: pd.Index, party: str) -> NDArray[np.int64]:
    """Find rows in a party's table.

    Parameters
    ----------
    index : pandas.Index
        Ids of the rows wanted.
    other_index : pandas.Index
        Ids of the party's table.
    party : str
        The party to name in messages.

    Returns
    -------
    array of shape (len(index),), int64
        Positions with ``other_index[positions] == index``.

    Raises
    ------
    DataError
        If the party's ids are not unique, or it lacks rows.
    """
    check_ids(other_index, party)
    positions = np.asarray(other_index.get_indexer(index), dtype=np.int64)
    absent = positions < 0
    if absent.any():
        kinds = {
            "numbers" if pd.api.types.is_numeric_dtype(ids.dtype) else "text"
            for ids in (index, other_index)
        }
        hint = (
            "One side's ids are numbers and the other's are text: read both as text."
            if len(kinds) == 2
            else "Keep only rows that both sides have (secureboost.tables.join_tables does)."
        )
        raise DataError(
            f"{table_name(party)}: its table lacks {int(absent.sum()):,} of the "
            f"{len(index):,} rows asked for: {positions_text(absent)}. {hint}"
        )
    return positions


def feature_matrix(frame: pd.DataFrame, party: str) -> NDArray[np.float32]:
    """Convert a table of features to float32, the form in which they are binned.

    Boolean, integer and float columns are taken, pandas' nullable kinds too. A missing value
    becomes NaN; a column may be missing altogether.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_features)
    party : str
        File or party to name in messages.

    Returns
    -------
    array of shape (n_rows, n_features), float32, Fortran order
        A column lies in one piece, as binning reads it.

    Raises
    ------
    DataError
        If there is no row or column, a column name occurs twice, a column is not numeric, or a
        value is infinite or beyond the range of float32.
    """
    name = table_name(party)
    check_columns([str(column) for column in frame.columns], party)
    n_rows, n_features = frame.shape
    if n_features == 0:
        raise DataError(f"{name}: no feature column is left. Add at least one column of numbers.")
    if n_rows == 0:
        raise DataError(f"{name}: the table has no rows.")
    _refuse_text(frame, name)
    matrix = np.empty((n_rows, n_features), dtype=np.float32, order="F")
    for number, column in enumerate(frame.columns):
        values = _as_float64(frame.iloc[:, number], str(column), name)
        beyond = np.abs(values) > _FLOAT32_MAX  # false for NaN
        if beyond.any():
            raise DataError(
                f"{name}: column {str(column)!r} is infinite or beyond the range of 32-bit floats "
                f"(about 3.4e38) in {positions_text(beyond)}. Clip such values or leave them empty."
            )
        matrix[:, number] = values
    return matrix


def check_columns(columns: list[str], party: str) -> None:
    """Check that every column has a name of its own.

    Raises
    ------
    DataError
        If a name is blank or occurs twice.
    """
    name = table_name(party)
    for position, column in enumerate(columns, start=1):
        if not column.strip():
            raise DataError(f"{name}: column {position} has no name. Name it in the header.")
    if len(set(columns)) < len(columns):
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        raise DataError(
            f"{name}: column names occur more than once: {', '.join(map(repr, repeated))}. "
            "Rename or drop the copies."
        )


def _as_float64(column: "pd.Series[Any]", label: str, name: str) -> NDArray[np.float64]:
    """Return a numeric column with NaN for missing values; refuse every other kind by name."""
    kind = column.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.isna().all():
        return np.full(len(column), np.nan)
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in _NUMERIC_OBJECTS:  # booleans with gaps come as objects
        return np.asarray(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
    if "date" in inferred or "time" in inferred:
        raise DataError(
            f"{name}: column {label!r} holds dates or times. Turn it into a number (months since "
            "...) or drop it."
        )
    raise DataError(
        f"{name}: column {label!r} is complex, not numbers. Encode it as numbers or drop it."
    )


def _refuse_text(frame: pd.DataFrame, name: str) -> None:
    """Name all columns of text at once, so that one correction is enough."""
    columns = [str(column) for i, column in enumerate(frame.columns) if _is_text(frame.iloc[:, i])]
    if columns:
        many = len(columns) > 1
        raise DataError(
            f"{name}: column{'s' if many else ''} {', '.join(map(repr, columns))} "
            f"{'are' if many else 'is'} text, not numbers. Encode {'them' if many else 'it'} as "
            f"numbers or drop {'them' if many else 'it'}; categories come in a later version."
        )


def _is_text(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().all():
        return False
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    return inferred not in _NUMERIC_OBJECTS and "date" not in inferred and "time" not in inferred


def label_classes(y: ArrayLike, party: str = "") -> NDArray[Any]:
    """Return the two classes of a label, sorted.

    Raises
    ------
    DataError
        If a label is missing, the label mixes kinds, or there are not exactly two classes.
    """
    name = table_name(party)
    labels = pd.Series(np.asarray(y).ravel())
    missing = labels.isna().to_numpy(dtype=bool)
    if missing.any():
        raise DataError(
            f"{name}: the label is missing in {positions_text(missing)}. Drop those rows."
        )
    try:
        classes = np.unique(np.asarray(y).ravel())
    except TypeError as error:
        raise DataError(
            f"{name}: the label mixes text and numbers. Write both classes in one way."
        ) from error
    if len(classes) != 2:
        count = "one class" if len(classes) == 1 else f"{len(classes):,} classes"
        raise DataError(
            f"{name}: the label has {count} in {len(labels):,} rows; it needs exactly two. "
            "Check that it is the right column and that both outcomes are among the rows."
        )
    return classes


def encode_labels(y: ArrayLike, positive: object = None, party: str = "") -> NDArray[np.uint8]:
    """Turn a two-class label into 0 and 1.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
    positive : object, optional
        The class to predict, compared as it is or as text (``--positive 2`` finds the number 2).
        None: the label must be 0/1 or boolean.
    party : str
        File or party to name in messages.

    Returns
    -------
    array of shape (n_rows,), uint8

    Raises
    ------
    DataError
        See `label_classes`; also if the label is not 0/1 and `positive` is not given, or is
        neither of the two classes.
    """
    classes = label_classes(y, party)
    name = table_name(party)
    if positive is None:
        if isinstance(classes[0], str) or not (classes[0] == 0 and classes[1] == 1):
            raise DataError(
                f"{name}: the label has two classes but they are not 0 and 1. Name the class to "
                "predict: --positive on the command line, positive in [data]."
            )
        chosen = classes[1]
    else:
        matches = [c for c in classes if c == positive or str(c) == str(positive)]
        if not matches:
            raise DataError(
                f"{name}: positive={positive!r} is neither of the label's two classes. "
                "Check its spelling."
            )
        chosen = matches[0]
    return np.asarray(np.asarray(y).ravel() == chosen, dtype=np.uint8)


def stratified_holdout(
    labels: NDArray[np.uint8], test_size: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into training and test rows with the same share of positives.

    Parameters
    ----------
    labels : array of shape (n_rows,), uint8
        0 or 1.
    test_size : float
        Share of the rows to hold out, above 0 and below 1.
    seed : int
        The same seed gives the same split.

    Returns
    -------
    train, test : arrays of int64
        Row positions, ascending.

    Raises
    ------
    ConfigError
        If `test_size` is out of its limits.
    DataError
        If a class is too small to lie on both sides.
    """
    from sklearn.model_selection import train_test_split  # slow to import

    if not 0 < test_size < 1:
        raise ConfigError(f"is {test_size}; it must lie above 0 and below 1", "test_size")
    rows = np.arange(len(labels), dtype=np.int64)
    try:
        train, test = train_test_split(
            rows, test_size=test_size, random_state=seed, stratify=labels
        )
    except ValueError as error:
        raise DataError(
            f"label party: {len(labels):,} rows are too few to hold out {test_size:g} of them with "
            "both classes on each side. Use more rows or another test_size."
        ) from error
    return np.sort(train), np.sort(test)
