"""From values to bins: where each column is cut, and in which bin each value lies.

A column has at most `max_bin` bins, cut at upper edges: a value lies in the first bin whose edge
is not below it, so `x <= edge` is "at most this bin". Values above the last edge form the last
bin; missing values (NaN) lie in bin `max_bin`, whatever the column. A column is cut by its own
values alone, so its edges do not depend on who holds it nor on the columns beside it.

A column of categories has no order and no edges: its `max_bin` most frequent categories have a bin
each, all others lie in the missing bin.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from secureboost.compiling import kernel

MAX_BIN_LIMIT = 255  # the missing bin has index max_bin, and a bin is one byte

_NO_EDGES = np.empty(0, dtype=np.float32)
_NO_CODES = np.empty(0, dtype=np.int32)

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, repr=False)
class BinMapper:
    """The bins of a table's columns.

    Attributes
    ----------
    edges : tuple of arrays, float32
        For each column of numbers its upper edges, ascending; one bin more than edges. Empty for
        a column of categories.
    codes : tuple of arrays, int32
        For each column of categories the table's code of each bin, ascending. Empty for a column
        of numbers.
    categorical : array of shape (n_features,), bool
        Which columns are of categories.
    max_bin : int
        Most bins a column may have, and the index of the missing bin.
    """

    edges: tuple[NDArray[np.float32], ...]
    codes: tuple[NDArray[np.int32], ...]
    categorical: NDArray[np.bool_]
    max_bin: int

    @classmethod
    def fit(
        cls,
        X: NDArray[np.float32],
        max_bin: int,
        *,
        categorical: NDArray[np.bool_] | None = None,
        n_jobs: int = 1,
    ) -> "BinMapper":
        """Cut each column of the training rows.

        Parameters
        ----------
        X : array of shape (n_rows, n_features), float32
            Training rows; NaN is missing. Infinite values are refused where data enter.
        max_bin : int
            2 to 255.
        categorical : array of shape (n_features,), bool, optional
            Columns that hold codes of categories, 0, 1, ...; none by default.
        n_jobs : int
            Threads.

        Raises
        ------
        ValueError
            If `max_bin` is outside its limits, or `categorical` is for other columns.
        """
        if not 2 <= max_bin <= MAX_BIN_LIMIT:
            raise ValueError(f"max_bin={max_bin} is outside 2 to {MAX_BIN_LIMIT}")
        n_features = X.shape[1]
        coded = np.zeros(n_features, dtype=np.bool_) if categorical is None else categorical
        if len(coded) != n_features:
            raise ValueError(f"categorical has {len(coded)} entries, X has {n_features} columns")

        def cut(f: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
            if coded[f]:
                return _NO_EDGES, frequent_codes(X[:, f], max_bin)
            return bin_edges(X[:, f], max_bin), _NO_CODES

        cuts = _map(cut, range(n_features), n_jobs)
        return cls(
            edges=tuple(edges for edges, _ in cuts),
            codes=tuple(codes for _, codes in cuts),
            categorical=coded,
            max_bin=max_bin,
        )

    @property
    def n_bins(self) -> NDArray[np.int32]:
        """Bins of each column without the missing bin, at least 1, shape (n_features,), int32."""
        bins = [
            max(1, len(codes)) if coded else len(edges) + 1
            for edges, codes, coded in zip(self.edges, self.codes, self.categorical, strict=True)
        ]
        return np.array(bins, dtype=np.int32)

    def transform(self, X: NDArray[np.float32], *, n_jobs: int = 1) -> NDArray[np.uint8]:
        """Bins of a table, one contiguous row per column.

        Parameters
        ----------
        X : array of shape (n_rows, n_features), float32
        n_jobs : int
            Threads.

        Returns
        -------
        array of shape (n_features, n_rows), uint8

        Raises
        ------
        ValueError
            If `X` has another number of columns than were cut.
        """
        if X.shape[1] != len(self.edges):
            raise ValueError(f"X has {X.shape[1]} columns, the bins were cut on {len(self.edges)}")
        binned = np.empty((X.shape[1], X.shape[0]), dtype=np.uint8)

        def fill(f: int) -> None:
            column = np.ascontiguousarray(X[:, f], dtype=np.float32)
            if self.categorical[f]:
                assign_codes(column, self._bin_of_code(f), self.max_bin, binned[f])
            else:
                assign_bins(column, self.edges[f], self.max_bin, binned[f])

        _map(fill, range(X.shape[1]), n_jobs)
        return binned

    def threshold(self, feature: int, cut: int) -> float:
        """The value of a cut: rows with ``x <= threshold`` lie in bin `cut` or below.

        The cut after the last bin separates every value from missing: its threshold is infinity.
        """
        edges = self.edges[feature]
        return float(edges[cut]) if cut < len(edges) else float("inf")

    def kept_names(self, feature: int, names: Sequence[str]) -> tuple[str, ...]:
        """Of the names of a column's table codes those that have a bin, in the order of bins."""
        return tuple(names[code] for code in self.codes[feature])

    def _bin_of_code(self, feature: int) -> NDArray[np.uint8]:
        """The bin of each table code up to the last one that has a bin of its own."""
        codes = self.codes[feature]
        bins = np.full(codes.max(initial=-1) + 1, self.max_bin, dtype=np.uint8)
        bins[codes] = np.arange(len(codes), dtype=np.uint8)
        return bins


def bin_edges(column: NDArray[np.float32], max_bin: int) -> NDArray[np.float32]:
    """Upper edges of one column's bins.

    Edges lie half-way between neighbouring distinct values: between all of them if there are at
    most `max_bin`, else where the bins come out with about equally many rows. A value that fills
    a bin has one of its own, and the others share the rest, so that a column that is mostly zero
    still gets all its bins.

    Parameters
    ----------
    column : array of shape (n_rows,), float32
        Training rows; NaN is missing and does not count.
    max_bin : int

    Returns
    -------
    array of shape (at most max_bin - 1,), float32
        Strictly ascending. Empty for a column without two distinct values.
    """
    values = np.asarray(column, dtype=np.float32)
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(distinct) <= max_bin:
        return _between(distinct[:-1], distinct[1:])
    after = equal_rows(counts.astype(np.int64), max_bin)
    return _between(distinct[after], distinct[after + 1])


@kernel
def equal_rows(counts: NDArray[np.int64], max_bin: int) -> NDArray[np.int64]:
    """Indices of the distinct values after which to cut for bins of about equally many rows.

    A value with at least ``1 / max_bin`` of the rows is heavy and gets a bin of its own. The other
    values share the other bins, in order: a bin closes once it holds its share of the light rows
    that are left, and before a heavy value, unless it is the last one for light values (then the
    few before a heavy value join its bin). All in integers: no rounding.

    Parameters
    ----------
    counts : array of shape (n_distinct,), int64
        Rows of each distinct value, more than `max_bin` of them.
    max_bin : int
    """
    heavy = counts * max_bin >= counts.sum()
    light_bins = max_bin - heavy.sum()
    light_rows = counts.sum()
    for i in range(len(counts)):
        if heavy[i]:
            light_rows -= counts[i]
    after = np.empty(max_bin - 1, dtype=np.int64)
    n_cuts = 0
    in_bin = 0  # light rows
    for i in range(len(counts) - 1):
        if not heavy[i]:
            in_bin += counts[i]
            full = in_bin * light_bins >= light_rows
            if not full and not (heavy[i + 1] and light_bins > 1):
                continue
            light_bins -= 1
        light_rows -= in_bin
        in_bin = 0
        after[n_cuts] = i
        n_cuts += 1
    return after[:n_cuts]


def frequent_codes(column: NDArray[np.float32], max_bin: int) -> NDArray[np.int32]:
    """The categories that get a bin: the most frequent ones, in a tie those of lower code.

    Parameters
    ----------
    column : array of shape (n_rows,), float32
        Codes of training rows; NaN is missing and does not count.
    max_bin : int

    Returns
    -------
    array of shape (at most max_bin,), int32
        Codes, ascending. Empty for a column without values.
    """
    counts = np.bincount(column[~np.isnan(column)].astype(np.int64))
    first = np.argsort(-counts, kind="stable")[:max_bin]
    return np.sort(first[counts[first] > 0]).astype(np.int32)


@kernel
def assign_bins(
    column: NDArray[np.float32], edges: NDArray[np.float32], max_bin: int, out: NDArray[np.uint8]
) -> None:
    """Write each value's bin into `out`: the number of edges below it, `max_bin` for NaN."""
    for row in range(len(column)):
        value = column[row]
        if np.isnan(value):
            out[row] = max_bin
            continue
        low, high = 0, len(edges)
        while low < high:
            middle = (low + high) // 2
            if value <= edges[middle]:
                high = middle
            else:
                low = middle + 1
        out[row] = low


@kernel
def assign_codes(
    column: NDArray[np.float32],
    bin_of_code: NDArray[np.uint8],
    max_bin: int,
    out: NDArray[np.uint8],
) -> None:
    """Write each code's bin into `out`: `max_bin` for NaN and for codes not in `bin_of_code`."""
    for row in range(len(column)):
        code = column[row]
        if 0 <= code < len(bin_of_code):  # false for NaN
            out[row] = bin_of_code[int(code)]
        else:
            out[row] = max_bin


def _between(lower: NDArray[np.float32], upper: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thresholds with lower <= threshold < upper, in float32 too."""
    middle = ((lower.astype(np.float64) + upper) / 2).astype(np.float32)
    # neighbouring floats have no float between them, and the middle may round up
    return np.where(middle < upper, middle, lower)


def _map(function: Callable[[_In], _Out], items: Iterable[_In], n_jobs: int) -> list[_Out]:
    if n_jobs == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_jobs) as pool:
        return list(pool.map(function, items))
