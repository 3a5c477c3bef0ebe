"""The label party's role in prediction: asks for sides of splits, walks the trees."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from parties.peer import Peer
from secureboost.alignment import ABSENT
from secureboost.asked_rows import AskedRows, Question
from secureboost.errors import IntegrityError
from secureboost.gbdt.halves import make_ensemble
from secureboost.gbdt.model import LabelHalf
from secureboost.gbdt.protocol import TRAINER, Route, Routes
from secureboost.gbdt.tree import Ensemble
from secureboost.partner import Partner, open_session
from secureboost.row_order import RowOrder

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
    for rows, sides in _sides(half, ensemble, partners, len(X)):
        scores[rows] = ensemble.raw_scores(X[rows], sides, n_jobs=n_jobs)
    return scores


def _first_rounds(half: LabelHalf, rounds: int | None) -> Ensemble:
    ensemble = make_ensemble(half)
    return ensemble if rounds is None else ensemble.first_rounds(rounds)


def _of_row(ensemble: Ensemble) -> tuple[int, ...]:
    """The shape of one row's scores."""
    return () if ensemble.n_outputs == 1 else (ensemble.n_outputs,)


def _sides(
    half: LabelHalf, ensemble: Ensemble, partners: Sequence[Partner], n_rows: int
) -> Iterator[tuple[NDArray[np.int64] | slice, NDArray[np.uint8] | None]]:
    """Chunks of rows with the sides of partners' splits; the next chunk is on its way.

    A party answers with all of its splits; those that the trees have are the first of each owner.
    Rows are asked about in the order in which the first partner counts them.
    """
    n_splits = {partner.name: partner.n_splits for partner in half.partners}
    missing_left = dict(zip(ensemble.owners, _missing_left(ensemble), strict=True))
    wanted = [partner for partner in partners if len(missing_left[partner.name])]
    if not wanted:
        yield slice(None), None
        return
    widest = max(n_splits[partner.name] for partner in wanted)
    # one question where all rows fit into it: where a second one begins, a row of ours might stand
    step = max(8, min(-(-n_rows // 8) * 8, ROUTE_BYTES * 8 // widest // 8 * 8))
    order = RowOrder.by_position(wanted[0].rows, 0)
    wishes = [
        AskedRows.of(partner.rows, partner.padding, partner.goes_with, order) for partner in wanted
    ]
    asked = [partner for partner in wanted if (partner.rows != ABSENT).any()]
    with open_session(asked, TRAINER) as session:
        peers = {partner.name: peer for partner, peer in zip(asked, session.peers, strict=True)}

        def ask(first: int) -> list[tuple[Question, Future[Routes] | None]]:
            questions = [wish.about(first, first + step) for wish in wishes]
            return [
                (question, _ask(peers[partner.name], half, question) if question else None)
                for partner, question in zip(wanted, questions, strict=True)
            ]

        pending = ask(0)
        for first in range(0, n_rows, step):
            upcoming = ask(first + step) if first + step < n_rows else []
            sides = []
            for partner, (question, future) in zip(wanted, pending, strict=True):
                bits = np.zeros((n_splits[partner.name], 0), np.uint8)
                if future is not None:
                    bits = future.result().goes_left
                expected = (n_splits[partner.name], (len(question.rows) + 7) // 8)
                if bits.shape != expected:
                    raise IntegrityError(
                        partner.name,
                        f"sent sides of shape {bits.shape}, not {expected}; its half of model "
                        f"{half.model_id} is not the one that was trained",
                    )
                sides.append(_sides_of(question, bits, missing_left[partner.name]))
            yield order.rows[first : first + step], np.concatenate(sides)
            pending = upcoming


def _ask(peer: Peer, half: LabelHalf, question: Question) -> Future[Routes]:
    return peer.submit(Route(model_id=half.model_id, rows=question.rows))


def _sides_of(
    question: Question, bits: NDArray[np.uint8], missing_left: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Sides of our rows: those that were answered, and of rows that it lacks those of no value.

    Parameters
    ----------
    question : Question
    bits : array of shape (n_splits, ceil(n_asked / 8)), uint8
        The answer.
    missing_left : array of shape (n_wanted,), bool
        For the first splits, which are wanted.

    Returns
    -------
    array of shape (n_wanted, ceil(n_rows / 8)), uint8
    """
    n_rows, n_asked = len(question.held), len(question.rows)
    if np.array_equal(question.answers, np.arange(n_rows)) and n_rows == n_asked:
        return bits[: len(missing_left)]
    sides = np.empty((len(missing_left), (n_rows + 7) // 8), np.uint8)
    for split, left in enumerate(missing_left):  # one at a time: a byte a row is much for all
        line = np.full(n_rows, left)
        answer = np.unpackbits(bits[split], count=n_asked, bitorder="little")
        line[question.held] = answer[question.answers]
        sides[split] = np.packbits(line, bitorder="little")
    return sides


def _missing_left(ensemble: Ensemble) -> list[NDArray[np.bool_]]:
    """For each owner where its splits send rows without a value."""
    sides = [np.zeros(n_splits, np.bool_) for n_splits in ensemble.n_splits]
    for tree in ensemble.trees:
        for owner, of_owner in enumerate(sides):
            nodes = tree[(tree["owner"] == owner) & (tree["split_id"] >= 0)]
            of_owner[nodes["split_id"]] = nodes["missing_left"]
    return sides
