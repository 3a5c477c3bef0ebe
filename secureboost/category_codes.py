"""A column of categories: from values to names, and from names to codes.

The name of a category is the text of its value. Whole floats are written as integers, so that a
column of integers keeps its names when a gap turns it into floats. Blank text is missing.
"""

import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any, SupportsInt, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from secureboost.data import positions_text
from secureboost.errors import DataError

MAX_CATEGORIES = 65_536
MAX_NAME_LENGTH = 200

NUMERIC_OBJECTS = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal"})
"""What pandas infers of columns of objects that are all numbers or booleans."""

_WHOLE_NUMBER = re.compile(r"-?\d+")
_NAMELESS = object()


def column_codes(
    column: "pd.Series[Any]", known: tuple[str, ...] | None, where: str, *, declared: bool
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Turn a column into codes.

    Parameters
    ----------
    column : Series
    known : tuple of str, or None
        Names of the codes to use; None numbers the categories of the column, sorted by name.
    where : str
        Begins the messages: table and column.
    declared : bool
        Whether somebody said that the column is of categories; otherwise it must hold text.

    Returns
    -------
    codes : array of shape (n_rows,), float32
        NaN for missing values and for names that are not in `known`.
    names : tuple of str
        The names of the codes.

    Raises
    ------
    DataError
        If a value can name no category, or the column cannot be of categories.
    """
    rows, values = _distinct(column, where, declared=declared)
    names = [_name(value) for value in values]
    if is_category_dtype(column):  # whoever made it chose its values, intervals for example
        pairs = zip(names, values, strict=True)
        names = [str(value) if name is None else name for name, value in pairs]
    nameless = [number for number, name in enumerate(names) if name is None]
    if nameless:
        bad = positions_text(np.isin(rows, nameless))
        raise DataError(
            f"{where} holds neither text nor whole numbers in {bad}. Write categories as text or "
            "whole numbers; a column of other numbers cannot be categorical."
        )
    present = {name for name in names if name}
    if known is None:
        _check_names(present, where)
        known = tuple(sorted(present))
    elif not any(isinstance(value, str) for value in values):
        _check_number_names(present, known, where)
    code_of = {name: float(code) for code, name in enumerate(known)}
    # a missing value is row number -1, so it looks up the last entry
    lookup = [code_of.get(name or "", math.nan) for name in names] + [math.nan]
    return np.array(lookup, dtype=np.float32)[rows], known


def _distinct(
    column: "pd.Series[Any]", where: str, *, declared: bool
) -> tuple[NDArray[np.intp], list[Any]]:
    """Number a column's distinct values: the number in each row (-1 is missing), the values."""
    if is_category_dtype(column):
        used = column.cat.remove_unused_categories().cat
        if is_time(pd.api.types.infer_dtype(used.categories, skipna=True)):
            raise refuse_times(where)
        return np.asarray(used.codes, dtype=np.intp), list(used.categories)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if is_time(kind):
        raise refuse_times(where)
    values: Any = column
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)  # nullable: NaN besides NA
    elif kind not in NUMERIC_OBJECTS | {"string", "empty"}:
        if not declared and not any(isinstance(value, str) for value in column):
            raise DataError(
                f"{where} mixes kinds of values, or holds others than numbers and text. Write all "
                "of them as numbers or all as text."
            )
        values = _named_rows(column)
    rows, distinct = pd.factorize(values)
    return rows, list(distinct)


def _named_rows(column: "pd.Series[Any]") -> NDArray[np.object_]:
    """Replace mixed values by their names: to pandas True and 1 would be the same value."""
    names: list[object] = []
    for value, missing in zip(column, column.isna(), strict=True):
        name = None if missing else _name(value)
        names.append(_NAMELESS if name is None and not missing else name)
    return np.array(names, dtype=object)


def _name(value: object) -> str | None:
    """Name a category: empty for blank text, None for what is neither text nor a whole number."""
    if isinstance(value, str):
        return str(value) if value.strip() else ""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (Real, Decimal)) and math.isfinite(value):
        whole = int(cast(SupportsInt, value))
        return str(whole) if whole == value else None
    return None


def _check_names(names: set[str], where: str) -> None:
    if len(names) > MAX_CATEGORIES:
        raise DataError(
            f"{where} has {len(names):,} different values, and a column of categories at most "
            f"{MAX_CATEGORIES:,}. It looks like an id: drop it."
        )
    if any(len(name) > MAX_NAME_LENGTH for name in names):
        raise DataError(
            f"{where} has a category of more than {MAX_NAME_LENGTH} characters. It looks like an "
            "id or free text: drop it or shorten its values."
        )
    try:
        "".join(names).encode()
    except UnicodeEncodeError:  # it holds the text, so the chain ends here
        raise DataError(
            f"{where} has a category that is not valid Unicode, so no file can hold it. Read the "
            "table with its right encoding."
        ) from None


def _check_number_names(present: set[str], known: tuple[str, ...], where: str) -> None:
    """Refuse numbers where the model has text, and 0 and 1 where it has booleans."""
    if present and known and {_kind(n) for n in present}.isdisjoint(_kind(n) for n in known):
        raise DataError(
            f"{where} holds numbers or booleans, and the categories in it that the model was "
            "trained with are of another kind. Write the values as in training."
        )


def _kind(name: str) -> str:
    if name in ("True", "False"):
        return "boolean"
    return "number" if _WHOLE_NUMBER.fullmatch(name) else "text"


def is_category_dtype(column: "pd.Series[Any]") -> bool:
    """Whether a column has pandas' dtype "category"."""
    return isinstance(column.dtype, pd.CategoricalDtype)


def is_time(kind: str) -> bool:
    """Whether pandas infers dates or times."""
    return any(word in kind for word in ("date", "time", "period"))


def refuse_times(where: str) -> DataError:
    """The error for a column of dates or times."""
    return DataError(
        f"{where} holds dates or times. Turn it into a number (months since ...) or drop it."
    )
