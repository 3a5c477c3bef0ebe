"""A small federated table with numbers, categories and gaps on both sides, and targets of it."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from secureboost import FeatureParty

N_ROWS = 400


@dataclass(frozen=True)
class Credit:
    """The tables of a lender and of a bureau, which has more rows in another order.

    Attributes
    ----------
    lender, bureau : DataFrame
        Indexed by id.
    amount : array of shape (N_ROWS,), float64
        A positive target that columns of both sides carry.
    """

    lender: pd.DataFrame
    bureau: pd.DataFrame
    amount: np.ndarray
    party: FeatureParty = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "party", FeatureParty("bureau", self.bureau))

    @property
    def bad(self) -> np.ndarray:
        """Two classes."""
        return (self.amount > np.median(self.amount)).astype(np.int64)

    @property
    def grade(self) -> np.ndarray:
        """Three classes, as text."""
        cuts = np.quantile(self.amount, [0.3, 0.7])
        return np.array(["A", "B", "C"])[np.digitize(self.amount, cuts)]

    @property
    def pooled(self) -> pd.DataFrame:
        """Everybody's columns under the names of an exported model."""
        return self.lender.join(self.bureau.add_prefix("bureau."))


def make_credit(seed: int = 0) -> Credit:
    """Draw the tables."""
    rng = np.random.default_rng(seed)
    ids = [f"K{i:04d}" for i in range(N_ROWS + 50)]
    lender = pd.DataFrame(
        {
            "age": rng.normal(40, 10, N_ROWS),
            "branch": rng.choice(list("abcdefgh"), N_ROWS),
            "term": rng.integers(1, 6, N_ROWS),
        },
        index=ids[:N_ROWS],
    )
    bureau = pd.DataFrame(
        {
            "income": rng.exponential(2000, len(ids)),
            "sector": rng.choice(
                ["farm", "state", "trade", "rail", "mine", "sea", "air"], len(ids)
            ),
        },
        index=ids,
    )
    effect = (
        0.05 * lender["age"]
        + lender["branch"].isin(["a", "d", "g"])
        - 0.3 * lender["term"]
        + 2.0 * (bureau["income"].iloc[:N_ROWS] < 900)
        + 1.5 * bureau["sector"].iloc[:N_ROWS].isin(["farm", "rail"])
    )
    amount = np.exp(0.5 * effect.to_numpy() + rng.normal(0, 0.2, N_ROWS))
    lender.iloc[::9, 0] = np.nan
    lender.iloc[::11, 1] = None
    bureau.iloc[::7, 0] = np.nan
    bureau.iloc[::13, 1] = None
    return Credit(lender, bureau.iloc[rng.permutation(len(ids))], amount)
