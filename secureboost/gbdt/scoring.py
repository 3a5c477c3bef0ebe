"""The label party's role in prediction: asks for sides of splits, walks the trees."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from secureboost.errors import IntegrityError
from secureboost.gbdt.halves import make_ensemble
from secureboost.gbdt.model import LabelHalf
from secureboost.gbdt.partner import Partner, open_session
from secureboost.gbdt.protocol import Route, Routes

ROUTE_BYTES = 32 * 2**20
"""Prediction asks for so many rows at a time that a party's answer stays about this large."""


def raw_scores(
    half: LabelHalf, X: NDArray[np.float32], partners: Sequence[Partner], *, n_jobs: int = 1
) -> NDArray[np.float64]:
    """Score rows: one round trip a partner for the whole ensemble, in chunks of rows.

    Parameters
    ----------
    half : LabelHalf
    X : array of shape (n_rows, n_features), float32
        Own columns.
    partners : sequence of Partner
        In the order of ``half.partners``.
    n_jobs : int
        Threads.

    Returns
    -------
    array of shape (n_rows,), float64
        Raw scores (log odds).
    """
    scores = np.empty(len(X), np.float64)
    ensemble = make_ensemble(half)
    for first, behind, sides in _sides(half, partners, len(X)):
        scores[first:behind] = ensemble.raw_scores(X[first:behind], sides, n_jobs=n_jobs)
    return scores


def staged_raw_scores(
    half: LabelHalf, X: NDArray[np.float32], partners: Sequence[Partner]
) -> NDArray[np.float64]:
    """Scores after each tree, shape (n_trees, n_rows); see `raw_scores`."""
    ensemble = make_ensemble(half)
    stages = np.empty((len(half.trees), len(X)), np.float64)
    for first, behind, sides in _sides(half, partners, len(X)):
        for tree, scores in enumerate(ensemble.staged_raw_scores(X[first:behind], sides)):
            stages[tree, first:behind] = scores
    return stages


def _sides(
    half: LabelHalf, partners: Sequence[Partner], n_rows: int
) -> Iterator[tuple[int, int, NDArray[np.uint8] | None]]:
    """Chunks of rows with the sides of all partners' splits; the next chunk is on its way."""
    n_splits = {partner.name: partner.n_splits for partner in half.partners}
    if not any(n_splits.values()):
        yield 0, n_rows, None
        return
    wanted = [partner for partner in partners if n_splits[partner.name]]
    widest = max(n_splits.values())
    step = max(8, min(n_rows, ROUTE_BYTES * 8 // widest) // 8 * 8)
    with open_session(wanted) as session:

        def ask(first: int) -> list[Future[Routes]]:
            return [
                peer.submit(Route(model_id=half.model_id, rows=partner.rows[first : first + step]))
                for peer, partner in zip(session.peers, wanted, strict=True)
            ]

        pending = ask(0)
        for first in range(0, n_rows, step):
            behind = min(first + step, n_rows)
            upcoming = ask(behind) if behind < n_rows else []
            sides = []
            for partner, future in zip(wanted, pending, strict=True):
                bits = future.result().goes_left
                expected = (n_splits[partner.name], (behind - first + 7) // 8)
                if bits.shape != expected:
                    raise IntegrityError(
                        partner.name,
                        f"sent sides of shape {bits.shape}, not {expected}; its half of model "
                        f"{half.model_id} is not the one that was trained",
                    )
                sides.append(bits)
            yield first, behind, np.concatenate(sides)
            pending = upcoming
