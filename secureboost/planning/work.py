"""Time and number of operations of each phase, for a whole training and each party's own work."""

from collections.abc import Mapping, Sequence

from parties.traffic import Traffic
from secureboost.planning.counts import Counts
from secureboost.planning.rates import Rates, Time

Work = dict[str, tuple[Time, int]]
"""Time and number of operations by phase; operations are what `secureboost.clock` counts there."""


def label_work(counts: Counts, rates: Rates) -> Work:
    """Work of the label party, without what is waiting.

    ``start`` (making the key) and ``other`` (sums of nodes, messages) are phases that a run does
    not time on its own.
    """
    shape, trees = counts.shape, counts.shape.trees
    questions = trees * len(counts.levels)
    ciphertexts = trees * sum(sums.ciphertexts for party in counts.sums for sums in party)
    cells = counts.nodes * counts.all_columns * (shape.bins + 1) * shape.outputs
    values = shape.all_rows * shape.own_columns
    rows, own_values = trees * shape.active_rows, trees * counts.own_values
    divided = shape.all_rows * len(counts.levels) * trees
    return {
        "start": (rates.start, 1),
        "bin": (rates.bin * values, values),
        "encrypt": (rates.encrypt * (rows * shape.packing.parts), rows),
        "histogram": (rates.histogram * (own_values * shape.outputs), own_values),
        "decrypt": (rates.decrypt.of(questions * len(counts.sums), ciphertexts), ciphertexts),
        "split": (rates.split * (trees * cells), trees * counts.nodes),
        "divide": (rates.divide * divided, trees * counts.nodes),
        "other": (
            rates.question.of(questions, questions * shape.all_rows) * len(counts.sums),
            questions,
        ),
    }


def message_work(by_request: Mapping[str, Traffic], rates: Rates) -> Work:
    """Work of one end of a connection; a phase that a run does not time on its own."""
    total = sum(by_request.values(), Traffic())
    n_bytes = total.bytes_sent + total.bytes_received
    return {"messages": (rates.message.of(total.messages, n_bytes), total.messages)}


def partner_work(counts: Counts, number: int, rates: Rates) -> Work:
    """Work of one feature party; ``bin`` is a phase that a run does not time there."""
    shape, trees = counts.shape, counts.shape.trees
    levels = counts.sums[number]

    def total(values: Sequence[int]) -> int:
        return trees * sum(values)

    calls = trees * len(levels)
    additions = total([sums.additions for sums in levels])
    segments = total([sums.segments for sums in levels])
    cells = total([sums.cells for sums in levels])
    ciphertexts = total([sums.ciphertexts for sums in levels])
    values = shape.all_rows * len(shape.partner_bins[number])
    columns = len(counts.partner_bins[number])
    asked = trees * columns * sum(level.asked for level in counts.levels)
    arrived = trees * shape.active_rows * shape.packing.parts
    wins = round(trees * counts.nodes * counts.share_of_wins(number))
    return {
        "bin": (rates.bin * values, values),
        "check": (rates.check * arrived, arrived),
        "plan": (rates.sort.of(asked, total([sums.values for sums in levels])), 0),
        "sum": (rates.addition * additions + rates.segment * segments, additions),
        "pack": (rates.pack.of(calls, cells * shape.packing.cell_bits), cells),
        "rerandomise": (rates.rerandomise.of(calls, ciphertexts), ciphertexts),
        "divide": (
            rates.divide * (shape.all_rows * calls * counts.share_of_wins(number)),
            wins,
        ),
    }
