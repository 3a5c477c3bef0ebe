"""What `fit` was given, and the part of it that all parties have."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing

from secureboost.aligned_rows import Agreements, in_common
from secureboost.errors import DataError, UnmatchedRowsWarning


@dataclass(frozen=True, repr=False)
class Given:
    """Rows to train on and rows to evaluate.

    Attributes
    ----------
    X : DataFrame or array of shape (n_rows, n_features)
    y : array-like of shape (n_rows,)
    weight : array-like of shape (n_rows,), optional
    eval_set : list of (X, y)
    eval_weights : sequence of array-like, optional
        Of each set.
    groups : array-like of shape (n_rows,), optional
        For cross-validation.
    """

    X: Any
    y: ArrayLike
    weight: ArrayLike | None = None
    eval_set: list[tuple[Any, ArrayLike]] = field(default_factory=list)
    eval_weights: Sequence[ArrayLike | None] | None = None
    groups: ArrayLike | None = None

    @property
    def index(self) -> pd.Index | None:
        """Ids of all rows, each once, those to train on first; None where a table has none."""
        frames = [self.X, *(frame for frame, _ in self.eval_set if frame is not self.X)]
        if not all(isinstance(frame, pd.DataFrame) for frame in frames):
            return None
        index: pd.Index = self.X.index
        for frame in frames[1:]:
            index = index.append(frame.index[~frame.index.isin(index)])
        return index


def keep_common(given: Given, agreements: Agreements) -> Given:
    """Keep the rows that all of these parties have, and warn of how many are left out.

    Parameters
    ----------
    given : Given
        Checked; rows have the ids of the aligned tables.
    agreements : Agreements

    Returns
    -------
    Given
        `given` itself where nothing is left out.

    Raises
    ------
    DataError
        If no row is left to train on, or of a set.
    """
    if not agreements:
        return given
    masks = {name: in_common(frame.index, agreements) for name, frame in _frames(given)}
    if all(mask.all() for mask in masks.values()):
        return given
    for name, mask in masks.items():
        if not mask.any():
            raise DataError(
                f"{name}: none of its {len(mask):,} rows is common to all parties "
                f"({', '.join(agreements)}). Compare how each side writes its ids."
            )
    left_out = [
        f"{np.count_nonzero(~mask):,} of {len(mask):,} rows of {name}"
        for name, mask in masks.items()
        if not mask.all()
    ]
    warnings.warn(
        f"{' and '.join(left_out)} are left out: they are not common to all parties "
        f"({', '.join(agreements)}).",
        UnmatchedRowsWarning,
        stacklevel=_levels_to_the_user(),
    )
    X, y, weight, groups = _taken(masks["X"], given.X, given.y, given.weight, given.groups)
    eval_set, eval_weights = [], None if given.eval_weights is None else list(given.eval_weights)
    for number, (frame, labels) in enumerate(given.eval_set):
        mask = masks["X" if frame is given.X else f"eval_set[{number}]"]
        own = None if eval_weights is None else eval_weights[number]
        kept, kept_labels, own = _taken(mask, frame, labels, own)
        eval_set.append((X if frame is given.X else kept, kept_labels))
        if eval_weights is not None:
            eval_weights[number] = own
    return Given(X, y, weight, eval_set, eval_weights, groups)


def _levels_to_the_user() -> int:
    """How many calls up from our caller the first line is that is not this package's."""
    frame, levels = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].startswith("secureboost."):
        frame, levels = frame.f_back, levels + 1
    return levels


def _frames(given: Given) -> Iterator[tuple[str, pd.DataFrame]]:
    """All different tables under the names that messages call them by."""
    yield "X", given.X
    for number, (frame, _) in enumerate(given.eval_set):
        if frame is not given.X:
            yield f"eval_set[{number}]", frame


def _taken(mask: NDArray[np.bool_], *arrays: Any) -> list[Any]:
    """The masked rows of frames, arrays and lists; of None, None."""
    rows = np.flatnonzero(mask)
    return [None if array is None else _safe_indexing(array, rows) for array in arrays]
