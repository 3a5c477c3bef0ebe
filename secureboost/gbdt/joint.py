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

from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.sorting import cell_codes, count_distinct, counting_sort

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
    rows : array, int32
    starts : array, int64
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
    rows: NDArray[np.int32]
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
        of_parts = (self.total_parts, self.other_parts, self.parts)
        return len(self.rows) + sum(map(len, of_parts))


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
    nodes = []
    for rows in rows_of_nodes:
        codes = cell_codes(binned, rows, features, layout.n_bins, layout.max_bin)
        nodes.append((rows, codes, choose_groups(codes, cells_of)))
    draft = _Draft(sum(len(rows) * len(groups) for rows, _, groups in nodes))
    for node, (rows, codes, groups) in enumerate(nodes):
        draft.begin_node()
        # the group with the fewest parts gives the total most cheaply
        for group in sorted(groups, key=lambda group: _combinations(cells_of, group)):
            cells = [first_cell[f] + node * layout.cells_per_node for f in group]
            parts = _occupied(rows, codes, cells_of, group)
            draft.add(*parts, cells, cells_of[list(group)])
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
    joined = np.empty(0, np.int32)

    def occupied(group: tuple[int, ...]) -> int:
        nonlocal joined
        *before, last = group
        if len(before) == 1:  # a new group begins; the one before is not asked for again
            joined = codes[before[0]].astype(np.int32)
        _append(joined, cells_of[last], codes[last])
        return count_distinct(joined, _combinations(cells_of, group))

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
        if group and _combinations(cells_of, wider) <= MAX_COMBINATIONS:
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


def _combinations(cells_of: Integers, group: tuple[int, ...]) -> int:
    """How many combinations of these features' cells there are, occupied or not."""
    return math.prod(cells_of[list(group)].tolist())


def _append(joined: NDArray[np.int32], n_cells: int, codes: NDArray[np.uint8]) -> None:
    """Widen combinations by one feature, in place."""
    joined *= np.int32(n_cells)
    joined += codes


def _occupied(
    rows: NDArray[np.int32],
    codes: NDArray[np.uint8],
    cells_of: Integers,
    group: tuple[int, ...],
) -> tuple[NDArray[np.int32], Integers, list[Integers]]:
    """Rows sorted by combination, rows of each part, and its cell in each feature.

    A feature alone keeps its empty cells (they are parts of no rows); a group does not.
    """
    joined = codes[group[0]].astype(np.int32)
    for feature in group[1:]:
        _append(joined, cells_of[feature], codes[feature])
    in_order, sizes = counting_sort(joined, rows, _combinations(cells_of, group))
    if len(group) == 1:
        return in_order, sizes, []
    present = np.flatnonzero(sizes)
    cells = np.unravel_index(present, tuple(cells_of[list(group)].tolist()))
    return in_order, sizes[present], [np.asarray(cell, np.int64) for cell in cells]


class _Draft:
    """Collects a plan, group by group.

    Parameters
    ----------
    most_rows : int
        Summands of the first round if no part is had from the rest.
    """

    def __init__(self, most_rows: int) -> None:
        self._n_parts = 0
        self._anchor: Integers | None = None
        self._complements: list[int] = []
        self._total_parts: list[Integers] = []
        self._other_parts: list[Integers] = []
        self._rows = np.empty(most_rows, np.int32)
        self._n_rows = 0
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
        combinations: Sequence[Integers],
        first_cells: Sequence[int],
        cells_of: Integers,
    ) -> None:
        part_numbers = self._n_parts + np.arange(len(part_sizes))
        self._n_parts += len(part_sizes)
        self._add_parts(rows, part_sizes, part_numbers)
        if not combinations:
            self._direct_cells.append(first_cells[0] + np.arange(len(part_sizes)))
            self._direct_parts.append(part_numbers)
        for first, cell_of_part, n_cells in zip(first_cells, combinations, cells_of, strict=False):
            codes = cell_of_part.astype(np.int32)
            in_order, sizes = counting_sort(codes, part_numbers, int(n_cells))
            self._joint_cells.append(first + np.arange(n_cells))
            self._parts.append(in_order)
            self._cell_sizes.append(sizes)

    def _add_parts(self, rows: NDArray[np.int32], sizes: Integers, part_numbers: Integers) -> None:
        """Note the rows of each part, leaving out those of a part that the rest gives."""
        occupied = part_numbers[sizes > 0]
        begin = end = len(rows)
        if self._anchor is None:
            self._anchor = occupied
        elif sizes.max(initial=0) > len(occupied) + len(self._anchor) + COMPLEMENT:
            largest = int(sizes.argmax())
            end = int(sizes[: largest + 1].sum())
            begin = end - int(sizes[largest])
            sizes = sizes.copy()
            sizes[largest] = 0
            self._complements.append(int(part_numbers[largest]))
            self._total_parts.append(self._anchor)
            self._other_parts.append(occupied[occupied != part_numbers[largest]])
        for kept in (rows[:begin], rows[end:]):
            self._rows[self._n_rows : self._n_rows + len(kept)] = kept
            self._n_rows += len(kept)
        self._part_sizes.append(sizes)

    def finish(self, n_cells: int) -> SumPlan:
        return SumPlan(
            n_cells,
            self._rows[: self._n_rows],
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
