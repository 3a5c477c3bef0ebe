"""What companies align: made-up tables of which the outcome is known, and the check against it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from align_party import FEATURE, ID, LABEL, TIME

from secureboost.alignment import Alignment, read_alignment

DAY = 86_400
EVENTS_OF_A_CUSTOMER = 5
SPREAD = 30
"""Seconds by which a stream of events is out of order."""


@dataclass(frozen=True)
class Job:
    """What two parties do.

    Attributes
    ----------
    rows : int
        Of each party.
    share : float
        Of them that both have.
    method : {"ecdh", "rsa"}
    group : str or None
    vectors : bool or None
        Whether ristretto255 is multiplied eight at a time; None: as the group is registered.
    cores : int
        On which both parties run together.
    repeats : int
        The least of each number counts.
    join : dict or None
        Options of a join by time, with its ``kind``; rows are events then.
    """

    rows: int
    share: float = 0.5
    method: str = "ecdh"
    group: str | None = "ristretto255"
    vectors: bool | None = None
    cores: int = 2
    repeats: int = 1
    join: dict[str, Any] | None = None


def make_tables(job: Job) -> dict[str, pd.DataFrame]:
    """Tables of both parties with made-up ids, in different orders."""
    rng = np.random.default_rng(0)
    if job.join is None:
        first = {LABEL: 0, FEATURE: job.rows - round(job.share * job.rows)}
        return {
            name: pd.DataFrame({ID: names_of(start + rng.permutation(job.rows))})
            for name, start in first.items()
        }
    customers = max(job.rows // EVENTS_OF_A_CUSTOMER, 1)
    span = 3650 * DAY if job.join["kind"] == "as-of" else job.rows
    return {name: events(rng, job, customers, span) for name in (LABEL, FEATURE)}


def events(rng: np.random.Generator, job: Job, customers: int, span: int) -> pd.DataFrame:
    """Events of customers that both parties have: in rough order of time for a stream."""
    times = rng.integers(span, size=job.rows)
    if job.join and job.join["kind"] == "window":
        times = np.sort(times) + rng.integers(-SPREAD, SPREAD + 1, size=job.rows)
    names = names_of(rng.integers(customers, size=job.rows))
    return pd.DataFrame({ID: names, TIME: pd.to_datetime(times + 1_600_000_000, unit="s")})


def names_of(numbers: np.ndarray) -> list[str]:
    """Write ids as companies do."""
    return [f"DE{number:010d}" for number in numbers.tolist()]


def check(tables: dict[str, pd.DataFrame], folder: Path, job: Job) -> None:
    """Compare what both parties keep with what is common.

    Raises
    ------
    RuntimeError
        If it differs.
    """
    mine = read_alignment(folder / "label.alignment")
    theirs = read_alignment(folder / FEATURE / "alignments" / f"{mine.id.hex()}.alignment")
    rows = pair_of(tables, mine, theirs)
    if job.join is None:
        wanted = len(set(tables[LABEL][ID]) & set(tables[FEATURE][ID]))
        right = len(rows) == wanted and (rows[f"{ID}_{LABEL}"] == rows[f"{ID}_{FEATURE}"]).all()
    else:
        right = same_matches(tables, rows, job.join)
    if not right:
        raise RuntimeError(f"{job}: what was agreed on is not what is common")


def pair_of(tables: dict[str, pd.DataFrame], mine: Alignment, theirs: Alignment) -> pd.DataFrame:
    """The rows of both tables side by side, in the agreed order."""
    sides = [
        tables[name].take(alignment.rows).reset_index(drop=True).add_suffix(f"_{name}")
        for name, alignment in ((LABEL, mine), (FEATURE, theirs))
    ]
    return pd.concat(sides, axis="columns")


def same_matches(tables: dict[str, pd.DataFrame], rows: pd.DataFrame, join: dict[str, Any]) -> bool:
    """Compare with pandas: the newest event of a customer at or before each event."""
    sides = [tables[name].sort_values(TIME, kind="stable") for name in (LABEL, FEATURE)]
    sides[1] = sides[1].assign(known=sides[1][TIME])
    before = pd.Timedelta(join.get("window", join.get("before")), "s")
    wanted = pd.merge_asof(*sides, on=TIME, by=ID, tolerance=before).dropna(subset="known")
    found = rows[[f"{ID}_{LABEL}", f"{TIME}_{LABEL}", f"{TIME}_{FEATURE}"]]
    order = list(wanted[[ID, TIME, "known"]].columns)
    found = found.set_axis(order, axis="columns").sort_values(order, ignore_index=True)
    return found.equals(wanted[order].sort_values(order, ignore_index=True))
