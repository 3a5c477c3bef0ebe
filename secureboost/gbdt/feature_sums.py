"""What a feature party computes on ciphertexts: sums by cell, packed and re-randomised."""

import numpy as np

from crypto.scheme import Ciphertexts, PublicKey
from secureboost.clock import Clock
from secureboost.gbdt.joint import SumPlan


def sum_cells(
    key: PublicKey, ciphertexts: Ciphertexts, plan: SumPlan, *, n_jobs: int
) -> Ciphertexts:
    """Add the rows' ciphertexts up to cells.

    Parameters
    ----------
    key : PublicKey
    ciphertexts : Ciphertexts, shape (n_rows, words)
    plan : SumPlan
    n_jobs : int
        Threads.

    Returns
    -------
    Ciphertexts, shape (plan.n_cells, words)
        Not re-randomised: never let these leave the party.
    """
    parts = key.sum_by_segment(ciphertexts, plan.rows, plan.starts, n_jobs=n_jobs)
    n = len(plan.complements)
    if n:
        totals = key.sum_by_segment(parts, plan.total_parts, plan.total_starts, n_jobs=n_jobs)
        others = key.sum_by_segment(parts, plan.other_parts, plan.other_starts, n_jobs=n_jobs)
        both = np.concatenate([totals, key.negate(others)])
        pairs = np.stack([np.arange(n), n + np.arange(n)], axis=1).ravel()
        parts[plan.complements] = key.sum_by_segment(both, pairs, 2 * np.arange(n + 1))
    cells = np.empty((plan.n_cells, key.ciphertext_words), np.uint64)
    cells[plan.direct_cells] = parts[plan.direct_parts]
    cells[plan.joint_cells] = key.sum_by_segment(parts, plan.parts, plan.part_starts, n_jobs=n_jobs)
    return cells


def answer_cells(
    key: PublicKey,
    ciphertexts: Ciphertexts,
    plan: SumPlan,
    cell_bits: int,
    cells: int,
    *,
    clock: Clock,
    n_jobs: int,
) -> Ciphertexts:
    """Sums by cell as they may leave the party.

    Parameters
    ----------
    key, ciphertexts, plan
        See `sum_cells`.
    cell_bits, cells : int
        Width of a cell, and cells per ciphertext.
    clock : Clock
        Phases ``sum`` (additions), ``pack`` (cells) and ``rerandomise`` (ciphertexts).
    n_jobs : int
        Threads.

    Returns
    -------
    Ciphertexts, shape (ceil(plan.n_cells / cells), words)
        Packed and re-randomised.
    """
    with clock.phase("sum", plan.additions):
        sums = sum_cells(key, ciphertexts, plan, n_jobs=n_jobs)
    with clock.phase("pack", plan.n_cells):
        packed = key.pack(sums, cell_bits, cells, n_jobs=n_jobs)
    with clock.phase("rerandomise", len(packed)):
        return key.rerandomise(packed, n_jobs=n_jobs)
