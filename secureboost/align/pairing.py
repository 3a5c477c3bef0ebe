"""From matches to pairs of rows: which label rows are kept, and what stands beside them."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from secureboost.align.join_options import AsOfOptions, WindowOptions


class MatchCounts(msgspec.Struct, kw_only=True):
    """What became of the label events that are decided.

    Attributes
    ----------
    matched : int
        Label events with a match.
    pairs : int
        Their matches.
    cut : int
        Matches above `WindowTerms.max_matches`, dropped.
    unmatched : int
        Label events without a match.
    kept_unmatched : int
        Those of them that were drawn; the others are dropped.
    """

    matched: int = 0
    pairs: int = 0
    cut: int = 0
    unmatched: int = 0
    kept_unmatched: int = 0

    def __str__(self) -> str:
        return (
            f"{self.matched:,} label events matched, in {self.pairs:,} pairs "
            f"({self.cut:,} more dropped above max_matches); {self.unmatched:,} had no match, of "
            f"which {self.kept_unmatched:,} were drawn and "
            f"{self.unmatched - self.kept_unmatched:,} dropped"
        )

    def as_of(self, of: str) -> str:
        """Say the same of an as-of join, in which a row has one match or none.

        Parameters
        ----------
        of : str
            Whose rows are found.
        """
        rest = f"{self.unmatched:,} do not and are dropped"
        if self.kept_unmatched:
            rest = f"{self.unmatched:,} do not, of which {self.kept_unmatched:,} were drawn to stay"
        return f"{self.matched:,} rows find a row of {of} in time, {rest}"


@dataclass(frozen=True, repr=False)
class Joined:
    """Pairs of events, by their numbers: their places in their streams, from 0.

    Attributes
    ----------
    label : array of shape (n,), int64
    partner : array of shape (n,), int64
        -1 beside a label event without a match that was kept.
    """

    label: NDArray[np.int64]
    partner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def keep_decided(
    options: AsOfOptions | WindowOptions, counts: MatchCounts, n_matches: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Keep label events with a match, and draw among those without one; count both.

    Parameters
    ----------
    options : AsOfOptions or WindowOptions
    counts : MatchCounts
        Up to the events before these; how often was drawn follows from it.
    n_matches : array of shape (n,), int64

    Returns
    -------
    array of shape (n,), bool
    """
    kept = n_matches > 0
    n_unmatched = int((~kept).sum())
    bits = np.random.PCG64(options.seed)
    bits.advance(counts.unmatched)  # one draw each
    drawn = np.random.Generator(bits).random(n_unmatched) < options.keep_unmatched
    counts.matched += len(kept) - n_unmatched
    counts.pairs += int(n_matches.sum())
    counts.unmatched += n_unmatched
    counts.kept_unmatched += int(drawn.sum())
    kept[~kept] = drawn
    return kept


def pair_up(
    label: NDArray[np.int64], n_matches: NDArray[np.int64], partners: NDArray[np.int64]
) -> Joined:
    """Put label events beside their matches, and -1 beside those without one.

    Parameters
    ----------
    label : array of shape (n,), int64
    n_matches : array of shape (n,), int64
    partners : array of shape (sum of n_matches,), int64
    """
    n_rows = np.maximum(n_matches, 1)
    beside = np.full(int(n_rows.sum()), -1, np.int64)
    beside[np.repeat(n_matches > 0, n_rows)] = partners
    return Joined(np.repeat(label, n_rows), beside)
