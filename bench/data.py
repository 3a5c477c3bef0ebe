"""Tables to measure on: the real ones, or made-up columns of any size."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from secureboost import pool_tables

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@dataclass(frozen=True, repr=False)
class Vertical:
    """A vertically split table with a hold-out.

    Attributes
    ----------
    name : str
    label : DataFrame
        Columns of the label party, indexed by row id.
    features : dict of str to DataFrame
        Columns of each feature party, in the same row order.
    y : array of shape (n_rows,), uint8
    train, test : arrays of int64
        Row positions.
    """

    name: str
    label: pd.DataFrame
    features: dict[str, pd.DataFrame]
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray

    def trained_on_all(self) -> "Vertical":
        """The same table without a hold-out: all rows train, and are what is scored."""
        every_row = np.arange(len(self.y))
        return replace(self, train=every_row, test=every_row)

    def pooled(self) -> pd.DataFrame:
        """Everybody's columns side by side, the label party's first."""
        return pool_tables(self.label, self.features)[0]


def credit(folder: Path | None = None) -> Vertical:
    """Read the table on which the competitors were measured: 30,000 x (13 + 10).

    The split is the usual one for it: `RandomState(0)`, the first 24,000 rows train.
    """
    folder = folder or Path(os.environ.get("SECUREBOOST_DATA", SHARED))
    folder = folder / "credit_default_scaled"
    label = pd.read_csv(folder / "guest.csv", dtype={"id": str}).set_index("id")
    feature = pd.read_csv(folder / "host.csv", dtype={"id": str}).set_index("id")
    order = np.random.RandomState(0).permutation(len(label))
    return Vertical(
        "credit_default_scaled",
        label.drop(columns="y"),
        {"partner": feature},
        label["y"].to_numpy(np.uint8),
        order[:24_000],
        order[24_000:],
    )


def made_up(rows: int, own: int, partner: int, *, parties: int = 1, seed: int = 0) -> Vertical:
    """Draw normal columns with a signal on all sides and across them; a fifth is held out.

    Parameters
    ----------
    rows : int
    own : int
        Columns of the label party.
    partner : int
        Columns of each feature party.
    parties : int
        Feature parties.
    seed : int
    """
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"{i:09d}" for i in range(rows)], name="id")
    columns = own + partner * parties
    X = rng.standard_normal((rows, columns), dtype=np.float32)
    effect = X @ rng.normal(size=columns) / np.sqrt(columns) + X[:, 0] * X[:, own]
    y = (effect + rng.logistic(size=rows) > 1.5).astype(np.uint8)
    shares = np.split(X[:, own:], parties, axis=1)
    return Vertical(
        f"made up, {rows:,} x ({' + '.join(map(str, [own] + [partner] * parties))})",
        pd.DataFrame(X[:, :own], ids, [f"own{i}" for i in range(own)]),
        {
            "partner" if number == 0 else f"partner{number + 1}": pd.DataFrame(
                share, ids, [f"far{number}_{i}" for i in range(partner)]
            )
            for number, share in enumerate(shares)
        },
        y,
        np.arange(rows - rows // 5),
        np.arange(rows - rows // 5, rows),
    )


def credit_default(folder: Path | None = None) -> Vertical:
    """Read the raw credit table: the customers that both companies have, in the lender's order."""
    folder = folder or Path(os.environ.get("SECUREBOOST_DATA", SHARED))
    lender = read_table(folder / "credit_default" / "lender.csv")
    partner = read_table(folder / "credit_default" / "partner.csv")
    both = lender.index.intersection(partner.index, sort=False)
    return vertical("credit_default", lender.loc[both], partner.loc[both], "default")


def bank_marketing(folder: Path | None = None) -> Vertical:
    """Read the bank's calls, without their length: that is known only when the answer is."""
    folder = folder or Path(os.environ.get("SECUREBOOST_DATA", SHARED))
    bank = read_table(folder / "bank_marketing" / "bank.csv").drop(columns="duration")
    partner = read_table(folder / "bank_marketing" / "partner.csv")
    return vertical("bank_marketing", bank, partner, "y")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table and index it by its ids."""
    return pd.read_csv(path, dtype={"id": str}).set_index("id")


def vertical(name: str, own: pd.DataFrame, partner: pd.DataFrame, label: str) -> Vertical:
    """Put two tables of the same rows together; a fifth is held out."""
    order = np.random.RandomState(0).permutation(len(own))
    train, test = np.split(order, [len(own) * 4 // 5])
    y = own[label].to_numpy(np.uint8)
    return Vertical(name, own.drop(columns=label), {"partner": partner}, y, train, test)
