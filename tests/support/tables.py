"""Random tables with columns of every kind, for property tests of the trainers."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

KINDS = ("continuous", "few", "constant", "mostly_zero", "missing")


@dataclass(frozen=True)
class Table:
    """A table with a label that its columns carry some signal of.

    Attributes
    ----------
    X : array of shape (n_rows, n_features), float32
        NaN is missing.
    y : array of shape (n_rows,), float64
        0 and 1, both present.
    weight : array of shape (n_rows,), float64
        All 1 unless weights were asked for.
    """

    X: NDArray[np.float32]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]


def random_table(
    seed: int,
    n_rows: int = 200,
    kinds: tuple[str, ...] = KINDS,
    *,
    missing: float = 0.1,
    weighted: bool = False,
) -> Table:
    """A table with one column for each of `kinds`.

    Parameters
    ----------
    seed : int
    n_rows : int
        At least 2.
    kinds : tuple of str
        Of `KINDS`: "continuous", "few" (up to five distinct values), "constant", "mostly_zero",
        "missing" (no value at all).
    missing : float
        Share of values taken out of every column but the first.
    weighted : bool
        Whether rows weigh between 0.5 and 2.
    """
    rng = np.random.default_rng(seed)
    X = np.column_stack([_column(rng, kind, n_rows) for kind in kinds]).astype(np.float32)
    holes = rng.random(X.shape) < missing
    holes[:, 0] = False
    X[holes] = np.nan
    effect = np.nan_to_num(X, nan=0.7) @ rng.normal(size=X.shape[1])
    noisy = effect + rng.normal(scale=0.5 * effect.std() + 0.1, size=n_rows)
    y = (noisy > np.median(noisy)).astype(np.float64)
    y[:2] = 0.0, 1.0
    weight = rng.uniform(0.5, 2.0, n_rows) if weighted else np.ones(n_rows)
    return Table(X, y, weight)


def _column(rng: np.random.Generator, kind: str, n_rows: int) -> NDArray[np.float64]:
    if kind == "continuous":
        return rng.normal(size=n_rows)
    if kind == "few":
        return rng.integers(0, 5, n_rows).astype(np.float64)
    if kind == "constant":
        return np.full(n_rows, 3.0)
    if kind == "mostly_zero":
        return np.where(rng.random(n_rows) < 0.7, 0.0, rng.exponential(size=n_rows))
    return np.full(n_rows, np.nan)


@st.composite
def tables(
    draw: st.DrawFn, *, min_features: int = 1, max_features: int = 8, max_rows: int = 150
) -> Table:
    """Strategy: tables of 10 to `max_rows` rows with columns of every kind."""
    return random_table(
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(10, max_rows)),
        draw(
            st.lists(st.sampled_from(KINDS), min_size=min_features, max_size=max_features).map(
                tuple
            )
        ),
        missing=draw(st.sampled_from([0.0, 0.1, 0.6])),
        weighted=draw(st.booleans()),
    )


@st.composite
def shards(draw: st.DrawFn, n_features: int, max_owners: int = 5) -> tuple[int, ...]:
    """Strategy: how many neighbouring columns each owner has; the first may have none."""
    n_owners = draw(st.integers(1, min(max_owners, n_features)))
    cuts = draw(
        st.lists(
            st.integers(0, n_features - 1),
            min_size=n_owners - 1,
            max_size=n_owners - 1,
            unique=True,
        )
    )
    edges = [0, *sorted(cuts), n_features]
    return tuple(int(count) for count in np.diff(edges))
