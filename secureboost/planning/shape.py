"""What a training is like: its size, its parameters, and the line between the parties."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from typing import Literal

from crypto.fixed_point import Quantiser
from crypto.modulus import check_key_bits
from crypto.packing import GradientPacking
from crypto.wide import WORD_BYTES, words_for
from secureboost.errors import ConfigError
from secureboost.gbdt.precision import HESSIAN_ERROR, ROUNDING_ERROR
from secureboost.gbdt.protocol import NO_NODE

MAX_DEPTH = NO_NODE.bit_length() - 1
"""A question cannot name the nodes of a deeper level."""

_LIMITS: dict[str, tuple[int, int]] = {
    "rows": (2, 2**31 - 1),
    "eval_rows": (0, 2**31 - 1),
    "own_columns": (0, 2**16),
    "bins": (2, 255),
    "depth": (1, MAX_DEPTH),
    "trees": (1, 10**6),
    "outputs": (1, 10**4),
    "min_child_samples": (1, 2**31 - 1),
}
Place = Literal["apart", "one machine", "one process"]
_SHARES = ("subsample", "colsample_bytree")


@dataclass(frozen=True)
class Shape:
    """The size of a federated training.

    Attributes
    ----------
    rows : int
        Training rows.
    own_columns : int
        Of the label party.
    partner_bins : tuple of tuples of int
        For each feature party the bins of each of its columns, without the missing bin; see
        `equal_bins`.
    bins : int
        Most bins of a column (``max_bin``).
    depth : int
        Of a tree, grown level by level.
    trees : int
    key_bits : int
    min_child_samples : int
    subsample, colsample_bytree : float
        Share of rows and columns drawn for each tree.
    eval_rows : int
        Rows that are not trained on but ride along to be evaluated.
    outputs : int
        Values of a leaf: the number of classes where a tree is for all of them, else 1.

    Raises
    ------
    ConfigError
        Naming the field and its limits.
    crypto.errors.KeySizeError
    """

    rows: int
    own_columns: int
    partner_bins: tuple[tuple[int, ...], ...]
    bins: int = 64
    depth: int = 6
    trees: int = 100
    key_bits: int = 2048
    min_child_samples: int = 1
    subsample: float = 1.0
    colsample_bytree: float = 1.0
    eval_rows: int = 0
    outputs: int = 1

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            _check_integer(name, getattr(self, name), low, high)
        for name in _SHARES:
            _check_share(name, getattr(self, name))
        check_key_bits(self.key_bits)
        if not self.partner_bins:
            raise ConfigError(
                "name the columns of at least one feature party; a label party alone encrypts "
                "nothing",
                "partner_columns",
            )
        for bins in self.partner_bins:
            _check_integer("partner_columns", len(bins), 1, _LIMITS["own_columns"][1])
            for count in bins:
                _check_integer("partner_bins", count, 1, self.bins)

    @property
    def active_rows(self) -> int:
        """Rows drawn for a tree."""
        return max(1, int(self.subsample * self.rows))

    @property
    def all_rows(self) -> int:
        """Training rows and those that ride along."""
        return self.rows + self.eval_rows

    @cached_property
    def packing(self) -> GradientPacking:
        """Widths of histogram cells; outputs that do not fit one ciphertext are dealt out."""
        return gradient_packing(self.rows, self.outputs).fitting(self._plaintext_bits)

    @property
    def cells_per_ciphertext(self) -> int:
        """Histogram cells that travel in one ciphertext."""
        return self.packing.cells_per_ciphertext(self._plaintext_bits)

    @property
    def _plaintext_bits(self) -> int:
        return self.key_bits - 2

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of one ciphertext."""
        return 2 * WORD_BYTES * words_for(self.key_bits)

    def with_bins(self, bins: int) -> "Shape":
        """Return the same with other bins; columns that filled theirs fill the new ones."""
        partner_bins = tuple(
            tuple(bins if count == self.bins else min(count, bins) for count in columns)
            for columns in self.partner_bins
        )
        return replace(self, bins=bins, partner_bins=partner_bins)


@dataclass(frozen=True)
class Link:
    """The line between the label party and the feature parties.

    Attributes
    ----------
    megabits : float
        Megabits per second of the label party's connection, each way; all feature parties share
        it.
    latency : float
        Milliseconds for a question of no size and its answer (what ``ping`` shows).
    place : {"apart", "one machine", "one process"}
        Whether the parties have a machine each, share one, or are simulated in one process, where
        a feature party has one thread.

    Raises
    ------
    ConfigError
    """

    megabits: float = 100.0
    latency: float = 20.0
    place: Place = "apart"

    def __post_init__(self) -> None:
        for name in ("megabits", "latency"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
                raise ConfigError(f"{value!r} is not a number", name)
        if self.megabits <= 0:
            raise ConfigError(f"{self.megabits} must be above 0 Mbit/s", "megabits")
        if not 0 <= self.latency <= 60_000:
            raise ConfigError(f"{self.latency} must be 0 to 60000 ms", "latency")

    def seconds(self, n_bytes: float) -> float:
        """Seconds that so many bytes take one way, latency apart."""
        return 8 * n_bytes / (self.megabits * 1e6)


ONE_MACHINE = Link(math.inf, 0.0, "one machine")
ONE_PROCESS = Link(math.inf, 0.0, "one process")


def gradient_packing(rows: int, outputs: int = 1) -> GradientPacking:
    """Widths of cells as the label party chooses them, whatever the objective.

    Raises
    ------
    crypto.errors.CapacityError
        If sums over so many rows could overflow.
    """
    gradient, hessian = (
        Quantiser(rows, error).max_integer for error in (ROUNDING_ERROR, HESSIAN_ERROR)
    )
    return GradientPacking(rows, gradient, hessian, outputs)


def equal_bins(columns: Sequence[int], bins: int) -> tuple[tuple[int, ...], ...]:
    """Give every column of every party all bins: columns of many different values.

    Parameters
    ----------
    columns : sequence of int
        Number of columns of each party.
    bins : int
    """
    for count in columns:
        _check_integer("partner_columns", count, 1, _LIMITS["own_columns"][1])
    return tuple((bins,) * count for count in columns)


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigError(f"{value!r} is not a whole number", name)
    if not low <= int(value) <= high:
        raise ConfigError(f"{value} must be {low} to {high}", name)


def _check_share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigError(f"{value!r} is not a number", name)
    if not 0 < float(value) <= 1:
        raise ConfigError(f"{value} must be above 0 and at most 1", name)
