"""How many of each operation a tree takes, worked out before there is one.

Two things cannot be known before: how evenly the splits will divide the rows, and which bins occur
together. So it is assumed that

- every node of a level is split as long as it has rows for it, and the smaller siblings of a level
  hold `SMALLER_SHARE` of its rows;
- columns are independent and their bins equally full, which gives the most combinations and so
  the least that joint histograms can save; no bin is frequent enough to be had as a difference;
- every column is as likely to win a node.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from secureboost.gbdt.joint import cheapest_groups
from secureboost.gbdt.remote import BLOCK_ROWS
from secureboost.planning.shape import Shape

SMALLER_SHARE = 0.25
"""Rows of a level in the smaller of two siblings. It is 0.5 where every split is even; in
whole runs on real and made-up tables it was 0.19 to 0.34."""


@dataclass(frozen=True)
class Level:
    """The nodes of one depth, which one question per party is about.

    Attributes
    ----------
    nodes, asked : int
        Nodes to be split, and those whose sums are asked for.
    rows : int
        Rows of the asked nodes that count.
    """

    nodes: int
    asked: int
    rows: int


@dataclass(frozen=True)
class Sums:
    """What a feature party does for one question; each part of a cell counts.

    Attributes
    ----------
    values : int
        Rows times columns, which are sorted into cells.
    groups : int
        Of columns whose histograms are joint, in one node.
    additions : int
        Homomorphic additions of both rounds.
    segments : int
        Sums that they make.
    cells, ciphertexts : int
        Before and after packing.
    """

    values: int
    groups: int
    additions: int
    segments: int
    cells: int
    ciphertexts: int


@dataclass(frozen=True)
class Counts:
    """Operations of one tree; all trees are alike.

    Attributes
    ----------
    shape : Shape
    """

    shape: Shape

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """From the root to the last level that can be split."""
        shape, rows = self.shape, self.shape.active_rows
        most_pairs = rows // (2 * shape.min_child_samples)
        levels = [Level(1, 1, rows)]
        for depth in range(1, shape.depth):
            pairs = min(2 ** (depth - 1), most_pairs)
            if pairs:
                levels.append(Level(2 * pairs, pairs, max(pairs, int(SMALLER_SHARE * rows))))
        return tuple(levels)

    @cached_property
    def partner_bins(self) -> tuple[tuple[int, ...], ...]:
        """Bins of the columns of each party that take part."""
        return tuple(_some(bins, self.shape.colsample_bytree) for bins in self.shape.partner_bins)

    @property
    def own_columns(self) -> int:
        """Own columns that take part."""
        return round(self.shape.colsample_bytree * self.shape.own_columns)

    @property
    def all_columns(self) -> int:
        """Columns that take part, of all parties."""
        return self.own_columns + sum(map(len, self.partner_bins))

    @property
    def blocks(self) -> int:
        """Blocks of gradients sent to each party."""
        return -(-self.shape.active_rows // BLOCK_ROWS)

    @property
    def nodes(self) -> int:
        """Nodes that are searched and divided."""
        return sum(level.nodes for level in self.levels)

    @property
    def own_values(self) -> int:
        """Values that the label party adds up in its own histograms."""
        drawn = sum(level.rows for level in self.levels)
        return int(drawn / self.shape.active_rows * self.shape.all_rows) * self.own_columns

    @cached_property
    def sums(self) -> tuple[tuple[Sums, ...], ...]:
        """Work of each party, level by level."""
        return tuple(
            tuple(_sums(self.shape, level, bins) for level in self.levels)
            for bins in self.partner_bins
        )

    def share_of_wins(self, partner: int) -> float:
        """Share of the nodes that a party's columns win."""
        return len(self.partner_bins[partner]) / self.all_columns


def expected_combinations(n_rows: float, bins: tuple[int, ...]) -> int:
    """How many combinations of bins some rows show, if all are equally likely."""
    width = math.prod(bins)
    return min(math.ceil(-width * math.expm1(-n_rows / width)), math.ceil(n_rows))


def _sums(shape: Shape, level: Level, bins: tuple[int, ...]) -> Sums:
    rows = level.rows / level.asked
    cells_of = np.array(bins, np.int64) + 1  # a cell for missing values
    groups = cheapest_groups(
        round(rows),
        cells_of,
        lambda group: expected_combinations(rows, tuple(bins[f] for f in group)),
    )
    additions, segments = 0.0, 0.0
    for group in groups:
        additions += rows
        if len(group) == 1:
            segments += float(cells_of[group[0]])
            continue
        combinations = expected_combinations(rows, tuple(bins[f] for f in group))
        additions += len(group) * combinations
        segments += combinations + float(cells_of[list(group)].sum())
    cells, parts = level.asked * int(cells_of.sum()), shape.packing.parts
    return Sums(
        values=level.rows * len(bins),
        groups=len(groups),
        additions=parts * round(level.asked * additions),
        segments=parts * round(level.asked * segments),
        cells=parts * cells,
        ciphertexts=parts * -(-cells // shape.cells_per_ciphertext),
    )


def _some(bins: tuple[int, ...], share: float) -> tuple[int, ...]:
    """Pick a share of columns that has few and many bins alike."""
    count = max(1, round(share * len(bins)))
    ordered = sorted(bins)
    return tuple(ordered[(2 * i + 1) * len(bins) // (2 * count)] for i in range(count))
