"""From what a user passes to `fit` to what training takes: labels, weights, rows for evaluation.

Checked before anything is computed, so that hours are not lost to a typing mistake.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite, check_consistent_length, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from secureboost.data import positions_text
from secureboost.errors import DataError

SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-30, 1e30


@dataclass(frozen=True, repr=False)
class Rows:
    """Training rows and, behind them, rows that are only evaluated.

    Attributes
    ----------
    values : array of shape (n_rows, n_features), float32
    index : pandas.Index or None
        Their ids, if the tables have any that matter.
    positions : list of arrays, int64
        For each evaluation set where its rows lie.
    """

    values: NDArray[np.float32]
    index: pd.Index | None
    positions: list[NDArray[np.int64]]


def complete_labels(y: ArrayLike, name: str = "y") -> NDArray[Any]:
    """Labels as an array, one a row.

    Raises
    ------
    ValueError, DataError
        If it is not one column, or a label is missing or infinite.
    """
    labels = np.asarray(column_or_1d(y, warn=True))
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise DataError(
            f"Input {name} contains NaN: the label is missing in {positions_text(missing)}. "
            "Drop those rows."
        )
    assert_all_finite(labels, input_name=name)
    return labels


def class_labels(y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The classes, sorted, and each row's position among them.

    Raises
    ------
    ValueError, DataError
        If `y` does not hold classes, or only one.
    """
    labels = complete_labels(y)
    check_classification_targets(labels)
    type_of_target(labels, input_name="y", raise_unknown=True)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError("y has one class; a classifier needs two classes among the training rows.")
    return classes, codes.astype(np.float64)


def known_class_labels(y: ArrayLike, classes: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Each row's position among the classes of training.

    Raises
    ------
    ValueError
        If a label is none of them.
    """
    labels = complete_labels(y, name)
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise ValueError(
            f"{name}: the label is none of the {len(classes)} classes among the training rows in "
            f"{positions_text(unknown)}"
        )
    return np.searchsorted(classes, labels).astype(np.float64)


def target_values(y: ArrayLike, name: str = "y") -> NDArray[np.float64]:
    """The numbers of a regression.

    Raises
    ------
    ValueError, DataError
        If they are not numbers.
    """
    labels = complete_labels(y, name)
    if labels.dtype.kind not in "iufb":
        try:
            labels = labels.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} holds text or objects; a regression needs numbers") from None
    return labels.astype(np.float64)


def row_weights(
    sample_weight: ArrayLike | None, X: Any, name: str = "sample_weight"
) -> NDArray[np.float64]:
    """Weights, 1 by default.

    Raises
    ------
    ValueError
        If one is negative or not finite, their number differs from the rows', all are zero, or the
        largest is so extreme that gradients could leave the range of numbers.
    """
    try:
        weight = np.asarray(
            _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        )
    except ValueError as error:
        if name == "sample_weight":  # as scikit-learn names it
            raise
        raise ValueError(f"{name}: {error}") from error
    if not weight.any():
        raise ValueError(f"{name} is zero for every row; some rows must count")
    largest = float(weight.max())
    if not SMALLEST_WEIGHT <= largest <= LARGEST_WEIGHT:
        raise ValueError(
            f"{name}: the largest weight is {largest:g} and must lie between {SMALLEST_WEIGHT:g} "
            f"and {LARGEST_WEIGHT:g}; rescale the weights"
        )
    return weight


def class_weights(
    weight: NDArray[np.float64],
    codes: NDArray[np.float64],
    classes: NDArray[Any],
    class_weight: Any,
    scale_pos_weight: Any,
) -> NDArray[np.float64]:
    """Weights times those of the rows' classes.

    Parameters
    ----------
    weight : array of shape (n_rows,), float64
    codes : array of shape (n_rows,), float64
        Each row's position in `classes`.
    classes : array
    class_weight : dict, "balanced" or None
        As in scikit-learn.
    scale_pos_weight : float
        Factor of the positive one of two classes, as in XGBoost.

    Raises
    ------
    ValueError
        If a parameter is out of its limits.
    """
    if class_weight is not None:
        factor = compute_sample_weight(class_weight, classes[codes.astype(np.intp)])
        if not (np.isfinite(factor) & (factor >= 0.0)).all():
            raise ValueError(
                "class_weight must have a finite number of at least 0 for each class; one is "
                "negative or not finite"
            )
        weight = weight * factor
    if not (isinstance(scale_pos_weight, Real) and 0.0 < float(scale_pos_weight) < math.inf):
        raise ValueError(f"scale_pos_weight={scale_pos_weight!r} must be a finite number above 0")
    if scale_pos_weight != 1.0:
        if len(classes) != 2:
            raise ValueError(
                f"scale_pos_weight={scale_pos_weight} is for two classes, y has {len(classes)}; "
                "use class_weight"
            )
        weight = np.where(codes == 1.0, weight * float(scale_pos_weight), weight)
    return weight


def stack_rows(
    values: NDArray[np.float32],
    index: pd.Index | None,
    eval_values: Sequence[NDArray[np.float32] | None],
    eval_indices: Sequence[pd.Index | None],
) -> Rows:
    """Put rows for evaluation behind the training rows; a row that is there already is not doubled.

    Parameters
    ----------
    values : array of shape (n_training, n_features), float32
    index : pandas.Index, optional
        Ids of the training rows. Without ids no row is known to be another.
    eval_values, eval_indices : sequences
        Of each evaluation set; values None for the training rows themselves.

    Raises
    ------
    DataError
        If a row has the id of another row, but other values.
    """
    parts, positions = [values], []
    for number, part in enumerate(eval_values):
        if part is None:
            positions.append(np.arange(len(values)))
            continue
        n_rows = sum(map(len, parts))
        ids = eval_indices[number]
        if index is None or ids is None:
            where = np.arange(n_rows, n_rows + len(part))
            new = np.ones(len(part), dtype=np.bool_)
        else:
            where = np.asarray(index.get_indexer(ids), dtype=np.int64)
            new = where < 0
            where[new] = np.arange(n_rows, n_rows + np.count_nonzero(new))
            present = np.concatenate(parts)[where[~new]]
            differ = ~new
            again = part[~new]
            same = (present == again) | (np.isnan(present) & np.isnan(again))
            differ[~new] = ~same.all(axis=1)
            if differ.any():
                raise DataError(
                    f"eval_set[{number}]: {positions_text(differ)} have ids of training rows or "
                    "of an earlier set, but other values. One id must mean one row."
                )
            index = index.append(ids[new])
        parts.append(part[new])
        positions.append(where)
    stacked = parts[0] if len(parts) == 1 else np.asfortranarray(np.concatenate(parts))
    return Rows(stacked, index, positions)


def eval_pairs(eval_set: Any) -> list[tuple[Any, Any]]:
    """The evaluation sets as a list; None is none.

    Raises
    ------
    TypeError
        If it is not a sequence of pairs.
    """
    if eval_set is None:
        return []
    sets = list(eval_set) if isinstance(eval_set, (list, tuple)) else [eval_set]
    for number, pair in enumerate(sets):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise TypeError(
                f"eval_set[{number}] is a {type(pair).__name__}; eval_set takes a list of pairs "
                "(X, y)"
            )
    return [(X, y) for X, y in sets]


def check_eval_lengths(name: str, X: Any, y: ArrayLike) -> None:
    """Refuse a set whose rows and labels differ in number, or that has none."""
    check_consistent_length(X, y)
    if len(X) == 0:
        raise ValueError(f"{name} has no rows")
