"""Joint histograms: fewer homomorphic additions for the same cells.

A plain histogram adds every row's ciphertext to one cell of *each* feature. A joint one takes a
group of features, adds every row once to the *combination* of its bins, and then adds combinations
up to the cells of each feature::

    combinations of f, g     00    01    10    11         n rows, one addition each
    cell f = 0               00 +  01                     a few more
    cell g = 1                     01 +        11

With `n` rows, `c` occupied combinations and `k` features of `b` cells each, that is about
``n + k * c`` additions instead of ``k * n``. Groups are chosen node by node from the combinations
that really occur, counted with the conversions they cost (`group_cost`), so a joint histogram is
taken only where it is cheaper than the plain one.

A part that holds many rows (zero balances, missing values) is not added up at all where the node's
total is at hand: it is the total minus the other parts of its group.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel
from secureboost.gbdt.cells import CellLayout

CONVERSION = 8
"""Making a ciphertext of a product costs about as much as this many additions: 6 to 9 with the
IFMA engine, about 4 with the others, where a group that is not taken loses little."""

COMPLEMENT = 60
"""A total minus the other parts costs about this many additions, beside those of the parts."""

MAX_COMBINATIONS = 1 << 18
"""Longest table of combinations that is counted."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class SumPlan:
    """Rounds of `PublicKey.sum_by_segment` that give the cells of some nodes.

    A *part* is a cell of a feature that stands alone, or a combination of a group. All parts of a
    group together are the node's total.

    Attributes
    ----------
    n_cells : int
    rows, starts : arrays, int64
        First round, over the rows' ciphertexts: a segment per part, empty for a complement.
    complements : array, int64
        Parts to be had from the rest.
    total_parts, total_starts : arrays, int64
        For each complement the parts, of another group, that add up to the node's total.
    other_parts, other_starts : arrays, int64
        For each complement the other parts of its own group.
    direct_cells, direct_parts : arrays, int64
        Cells that are a part, and which.
    joint_cells : array, int64
        The other cells.
    parts, part_starts : arrays, int64
        Last round, over the parts: a segment per joint cell.
    """

    n_cells: int
    rows: Integers
    starts: Integers
    complements: Integers
    total_parts: Integers
    total_starts: Integers
    other_parts: Integers
    other_starts: Integers
    direct_cells: Integers
    direct_parts: Integers
    joint_cells: Integers
    parts: Integers
    part_starts: Integers

    @property
    def additions(self) -> int:
        """Summands of all rounds."""
        summands = (self.rows, self.total_parts, self.other_parts, self.parts)
        return sum(map(len, summands))


def plan_sums(
    binned: NDArray[np.uint8],
    rows_of_nodes: Sequence[NDArray[np.int32]],
    features: NDArray[np.int32],
    layout: CellLayout,
) -> SumPlan:
    """Group the features of every node and lay out all rounds.

    Parameters
    ----------
    binned : array of shape (n_features, n_rows), uint8
    rows_of_nodes : sequence of arrays, int32
        The rows whose ciphertexts count, one array per asked node.
    features : array of shape (n_tree_features,), int32
        Rows of `binned` that take part in the tree.
    layout : CellLayout
    """
    cells_of = layout.n_bins.astype(np.int64) + 1
    first_cell = np.cumsum(cells_of) - cells_of
    draft = _Draft()
    for node, rows in enumerate(rows_of_nodes):
        codes = cell_codes(binned, rows, features, layout.n_bins, layout.max_bin)
        groups = []
        for group in choose_groups(codes, cells_of):
            order, sizes, combinations = _occupied(codes, cells_of, group)
            groups.append((group, rows[order], sizes, combinations))
        draft.begin_node()
        # the group with the fewest parts gives the total most cheaply
        for group, sorted_rows, sizes, combinations in sorted(groups, key=lambda g: len(g[2])):
            cells = [first_cell[f] + node * layout.cells_per_node for f in group]
            draft.add(sorted_rows, sizes, cells, combinations, cells_of[list(group)])
        del codes, groups  # ten bytes a row and more, before the pieces are joined
    return draft.finish(layout.cells_per_node * len(rows_of_nodes))


def choose_groups(codes: NDArray[np.uint8], cells_of: Integers) -> list[tuple[int, ...]]:
    """Group a node's features, those with few cells first, as long as that is cheaper.

    Parameters
    ----------
    codes : array of shape (n_features, n_rows), uint8
        Cell of each row in each feature.
    cells_of : array of shape (n_features,), int64
        Cells of each feature, the missing bin included.

    Returns
    -------
    list of tuples of int
        Every feature is in one of them.
    """
    joined: dict[tuple[int, ...], NDArray[np.int32]] = {}

    def occupied(group: tuple[int, ...]) -> int:
        *before, last = group
        if len(before) == 1:  # a new group begins; the one before is not asked for again
            joined.clear()
            joined[tuple(before)] = codes[before[0]].astype(np.int32)
        joined[group] = joined.pop(tuple(before)) * np.int32(cells_of[last]) + codes[last]
        return int(np.count_nonzero(np.bincount(joined[group])))

    return cheapest_groups(codes.shape[1], cells_of, occupied)


def cheapest_groups(
    n_rows: int, cells_of: Integers, occupied: Callable[[tuple[int, ...]], int]
) -> list[tuple[int, ...]]:
    """Group features, those with few cells first, as long as that is cheaper.

    Parameters
    ----------
    n_rows : int
        Rows of the node.
    cells_of : array of shape (n_features,), int64
    occupied : callable
        How many combinations of these features occur, counted or estimated. Asked about groups of
        two or more, each one feature longer than the group so far.
    """
    groups: list[tuple[int, ...]] = []
    group: tuple[int, ...] = ()
    cost = 0
    for feature in np.argsort(cells_of, kind="stable").tolist():
        alone = group_cost(n_rows, int(cells_of[feature]), cells_of[[feature]])
        wider = (*group, feature)
        if group and math.prod(cells_of[list(wider)].tolist()) <= MAX_COMBINATIONS:
            cost_wider = group_cost(n_rows, occupied(wider), cells_of[list(wider)])
            if cost_wider < cost + alone:
                group, cost = wider, cost_wider
                continue
        if group:
            groups.append(group)
        group, cost = (feature,), alone
    return [*groups, group] if group else groups


def group_cost(n_rows: int, combinations: int, cells_of: Integers) -> int:
    """Additions, conversions counted as such, for one group of features over a node's rows.

    Parameters
    ----------
    n_rows : int
    combinations : int
        Occupied combinations; the cells of a feature that stands alone.
    cells_of : array of shape (n_features_of_group,), int64
    """
    first_round = n_rows + combinations * (CONVERSION - 1)
    if len(cells_of) == 1:
        return first_round
    return first_round + len(cells_of) * combinations + int(cells_of.sum()) * (CONVERSION - 1)


def _occupied(
    codes: NDArray[np.uint8], cells_of: Integers, group: tuple[int, ...]
) -> tuple[NDArray[np.int32], Integers, list[Integers]]:
    """Order of rows by combination, rows of each part, and its cell in each feature.

    A feature alone keeps its empty cells (they are parts of no rows); a group does not.
    """
    joined = np.zeros(codes.shape[1], np.int32)
    for feature in group:
        joined = joined * np.int32(cells_of[feature]) + codes[feature]
    order, sizes = counting_sort(joined, int(np.prod(cells_of[list(group)])))
    if len(group) == 1:
        return order, sizes, []
    present = np.flatnonzero(sizes)
    cells = np.unravel_index(present, tuple(cells_of[list(group)].tolist()))
    return order, sizes[present], [np.asarray(cell, np.int64) for cell in cells]


class _Draft:
    """Collects a plan, group by group."""

    def __init__(self) -> None:
        self._n_parts = 0
        self._anchor: Integers | None = None
        self._complements: list[int] = []
        self._total_parts: list[Integers] = []
        self._other_parts: list[Integers] = []
        self._rows: list[NDArray[np.int32]] = []
        self._part_sizes: list[Integers] = []
        self._direct_cells: list[Integers] = []
        self._direct_parts: list[Integers] = []
        self._joint_cells: list[Integers] = []
        self._parts: list[Integers] = []
        self._cell_sizes: list[Integers] = []

    def begin_node(self) -> None:
        self._anchor = None

    def add(
        self,
        rows: NDArray[np.int32],
        part_sizes: Integers,
        first_cells: Sequence[int],
        combinations: Sequence[Integers],
        cells_of: Integers,
    ) -> None:
        part_numbers = self._n_parts + np.arange(len(part_sizes))
        self._n_parts += len(part_sizes)
        self._add_parts(rows, part_sizes, part_numbers)
        if not combinations:
            self._direct_cells.append(first_cells[0] + np.arange(len(part_sizes)))
            self._direct_parts.append(part_numbers)
        for first, cell_of_part, n_cells in zip(first_cells, combinations, cells_of, strict=False):
            order, sizes = counting_sort(cell_of_part.astype(np.int32), int(n_cells))
            self._joint_cells.append(first + np.arange(n_cells))
            self._parts.append(part_numbers[order])
            self._cell_sizes.append(sizes)

    def _add_parts(self, rows: NDArray[np.int32], sizes: Integers, part_numbers: Integers) -> None:
        """Note the rows of each part, leaving out those of a part that the rest gives."""
        occupied = part_numbers[sizes > 0]
        if self._anchor is None:
            self._anchor = occupied
        elif sizes.max(initial=0) > len(occupied) + len(self._anchor) + COMPLEMENT:
            largest = int(sizes.argmax())
            end = int(sizes[: largest + 1].sum())
            rows = np.delete(rows, slice(end - int(sizes[largest]), end))
            sizes = sizes.copy()
            sizes[largest] = 0
            self._complements.append(int(part_numbers[largest]))
            self._total_parts.append(self._anchor)
            self._other_parts.append(occupied[occupied != part_numbers[largest]])
        self._rows.append(rows)
        self._part_sizes.append(sizes)

    def finish(self, n_cells: int) -> SumPlan:
        return SumPlan(
            n_cells,
            _joined(self._rows),
            _starts(self._part_sizes),
            np.array(self._complements, np.int64),
            _joined(self._total_parts),
            _starts([np.array([len(parts)]) for parts in self._total_parts]),
            _joined(self._other_parts),
            _starts([np.array([len(parts)]) for parts in self._other_parts]),
            _joined(self._direct_cells),
            _joined(self._direct_parts),
            _joined(self._joint_cells),
            _joined(self._parts),
            _starts(self._cell_sizes),
        )


def _starts(sizes: Sequence[Integers]) -> Integers:
    return np.append(0, np.cumsum(_joined(sizes))).astype(np.int64)


def _joined(pieces: Sequence[NDArray[Any]]) -> Integers:
    return np.concatenate(pieces).astype(np.int64) if pieces else np.zeros(0, np.int64)


@kernel
def cell_codes(
    binned: NDArray[np.uint8],
    rows: NDArray[np.int32],
    features: NDArray[np.int32],
    n_bins: NDArray[np.int32],
    max_bin: int,
) -> NDArray[np.uint8]:
    """Cell of each row in each feature, shape (n_features, n_rows); missing is the last.

    There are at most 255 bins and the missing one, so a byte holds it.
    """
    codes = np.empty((len(features), len(rows)), np.uint8)
    for f in range(len(features)):
        column = binned[features[f]]
        for i in range(len(rows)):
            value = column[rows[i]]
            codes[f, i] = n_bins[f] if value == max_bin else value
    return codes


@kernel
def counting_sort(
    codes: NDArray[np.int32], n_codes: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Stable order of `codes` and how often each of ``0 .. n_codes - 1`` occurs."""
    sizes = np.zeros(n_codes, np.int64)
    for code in codes:
        sizes[code] += 1
    cursor = np.empty(n_codes, np.int64)
    total = 0
    for code in range(n_codes):
        cursor[code] = total
        total += sizes[code]
    order = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        code = codes[i]
        order[cursor[code]] = i
        cursor[code] += 1
    return order, sizes
