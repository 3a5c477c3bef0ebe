"""Memory of each party: what grows with rows, columns and nodes, on top of a bare process.

The table as it was read (a data frame, before it is sorted into bins) comes on top.
"""

from parties.peer import IN_FLIGHT
from secureboost.gbdt.remote import AHEAD_BYTES, BLOCK_ROWS
from secureboost.planning.counts import Counts
from secureboost.planning.rates import Rates

_VALUE, _BIN, _INTEGER = 4, 1, 8
_LABEL_ROW = 16 * _INTEGER
"""Of a row at the label party: label, weight, score, gradient and hessian twice, its node."""

_PARTNER_ROW = 4 * _INTEGER
"""Of a row at a feature party: its node, the order by node, its group."""


def label_memory(counts: Counts, rates: Rates) -> int:
    """Bytes of the label party's process."""
    shape = counts.shape
    table = shape.rows * (shape.own_columns * (_VALUE + _BIN) + _LABEL_ROW)
    widest = max(level.nodes for level in counts.levels)
    # of a level, of the one above it, and the answers side by side
    histograms = 3 * widest * counts.all_columns * (shape.bins + 1) * 2 * _INTEGER
    block = min(BLOCK_ROWS, shape.active_rows) * shape.ciphertext_bytes
    blocks = 2 * IN_FLIGHT * len(counts.sums) * block
    ahead = min(AHEAD_BYTES, shape.active_rows * shape.ciphertext_bytes)
    return rates.process_bytes + table + histograms + blocks + ahead


def partner_memory(counts: Counts, number: int, rates: Rates) -> int:
    """Bytes of one feature party's process."""
    shape, columns = counts.shape, len(counts.shape.partner_bins[number])
    table = shape.rows * (columns * (_VALUE + _BIN) + _PARTNER_ROW + shape.ciphertext_bytes)
    question = max(
        # cells of rows, their order per group twice; parts, cells, packed cells
        sums.values * _VALUE
        + level.rows * sums.groups * 2 * _INTEGER
        + (sums.segments + 2 * sums.cells + 4 * sums.ciphertexts) * shape.ciphertext_bytes
        for level, sums in zip(counts.levels, counts.sums[number], strict=True)
    )
    return rates.process_bytes + table + question
