"""From a party's columns to what its bottom is fed with, batch by batch.

Numbers are standardised by the training rows; a missing one becomes 0, the mean, and columns that
have missing values among the training rows give one number more that says so. Categories become
codes; code 0 is a missing value or a category that the training rows do not have.

For training a table that is small enough is brought into that form once, so that a batch is copied
together quickly. Otherwise nothing is copied for all rows: a batch is picked from the table's
float32 columns when it is due.
"""

import hashlib

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secureboost.alignment import ABSENT
from secureboost.dictionary import Categories, map_codes
from secureboost.splitnn.architectures.base import ColumnsSpec, missing_name
from secureboost.splitnn.table import Columns
from secureboost.splitnn.tensors import DTYPES

SMALLEST = float(np.finfo(np.float32).tiny)
"""Standard deviation at which a column counts as constant."""

FARTHEST = 20.0
"""Standard deviations from the mean beyond which a number counts as that far away."""


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """How columns become inputs: kept with a bottom, by its owner alone.

    Attributes
    ----------
    names : tuple of str
        The columns, in the order of the table.
    means, scales : tuple of float
        Of each column of numbers among the training rows; 0 and 1 for categories.
    gaps : tuple of bool
        Which columns of numbers have missing values there.
    categories : tuple of (tuple of str, or None)
        For each column of categories the names of its codes 1, 2, ...; None for numbers.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    gaps: tuple[bool, ...]
    categories: Categories

    @property
    def spec(self) -> ColumnsSpec:
        """What a bottom is told of its inputs."""
        kinds = list(zip(self.names, self.gaps, self.categories, strict=True))
        return ColumnsSpec(
            numbers=(
                *(name for name, _, names in kinds if names is None),
                *(missing_name(name) for name, gaps, _ in kinds if gaps),
            ),
            categories=tuple(name for name, _, names in kinds if names is not None),
            n_codes=tuple(len(names) + 1 for *_, names in kinds if names is not None),
        )


def prepare(table: Columns, training_rows: NDArray[np.int32]) -> Preparation:
    """Measure columns.

    Parameters
    ----------
    table : Columns
    training_rows : array, int32
        Positions of the training rows in the table. Sums are taken in their order.
    """
    means, scales, gaps, categories = [], [], [], []
    for column, names in zip(table.columns, table.categories, strict=True):
        values = pick(column, training_rows).astype(np.float64)
        missing = np.isnan(values)
        present = values[~missing]
        mean, scale, known = 0.0, 1.0, None
        if names is not None:
            known = tuple(names[code] for code in np.unique(present).astype(np.intp))
        elif len(present):
            mean = float(present.mean())
            deviation = float(np.sqrt(np.square(present - mean).mean()))
            scale = deviation if deviation > SMALLEST else 1.0
        means.append(mean)
        scales.append(scale)
        gaps.append(names is None and bool(missing.any()))
        categories.append(known)
    return Preparation(
        names=table.feature_names,
        means=tuple(means),
        scales=tuple(scales),
        gaps=tuple(gaps),
        categories=tuple(categories),
    )


KEPT_BYTES = 64 << 20
"""Most that the inputs of all rows may take to be kept: 800,000 rows of 20 float32."""

MADE_ROWS = 65_536
"""Rows that are made at a time, where all are."""


class Inputs:
    """The columns of a table as tensors.

    Parameters
    ----------
    table : Columns
    preparation : Preparation
        Of this table, or of another one with the same columns.
    dtype : str
        ``"float32"`` or ``"float64"``.
    keep : bool
        Rows will be asked for again and again: make all of them now, unless that takes more than
        `KEPT_BYTES`.

    Raises
    ------
    secureboost.errors.DataError
        If a column is of categories on one side alone; it is named by its position.
    """

    def __init__(
        self, table: Columns, preparation: Preparation, dtype: str, *, keep: bool = False
    ) -> None:
        self._columns = table.columns
        self._dtype = DTYPES[dtype]
        of_numbers = np.array([names is None for names in preparation.categories], np.bool_)
        self._numbers = np.flatnonzero(of_numbers)
        self._means = np.array(preparation.means, dtype)[of_numbers, np.newaxis]
        self._scales = np.array(preparation.scales, dtype)[of_numbers, np.newaxis]
        self._gaps = np.flatnonzero(np.array(preparation.gaps, np.bool_)[of_numbers])
        self._categories = np.flatnonzero(~of_numbers)
        self._lookups = _lookups(table, preparation)
        self._kept: tuple[Tensor, Tensor] | None = None
        if keep:
            self._keep(table.columns.shape[1])

    def batch(self, rows: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """Make the tensors of some rows.

        Parameters
        ----------
        rows : array of shape (n,), int32
            Positions in the table.

        Returns
        -------
        numbers : tensor of shape (n, n_numbers)
        codes : tensor of shape (n, n_categories), int64
        """
        if self._kept is None:
            return self._made(rows)
        numbers, codes = (_copied(kept, rows) for kept in self._kept)
        return numbers, codes

    def _keep(self, n_rows: int) -> None:
        """Make all rows, if they may be kept; behind them one that the table does not have."""
        of_row = len(self._numbers) + len(self._gaps), len(self._categories)
        if (n_rows + 1) * (of_row[0] * self._dtype.itemsize + of_row[1] * 8) > KEPT_BYTES:
            return
        rows = np.append(np.arange(n_rows, dtype=np.int32), np.int32(ABSENT))
        parts = [self._made(rows[at : at + MADE_ROWS]) for at in range(0, len(rows), MADE_ROWS)]
        numbers, codes = (torch.cat(of_parts) for of_parts in zip(*parts, strict=True))
        self._kept = numbers, codes

    def _made(self, rows: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """See `batch`; from the table's own columns."""
        values = pick(self._columns, rows)
        return self._scaled(values[self._numbers]), self._coded(values)

    def _scaled(self, values: NDArray[np.float32]) -> Tensor:
        """Standardise columns of numbers, (n_columns, n_rows); say where values are missing."""
        n_numbers, n_rows = values.shape
        missing = np.isnan(values)
        with np.errstate(over="ignore"):  # what is infinite counts as far away
            scaled = (values - self._means) / self._scales
        np.copyto(scaled, 0.0, where=missing)
        np.clip(scaled, -FARTHEST, FARTHEST, out=scaled)
        numbers = torch.empty((n_rows, n_numbers + len(self._gaps)), dtype=self._dtype)
        numbers.numpy()[:, :n_numbers] = scaled.T
        numbers.numpy()[:, n_numbers:] = missing[self._gaps].T
        return numbers

    def _coded(self, values: NDArray[np.float32]) -> Tensor:
        """Turn the table's codes in columns of categories into ours."""
        codes = torch.empty((values.shape[1], len(self._categories)), dtype=torch.int64)
        for place, feature in enumerate(self._categories):
            lookup = self._lookups[place]
            of_table = np.nan_to_num(values[feature], nan=len(lookup) - 1)
            codes.numpy()[:, place] = lookup[of_table.astype(np.intp)]
        return codes


def _copied(kept: Tensor, rows: NDArray[np.int32]) -> Tensor:
    """Some rows of a tensor; `ABSENT`, -1, is its last."""
    copy = torch.empty((len(rows), kept.shape[1]), dtype=kept.dtype)
    np.take(kept.numpy(), rows, axis=0, out=copy.numpy(), mode="wrap")
    return copy


def pick(columns: NDArray[np.float32], rows: NDArray[np.int32]) -> NDArray[np.float32]:
    """Values of some rows; all of a row that the table does not have are missing.

    Parameters
    ----------
    columns : array of shape (..., n_rows), float32
    rows : array of shape (n,), int32
        Positions in the table, or `alignment.ABSENT`.

    Returns
    -------
    array of shape (..., n), float32
    """
    values = np.take(columns, rows, axis=-1)
    values[..., rows == ABSENT] = np.nan
    return values


def _lookups(table: Columns, preparation: Preparation) -> list[NDArray[np.int64]]:
    """For each column of categories our code of each of the table's codes, and of NaN behind."""
    kinds = zip(table.columns, table.categories, preparation.categories, strict=True)
    empty = [(a is None) != (b is None) and bool(np.isnan(column).all()) for column, a, b in kinds]
    maps = map_codes(table.categories, preparation.categories, empty=empty)
    return [
        np.append(np.zeros(0, np.int64) if codes is None else codes.astype(np.int64) + 1, 0)
        for codes, names in zip(maps, preparation.categories, strict=True)
        if names is not None
    ]


def content_digest(table: Columns, rows: NDArray[np.int32]) -> str:
    """SHA-256 of columns and their values in these rows: training goes on over these alone."""
    digest = hashlib.sha256(msgspec.json.encode((table.feature_names, table.categories)))
    for column in table.columns:
        digest.update(pick(column, rows).tobytes())
    return digest.hexdigest()
