"""A feature party's columns as they are trained on: bins of the rows that both sides agreed on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.alignment import ABSENT
from secureboost.binning import BinMapper
from secureboost.dictionary import Categories
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.row_order import RowOrder


@dataclass(frozen=True, repr=False)
class FeatureBins:
    """Binned columns and what their bins mean.

    Attributes
    ----------
    mapper : BinMapper
        Cut by the first `n_training` rows.
    binned : array of shape (n_features, n_rows), uint8
    rows : array of shape (n_rows,), int32
        Positions of the rows in the table; `alignment.ABSENT` where it has none.
    n_training : int
    categories : Categories
        For each column of categories the names of its codes (bins); None for a column of numbers.
    """

    mapper: BinMapper
    binned: NDArray[np.uint8]
    rows: NDArray[np.int32]
    n_training: int
    categories: Categories

    @cached_property
    def n_bins(self) -> NDArray[np.int32]:
        """Bins of each column without the missing bin, shape (n_features,), int32."""
        return self.mapper.n_bins

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which columns are of categories, shape (n_features,), bool."""
        return self.mapper.categorical

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of bins, edges, names of categories and choice of rows.

        The rows are in it so that nobody learns from "the same bins or not" whether two rows are
        alike, by asking for the one in the place of the other. Their order is not: it is another
        one where both sides have agreed on the same rows anew.
        """
        mapper = self.mapper
        order = RowOrder.by_position(self.rows, self.n_training).rows
        head = (
            mapper.max_bin,
            self.n_training,
            self.categories,
            [len(edges) for edges in mapper.edges],
        )
        digest = hashlib.sha256(msgspec.msgpack.encode(head))
        for array in (self.rows[order], *mapper.edges):
            digest.update(np.ascontiguousarray(array).data)
        for bins in self.binned:
            digest.update(bins[order].data)
        return digest.digest()


def bin_rows(
    table: FeatureTable, rows: NDArray[np.int32], n_training: int, max_bin: int, n_jobs: int
) -> FeatureBins:
    """Cut the columns by the first rows and put all rows into bins.

    Parameters
    ----------
    table : FeatureTable
    rows : array of shape (n_rows,), int32
        In the table; `alignment.ABSENT` for a row of missing values.
    n_training : int
        At most ``len(rows)``.
    max_bin : int
    n_jobs : int
        Threads.
    """
    X = table.columns[:, rows].T
    X[rows == ABSENT] = np.nan
    mapper = BinMapper.fit(X[:n_training], max_bin, categorical=table.categorical, n_jobs=n_jobs)
    return FeatureBins(
        mapper=mapper,
        binned=mapper.transform(X, n_jobs=n_jobs),
        rows=rows,
        n_training=n_training,
        categories=tuple(
            None if names is None else mapper.kept_names(column, names)
            for column, names in enumerate(table.categories)
        ),
    )
