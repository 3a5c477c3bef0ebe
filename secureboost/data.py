"""Tables in memory: checks of row ids, column names and labels before any of them is used.

Messages count and name positions (data rows start at 1, the header does not count). They never
repeat a value, an id or a label: error texts end up in logs.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from secureboost.errors import ConfigError, DataError

_SHOWN_POSITIONS = 5


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
    check_present(index, party)
    if not index.is_unique:
        repeated = np.asarray(index.duplicated(keep=False), dtype=bool)
        raise DataError(
            f"{name}: ids occur more than once in {positions_text(repeated)}. Keep one row per id."
        )


def check_present(index: pd.Index, party: str) -> None:
    """Check that every row has an id.

    Raises
    ------
    DataError
        If one is missing or blank.
    """
    name = table_name(party)
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


def label_classes(y: ArrayLike, party: str = "") -> NDArray[Any]:
    """Return the two classes of a label, sorted.

    Raises
    ------
    DataError
        If a label is missing, the label mixes kinds, or there are not exactly two classes.
    """
    classes = distinct_labels(y, party)
    if len(classes) != 2:
        count = "one class" if len(classes) == 1 else f"{len(classes):,} classes"
        raise DataError(
            f"{table_name(party)}: the label has {count} in {np.size(y):,} rows; it needs exactly "
            "two. Check that it is the right column and that both outcomes are among the rows. "
            "More classes need objective='multi:softprob', numbers a regression."
        )
    return classes


def distinct_labels(y: ArrayLike, party: str = "") -> NDArray[Any]:
    """Return the different values of a label, sorted.

    Raises
    ------
    DataError
        If a label is missing, or the label mixes kinds.
    """
    name = table_name(party)
    missing = pd.Series(np.asarray(y).ravel()).isna().to_numpy(dtype=bool)
    if missing.any():
        raise DataError(
            f"{name}: the label is missing in {positions_text(missing)}. Drop those rows."
        )
    try:
        return np.unique(np.asarray(y).ravel())
    except TypeError as error:
        raise DataError(
            f"{name}: the label mixes text and numbers. Write all classes in one way."
        ) from error


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
    labels: NDArray[Any], test_size: float, seed: int, *, stratify: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows at random into training and test rows with the same shares of the classes.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Classes, or numbers without `stratify`.
    test_size : float
        Share of the rows to hold out, above 0 and below 1.
    seed : int
        The same seed gives the same split.
    stratify : bool
        Keep the shares of the classes; not for numbers.

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
            rows, test_size=test_size, random_state=seed, stratify=labels if stratify else None
        )
    except ValueError as error:
        raise DataError(
            f"label party: {len(labels):,} rows are too few to hold out {test_size:g} of them"
            f"{' with every class on each side' if stratify else ''}. Use more rows or another "
            "test_size."
        ) from error
    return np.sort(train), np.sort(test)
