"""Memory of each party: what grows with rows, columns and nodes, on top of a bare process.

The table as it was read (a data frame, before it is sorted into bins) comes on top.
"""

from parties.peer import IN_FLIGHT
from secureboost.gbdt.feature_sums import BATCH_ROWS, CHUNK, SEGMENT
from secureboost.gbdt.remote import AHEAD_BYTES, BLOCK_ROWS
from secureboost.planning.counts import Counts, Level, Sums
from secureboost.planning.rates import Rates

_VALUE, _BIN, _INDEX, _INTEGER = 4, 1, 4, 8
_LABEL_ROW = 16 * _INTEGER
"""Of a row at the label party: label, weight, score, gradient and hessian twice, its node."""

_PARTNER_ROW = 4 * _INTEGER
"""Of a row at a feature party: its node, the order by node, its group."""


def label_memory(counts: Counts, rates: Rates) -> int:
    """Bytes of the label party's process."""
    shape = counts.shape
    table = shape.all_rows * (shape.own_columns * (_VALUE + _BIN) + shape.outputs * _LABEL_ROW)
    widest = max(level.nodes for level in counts.levels)
    # of a level, of the one above it, and the answers side by side
    pairs = widest * counts.all_columns * (shape.bins + 1) * shape.outputs
    histograms = 3 * pairs * 2 * _INTEGER
    row = shape.packing.parts * shape.ciphertext_bytes
    block = min(BLOCK_ROWS, shape.active_rows) * row
    blocks = 2 * IN_FLIGHT * len(counts.sums) * block
    ahead = min(AHEAD_BYTES, shape.active_rows * row)
    return rates.process_bytes + table + histograms + blocks + ahead


def partner_memory(counts: Counts, number: int, rates: Rates) -> int:
    """Bytes of one feature party's process."""
    shape, columns = counts.shape, len(counts.shape.partner_bins[number])
    parts = shape.packing.parts
    table = shape.all_rows * (columns * (_VALUE + _BIN) + _PARTNER_ROW)
    gradients = shape.rows * parts * shape.ciphertext_bytes
    question = max(
        _question_memory(level, sums, shape.ciphertext_bytes, parts, rates.n_jobs)
        for level, sums in zip(counts.levels, counts.sums[number], strict=True)
    )
    return rates.process_bytes + table + gradients + question


def _question_memory(
    level: Level, sums: Sums, ciphertext_bytes: int, parts: int, n_jobs: int
) -> int:
    """Bytes that answering takes; `gbdt.feature_sums` takes up the nodes batch by batch.

    Counts of `sums` are those of all parts together, which are summed one after the other.
    """
    batch = min(1.0, max(1 / level.asked, BATCH_ROWS * n_jobs / level.rows))
    sorted_rows = batch * level.rows * sums.groups * _INDEX
    # cells of rows, and one group's combinations and their order
    planned = batch * (sums.values * _BIN + level.rows * 2 * _INDEX)
    segments = batch * sums.segments
    call = min(CHUNK * n_jobs, batch * sums.additions + SEGMENT * segments) * _INTEGER
    summed = call + segments * ciphertext_bytes
    answer = (2 * sums.cells + 4 * sums.ciphertexts) * ciphertext_bytes
    return int(sorted_rows + max(planned, summed)) + answer
