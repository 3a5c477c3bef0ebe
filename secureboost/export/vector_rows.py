"""Rows for the test vectors of an export: every split of every tree is crossed at its edge.

For each split there is a row that reaches its node and lies on the last value that goes left, one
that lies on the first that does not, one without a value and, of categories, one with a code that
the model does not know. Large models have more splits than rows are wanted; then they are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secureboost.export.whole import Column, Whole
from secureboost.gbdt.model import PartnerSplit, TreeArrays

MAX_ROWS = 4000
"""Rows that are checked."""
_RANDOM_ROWS = 100
_SPREAD = np.float32(1.0)  # how far beyond the outermost thresholds values lie

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Candidates:
    """The values of a column that matter: at most two to a bin.

    Attributes
    ----------
    values : array, float32
        Present ones, codes that the model does not know, and NaN at the end.
    known : array of bool
        Neither NaN nor an unknown code.
    """

    values: Values
    known: Mask

    def goes_left(self, split: PartnerSplit) -> Mask:
        """Which of them go left."""
        if split.codes is not None:
            left = np.isin(self.values, split.codes)
        elif split.threshold is None:
            left = np.ones(len(self.values), np.bool_)
        else:
            left = self.values <= np.float32(split.threshold)
        return np.where(self.known, left, split.missing_left)

    def at_edge(self, split: PartnerSplit) -> list[int]:
        """Positions of the last value left, the first right, an unknown code and NaN."""
        left = self.goes_left(split) & self.known
        right = ~left & self.known
        chosen = [*np.flatnonzero(left)[-1:], *np.flatnonzero(right)[:1]]
        return [int(i) for i in chosen] + np.flatnonzero(~self.known).tolist()


def make_rows(whole: Whole, seed: int = 0) -> Values:
    """Make the rows, in random order.

    Parameters
    ----------
    whole : Whole
    seed : int
        Of the draws; the same model and seed give the same rows.

    Returns
    -------
    array of shape (n_rows, n_columns), float32
        NaN is missing. Codes that the model does not know are those behind its own: see
        `as_model_values`.
    """
    rng = np.random.default_rng(seed)
    candidates = _all_candidates(whole)
    wanted = [
        (allowed, column, value)
        for tree in whole.label.trees
        for allowed, column, value in _edges(whole, tree, candidates)
    ]
    if len(wanted) > MAX_ROWS - _RANDOM_ROWS:
        drawn = rng.choice(len(wanted), MAX_ROWS - _RANDOM_ROWS, replace=False)
        wanted = [wanted[i] for i in drawn]
    n_rows = len(wanted) + _RANDOM_ROWS
    rows = np.column_stack([rng.choice(each.values, n_rows) for each in candidates])
    for row, (allowed, column, value) in zip(rows, wanted, strict=False):
        for other, mask in allowed.items():
            row[other] = rng.choice(candidates[other].values[mask])
        row[column] = value
    return rng.permutation(rows)


def as_model_values(columns: tuple[Column, ...], rows: Values) -> Values:
    """The same rows as the model takes them: what it does not know is missing."""
    values = rows.copy()
    for number, column in enumerate(columns):
        if column.categories is not None:
            values[rows[:, number] >= len(column.categories), number] = np.nan
    return values


def _all_candidates(whole: Whole) -> list[_Candidates]:
    thresholds: list[set[float]] = [set() for _ in whole.columns]
    for tree in whole.label.trees:
        for _node, column, split in whole.splits(tree):
            if split.threshold is not None:
                thresholds[column].add(split.threshold)
    return [
        _of_codes(len(column.categories)) if column.categories is not None else _of_numbers(used)
        for column, used in zip(whole.columns, thresholds, strict=True)
    ]


def _of_codes(n_codes: int) -> _Candidates:
    """Every code, the next one, and one in a later word of a bit set."""
    codes = np.array([*range(n_codes), n_codes, n_codes + 64, np.nan], np.float32)
    return _Candidates(codes, codes < n_codes)


def _of_numbers(thresholds: set[float]) -> _Candidates:
    """Each threshold with its neighbours, and values beyond."""
    largest = np.finfo(np.float32).max
    cuts = np.array(sorted(thresholds) or [0.0], np.float32)
    below, above = (np.nextafter(cuts, np.float32(side)) for side in (-largest, largest))
    ends = np.array([cuts[0] - _SPREAD, cuts[-1] + _SPREAD, -largest, largest], np.float32)
    present = np.unique(np.concatenate([below, cuts, above, ends]))
    values = np.append(present, np.float32(np.nan))
    return _Candidates(values, ~np.isnan(values))


def _edges(
    whole: Whole, tree: TreeArrays, candidates: list[_Candidates]
) -> Iterator[tuple[dict[int, Mask], int, np.float32]]:
    """For each split of a tree: what its node allows in other columns, and a value at its edge."""
    splits = {node: (column, split) for node, column, split in whole.splits(tree)}
    allowed_at: dict[int, dict[int, Mask]] = {0: {}}
    for node in range(len(tree.owner)):  # a parent comes before its children
        if node not in splits:
            continue
        allowed, (column, split) = allowed_at[node], splits[node]
        each = candidates[column]
        here = allowed.get(column, np.ones(len(each.values), np.bool_))
        left = each.goes_left(split)
        allowed_at[tree.left[node]] = {**allowed, column: here & left}
        allowed_at[tree.right[node]] = {**allowed, column: here & ~left}
        if all(mask.any() for mask in allowed.values()):
            for position in each.at_edge(split):
                if here[position]:
                    yield allowed, column, each.values[position]
