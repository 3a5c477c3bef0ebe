"""What a feature party computes on ciphertexts: sums by cell, packed and re-randomised.

Whatever it needs beside the rows' ciphertexts is bounded: nodes are planned and summed some at a
time, and each round of sums some segments at a time.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crypto.scheme import Ciphertexts, PublicKey
from secureboost.clock import Clock
from secureboost.gbdt.cells import CellLayout
from secureboost.gbdt.joint import SumPlan, plan_sums

BATCH_ROWS = 1 << 14
"""Nodes are planned together up to so many rows for each thread, a larger one alone."""

CHUNK = 1 << 18
"""Summands of one call of `PublicKey.sum_by_segment` for each thread: 2 MiB of indices."""

SEGMENT = 256
"""What a segment takes during that call, in summands: two kibibytes."""


def sum_nodes(
    key: PublicKey,
    parts: Sequence[Ciphertexts],
    binned: NDArray[np.uint8],
    rows_of_nodes: Sequence[NDArray[np.int32]],
    features: NDArray[np.int32],
    layout: CellLayout,
    *,
    clock: Clock,
    n_jobs: int,
) -> list[Ciphertexts]:
    """Add the rows' ciphertexts up to the cells of all nodes.

    Parameters
    ----------
    key : PublicKey
    parts : sequence of Ciphertexts, shape (n_rows, words)
        The parts of the rows; each is added up for itself, by the same plan.
    binned, rows_of_nodes, features, layout
        See `joint.plan_sums`.
    clock : Clock
        Phases ``plan`` and ``sum`` (additions).
    n_jobs : int
        Threads.

    Returns
    -------
    list of Ciphertexts, shape (len(rows_of_nodes) * layout.cells_per_node, words)
        For each part. Not re-randomised: never let these leave the party.
    """
    per_node = layout.cells_per_node
    shape = (len(rows_of_nodes) * per_node, key.ciphertext_words)
    cells = [np.empty(shape, np.uint64) for _ in parts]
    for batch in node_batches([len(rows) for rows in rows_of_nodes], BATCH_ROWS * n_jobs):
        with clock.phase("plan"):
            plan = plan_sums(binned, rows_of_nodes[batch], features, layout)
        with clock.phase("sum", plan.additions * len(parts)):
            of_batch = slice(batch.start * per_node, batch.stop * per_node)
            for sums, ciphertexts in zip(cells, parts, strict=True):
                sums[of_batch] = sum_cells(key, ciphertexts, plan, n_jobs=n_jobs)
        del plan  # before the next one is made
    return cells


def node_batches(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Cut nodes of these sizes into runs of at most so many rows, each of one node at least."""
    begin, n_rows = 0, 0
    for node, size in enumerate(sizes):
        if node > begin and n_rows + size > most:
            yield slice(begin, node)
            begin, n_rows = node, 0
        n_rows += size
    if sizes:
        yield slice(begin, len(sizes))


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
    parts = np.empty((len(plan.starts) - 1, key.ciphertext_words), np.uint64)
    for chunk in segment_chunks(plan.starts, CHUNK * n_jobs):
        starts = plan.starts[chunk.start : chunk.stop + 1]
        rows = plan.rows[starts[0] : starts[-1]].astype(np.int64)
        parts[chunk] = key.sum_by_segment(ciphertexts, rows, starts - starts[0], n_jobs=n_jobs)
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


def segment_chunks(starts: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Cut segments into runs of at most so many summands, each of one segment at least.

    Parameters
    ----------
    starts : array of shape (n_segments + 1,), int64
        As in `PublicKey.sum_by_segment`.
    most : int
        Each segment counts as `SEGMENT` summands more.
    """
    taken = starts + SEGMENT * np.arange(len(starts))
    begin = 0
    while begin < len(starts) - 1:
        end = int(np.searchsorted(taken, taken[begin] + most, side="right")) - 1
        end = max(end, begin + 1)
        yield slice(begin, end)
        begin = end


def mask_cells(
    key: PublicKey,
    sums: Ciphertexts,
    cell_bits: int,
    cells: int,
    *,
    clock: Clock,
    n_jobs: int,
) -> Ciphertexts:
    """Pack sums and make them unlinkable to their summands, so that they may leave the party.

    Parameters
    ----------
    key : PublicKey
    sums : Ciphertexts
        From `sum_nodes`.
    cell_bits, cells : int
        Width of a cell, and cells per ciphertext.
    clock : Clock
        Phases ``pack`` (cells) and ``rerandomise`` (ciphertexts).
    n_jobs : int
        Threads.

    Returns
    -------
    Ciphertexts, shape (ceil(len(sums) / cells), words)
        Packed and re-randomised.
    """
    with clock.phase("pack", len(sums)):
        packed = key.pack(sums, cell_bits, cells, n_jobs=n_jobs)
    with clock.phase("rerandomise", len(packed)):
        return key.rerandomise(packed, n_jobs=n_jobs)
