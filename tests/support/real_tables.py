"""The real tables under SECUREBOOST_DATA, joined, for tests that compare with other libraries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from secureboost.binning import BinMapper


@dataclass(frozen=True, repr=False)
class Folds:
    """Training and held-out rows of a table, drawn as for the quality marks of house and peers."""

    X: pd.DataFrame
    y: NDArray[np.float64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def of(cls, X: pd.DataFrame, y, most_rows: int = 12_000) -> "Folds":
        """Four fifths for training, of at most so many rows."""
        order = np.random.RandomState(0).permutation(len(X))[:most_rows]
        cut = len(order) * 4 // 5
        return cls(X, np.asarray(y, dtype=np.float64), order[:cut], order[cut:])

    def part(self, rows: NDArray[np.int64]) -> tuple[pd.DataFrame, NDArray[np.float64]]:
        return self.X.iloc[rows], self.y[rows]

    @property
    def sets(self) -> list[tuple[pd.DataFrame, NDArray[np.float64]]]:
        """Training rows and held-out rows."""
        return [self.part(self.train), self.part(self.test)]

    def on_bins(self, max_bin: int) -> "Folds":
        """The same table with numbers of bins for values, so that all libraries cut alike."""
        values = self.X.to_numpy(np.float32)
        binned = BinMapper.fit(values[self.train], max_bin).transform(values).T.astype(np.float32)
        binned[binned == max_bin] = np.nan
        frame = pd.DataFrame(binned, self.X.index, self.X.columns)
        return Folds(frame, self.y, self.train, self.test)


def read(folder: Path, name: str) -> pd.DataFrame:
    """One party's table, indexed by id; the test skips if it is absent."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"no real tables: {path} is absent")
    return pd.read_csv(path, dtype={"id": str}).set_index("id")


def credit_scaled(data_folder: Path) -> pd.DataFrame:
    """30,000 credit card clients, standardised; the label is ``y``."""
    folder = data_folder / "credit_default_scaled"
    return read(folder, "guest").join(read(folder, "host").add_prefix("host_"))


def credit(data_folder: Path) -> pd.DataFrame:
    """The clients that lender and partner share, raw; the label is ``default``."""
    folder = data_folder / "credit_default"
    return read(folder, "lender").join(read(folder, "partner"), how="inner")


def german(data_folder: Path) -> pd.DataFrame:
    """1,000 loans with 13 columns of categories; the label is ``bad``."""
    folder = data_folder / "german_credit"
    return categories(read(folder, "lender").join(read(folder, "partner")))


def bank(data_folder: Path) -> pd.DataFrame:
    """15,000 phone calls with 10 columns of categories; the label is ``y``.

    Without the length of the call, which is known only when the answer is.
    """
    folder = data_folder / "bank_marketing"
    table = read(folder, "bank").join(read(folder, "partner"))
    return categories(table.drop(columns="duration"))


def categories(table: pd.DataFrame) -> pd.DataFrame:
    """Text as pandas' categories, which all libraries take as such."""
    text = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    return table.astype(dict.fromkeys(text, "category"))
