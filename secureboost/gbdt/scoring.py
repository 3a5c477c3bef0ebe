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
from secureboost.gbdt.tree import Ensemble

ROUTE_BYTES = 32 * 2**20
"""Prediction asks for so many rows at a time that a party's answer stays about this large."""


def raw_scores(
    half: LabelHalf,
    X: NDArray[np.float32],
    partners: Sequence[Partner],
    *,
    rounds: int | None = None,
    n_jobs: int = 1,
) -> NDArray[np.float64]:
    """Score rows: one round trip a partner for the whole ensemble, in chunks of rows.

    Parameters
    ----------
    half : LabelHalf
    X : array of shape (n_rows, n_features), float32
        Own columns; categories are codes of ``half.categories``, NaN is missing or another one.
    partners : sequence of Partner
        In the order of ``half.partners``.
    rounds : int, optional
        Only the first so many; all by default.
    n_jobs : int
        Threads.

    Returns
    -------
    array of shape (n_rows,) for one output, else (n_rows, n_outputs), float64

    Raises
    ------
    ValueError
        If the model has fewer rounds.
    """
    ensemble = _first_rounds(half, rounds)
    scores = np.empty((len(X), *_of_row(ensemble)), np.float64)
    for first, behind, sides in _sides(half, ensemble.n_splits, partners, len(X)):
        scores[first:behind] = ensemble.raw_scores(X[first:behind], sides, n_jobs=n_jobs)
    return scores


def _first_rounds(half: LabelHalf, rounds: int | None) -> Ensemble:
    ensemble = make_ensemble(half)
    return ensemble if rounds is None else ensemble.first_rounds(rounds)


def _of_row(ensemble: Ensemble) -> tuple[int, ...]:
    """The shape of one row's scores."""
    return () if ensemble.n_outputs == 1 else (ensemble.n_outputs,)


def _sides(
    half: LabelHalf, wanted_splits: Sequence[int], partners: Sequence[Partner], n_rows: int
) -> Iterator[tuple[int, int, NDArray[np.uint8] | None]]:
    """Chunks of rows with the sides of partners' splits; the next chunk is on its way.

    A party answers with all of its splits; `wanted_splits` are the first so many of each owner.
    """
    n_splits = {partner.name: partner.n_splits for partner in half.partners}
    n_wanted = {
        partner.name: count for partner, count in zip(half.partners, wanted_splits[1:], strict=True)
    }
    wanted = [partner for partner in partners if n_wanted[partner.name]]
    if not wanted:
        yield 0, n_rows, None
        return
    widest = max(n_splits[partner.name] for partner in wanted)
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
                sides.append(bits[: n_wanted[partner.name]])
            yield first, behind, np.concatenate(sides)
            pending = upcoming
