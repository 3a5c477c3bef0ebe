"""Tables to measure on: the real credit data, or made-up columns of any size."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"


@dataclass(frozen=True, repr=False)
class Vertical:
    """A vertically split table with a hold-out.

    Attributes
    ----------
    name : str
    label, feature : DataFrame
        Columns of the label party and of the feature party, in one row order.
    y : array of shape (n_rows,), uint8
    train, test : arrays of int64
        Row positions.
    """

    name: str
    label: pd.DataFrame
    feature: pd.DataFrame
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray


def credit(folder: Path | None = None) -> Vertical:
    """Read the table on which the competitors were measured: 30,000 x (13 + 10).

    The split is the usual one for it: `RandomState(0)`, the first 24,000 rows train.
    """
    folder = folder or Path(os.environ.get("SECUREBOOST_DATA", SHARED))
    folder = folder / "credit_default_scaled"
    guest = pd.read_csv(folder / "guest.csv", dtype={"id": str}).set_index("id")
    host = pd.read_csv(folder / "host.csv", dtype={"id": str}).set_index("id")
    order = np.random.RandomState(0).permutation(len(guest))
    return Vertical(
        "credit_default_scaled",
        guest.drop(columns="y"),
        host,
        guest["y"].to_numpy(np.uint8),
        order[:24_000],
        order[24_000:],
    )


def made_up(rows: int, own: int, partner: int, seed: int = 0) -> Vertical:
    """Draw normal columns with a signal on both sides and across them; a fifth is held out."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"{i:09d}" for i in range(rows)], name="id")
    X = rng.standard_normal((rows, own + partner), dtype=np.float32)
    effect = X @ rng.normal(size=own + partner) / np.sqrt(own + partner) + X[:, 0] * X[:, own]
    y = (effect + rng.logistic(size=rows) > 1.5).astype(np.uint8)
    return Vertical(
        f"made up, {rows:,} x ({own} + {partner})",
        pd.DataFrame(X[:, :own], ids, [f"own{i}" for i in range(own)]),
        pd.DataFrame(X[:, own:], ids, [f"far{i}" for i in range(partner)]),
        y,
        np.arange(rows - rows // 5),
        np.arange(rows - rows // 5, rows),
    )
