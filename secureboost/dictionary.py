"""The dictionary of a table or a model: what the codes of its columns of categories stand for."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import DataError

Categories = tuple[tuple[str, ...] | None, ...]
"""For each column the names of its codes 0, 1, ...; None for a column of numbers."""


def is_categorical(categories: Categories) -> NDArray[np.bool_]:
    """Which columns are of categories, shape (n_features,), bool."""
    return np.array([names is not None for names in categories], dtype=np.bool_)


def map_codes(
    table: Categories, model: Categories, *, empty: Sequence[bool] | NDArray[np.bool_] | None = None
) -> list[NDArray[np.int32] | None]:
    """Find a table's categories in a model that was trained on another table.

    Parameters
    ----------
    table, model : Categories
        The dictionaries of the same columns in the same order.
    empty : sequence of bool, optional
        Which columns of the table have no value at all. These fit a column of any kind.

    Returns
    -------
    list of (array of shape (n_codes,), int32, or None)
        For each column the model's code of each of the table's codes, -1 for what the model does
        not know (its rows count as missing). None for columns that need no change.

    Raises
    ------
    DataError
        If a column is of categories on one side alone. It is named by its position, since the
        text may reach another party.
    """
    lookups: list[NDArray[np.int32] | None] = []
    without_value = [False] * len(table) if empty is None else empty
    columns = zip(table, model, without_value, strict=True)
    for position, (names, known, is_empty) in enumerate(columns, start=1):
        if known is None or names is None:
            if known != names and not is_empty:
                raise DataError(_other_kind(position, model_has_categories=known is not None))
            lookups.append(None)
            continue
        code_of = {name: code for code, name in enumerate(known)}
        lookups.append(np.array([code_of.get(name, -1) for name in names], dtype=np.int32))
    return lookups


def _other_kind(position: int, *, model_has_categories: bool) -> str:
    if model_has_categories:
        return (
            f"column {position} holds numbers, and the model was trained with categories in it. "
            "Name it in categorical, as in training."
        )
    return (
        f"column {position} holds categories, and the model was trained with numbers in it. Give "
        "the values that the model was trained with."
    )
