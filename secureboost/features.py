"""Columns of a table as float32: numbers as they are, categories as codes with a dictionary.

Messages follow `secureboost.data`: they name columns and count positions, and never repeat a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.category_codes import (
    NUMERIC_OBJECTS,
    column_codes,
    is_category_dtype,
    is_time,
    refuse_times,
)
from secureboost.data import check_columns, positions_text, table_name
from secureboost.dictionary import Categories, is_categorical
from secureboost.errors import DataError, did_you_mean

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, repr=False)
class FeatureMatrix:
    """A table of features in the form in which it is binned.

    Attributes
    ----------
    values : array of shape (n_rows, n_features), float32, Fortran order
        A column lies in one piece, as binning reads it. NaN is missing; columns of categories
        hold codes.
    categories : Categories
        For each column of categories the names of its codes; None for a column of numbers.
    """

    values: NDArray[np.float32]
    categories: Categories

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns are of categories, shape (n_features,), bool."""
        return is_categorical(self.categories)


def feature_matrix(
    frame: pd.DataFrame,
    party: str,
    *,
    categorical: Sequence[str] | None = None,
    known: Categories | None = None,
) -> FeatureMatrix:
    """Convert a table of features to float32, numbers and codes of categories.

    Boolean, integer and float columns are numbers, pandas' nullable kinds too. A column is of
    categories if it has the dtype "category" (an order is not used), holds text, or is named in
    `categorical`. A missing value becomes NaN, and so does blank text; a column may be missing
    altogether.

    The name of a category is the text of its value. Whole floats are written as integers, so that
    a column of integers keeps its names when a gap turns it into floats.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_features)
    party : str
        File or party to name in messages.
    categorical : sequence of str, optional
        Columns of text, booleans, integers or whole floats to take as categories.
    known : Categories, optional
        The dictionary of a model with these columns. Its codes are used, and what is not in it
        becomes NaN. By default the codes number the categories of the table, sorted by name.

    Raises
    ------
    DataError
        If there is no row or column, a column name occurs twice, a value is infinite or beyond the
        range of float32, a column holds other things than numbers and text, has too many or too
        long categories, or another kind than in `known`; or if `categorical` names an unknown
        column.
    """
    name = table_name(party)
    labels = [str(column) for column in frame.columns]
    check_columns(labels, party)
    n_rows, n_features = frame.shape
    if n_features == 0:
        raise DataError(f"{name}: no feature column is left. Add at least one column of numbers.")
    if n_rows == 0:
        raise DataError(f"{name}: the table has no rows.")
    columns = [frame.iloc[:, number] for number in range(n_features)]
    chosen = _check_categorical(categorical, labels, name)
    of_categories = [
        label in chosen or is_category_dtype(column) or _is_text(column)
        for label, column in zip(labels, columns, strict=True)
    ]
    if known is not None:
        _check_kinds(columns, labels, of_categories, known, name)
        of_categories = [names is not None for names in known]

    values = np.empty((n_rows, n_features), dtype=np.float32, order="F")
    dictionaries: list[tuple[str, ...] | None] = []
    for number, (label, column) in enumerate(zip(labels, columns, strict=True)):
        where = f"{name}: column {label!r}"
        names = None if known is None else known[number]
        if of_categories[number]:
            declared = label in chosen or names is not None
            values[:, number], names = column_codes(column, names, where, declared=declared)
        else:
            values[:, number] = _numbers(column, where)
        dictionaries.append(names)
    return FeatureMatrix(values, tuple(dictionaries))


def monotone_signs(
    monotone: Mapping[str, int] | None, columns: Sequence[str], categories: Categories, party: str
) -> NDArray[np.int8]:
    """Check the directions of effect that a party declares for its columns.

    Parameters
    ----------
    monotone : mapping of column name to sign, optional
        1: predictions must not fall as the column grows; -1: they must not rise; 0: anything.
    columns : sequence of str
    categories : Categories
    party : str
        File or party to name in messages.

    Returns
    -------
    array of shape (n_features,), int8
        0 for columns that are not named.

    Raises
    ------
    DataError
        If a column is unknown or of categories, or a sign is another number.
    """
    name = table_name(party)
    signs = np.zeros(len(columns), dtype=np.int8)
    if monotone is not None and not isinstance(monotone, Mapping):
        raise DataError(f"{name}: monotone must map column names to 1, -1 or 0.")
    for column, sign in (monotone or {}).items():
        if str(column) not in columns:
            raise DataError(
                f"{name}: monotone names {column!r}, which the table does not have."
                f"{did_you_mean(str(column), columns)}"
            )
        if isinstance(sign, bool) or sign not in (-1, 0, 1):
            raise DataError(
                f"{name}: monotone has {sign!r} for column {column!r}; it must be 1 (rises), -1 "
                "(falls) or 0 (anything)."
            )
        number = columns.index(str(column))
        if sign and categories[number] is not None:
            raise DataError(
                f"{name}: column {column!r} is of categories, and the output cannot be monotone "
                "with respect to categorical features. Remove it from monotone."
            )
        signs[number] = sign
    return signs


def _check_categorical(
    categorical: Sequence[str] | None, labels: list[str], name: str
) -> frozenset[str]:
    if isinstance(categorical, str):
        raise DataError(
            f"{name}: categorical={categorical!r} is one text; give a list of column names."
        )
    chosen = [] if categorical is None else [str(column) for column in categorical]
    for column in chosen:
        if column not in labels:
            raise DataError(
                f"{name}: categorical names {column!r}, which the table does not have."
                f"{did_you_mean(column, labels)}"
            )
    return frozenset(chosen)


def _check_kinds(
    columns: "list[pd.Series[Any]]",
    labels: list[str],
    of_categories: list[bool],
    known: Categories,
    name: str,
) -> None:
    """Refuse categories where a model has numbers, all at once."""
    if len(columns) != len(known):
        raise DataError(
            f"{name}: the table has {len(columns)} columns and the model was trained with "
            f"{len(known)}. Give it the same columns in the same order."
        )
    wrong = [
        label
        for column, label, is_of_categories, names in zip(
            columns, labels, of_categories, known, strict=True
        )
        if is_of_categories and names is None and not column.isna().all()
    ]
    if wrong:
        raise DataError(
            f"{name}: column{'s' if len(wrong) > 1 else ''} {', '.join(map(repr, wrong))} "
            f"{'hold' if len(wrong) > 1 else 'holds'} text or categories, and the model was "
            "trained with numbers there. Give the values that the model was trained with."
        )


def _is_text(column: "pd.Series[Any]") -> bool:
    """Whether a column holds neither numbers nor dates; `_distinct` looks closer at mixed ones."""
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().all():
        return False
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return kind not in NUMERIC_OBJECTS and not is_time(kind)


def _numbers(column: "pd.Series[Any]", where: str) -> NDArray[np.float64]:
    """Return a column of numbers with NaN for missing values; refuse what float32 cannot hold."""
    values = _as_float64(column, where)
    beyond = np.abs(values) > _FLOAT32_MAX  # false for NaN
    if beyond.any():
        raise DataError(
            f"{where} is infinite or beyond the range of 32-bit floats (about 3.4e38) in "
            f"{positions_text(beyond)}. Clip such values or leave them empty."
        )
    return values


def _as_float64(column: "pd.Series[Any]", where: str) -> NDArray[np.float64]:
    """Return numbers with NaN for missing values; refuse every other kind."""
    kind = column.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.isna().all():
        return np.full(len(column), np.nan)
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in NUMERIC_OBJECTS:  # booleans with gaps come as objects
        return np.asarray(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
    if is_time(inferred):
        raise refuse_times(where)
    raise DataError(f"{where} is complex, not numbers. Encode it as numbers or drop it.")
