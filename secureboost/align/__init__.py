"""Finding the common customers of two or more companies without showing each other the rest.

`align` is the label party's side; `answerer.AlignSession` is a feature party's, opened by
`secureboost serve` over an `table.AlignTable`. What may be said is in `protocol`. Importing this
package loads nothing: the joins in it are used without the protocol, and the protocol without them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secureboost.align.aligned import Aligned, AlignProgress
    from secureboost.align.event_table import EventTable
    from secureboost.align.join_asker import JoinedRows
    from secureboost.align.join_options import AsOfOptions, WindowOptions
    from secureboost.align.keys import Keys
    from secureboost.align.options import AlignOptions
    from secureboost.alignment import Alignment
    from secureboost.party import Party


def align(
    keys: "Keys",
    parties: "Sequence[Party]",
    options: "AlignOptions | None" = None,
    *,
    state: Path | None = None,
    progress: "Callable[[AlignProgress], None] | None" = None,
) -> "Aligned":
    """Find the rows that the label party and all feature parties have in common.

    Parameters
    ----------
    keys : Keys
        Of the label party's table, with at most one row for each key.
    parties : sequence of Party
        At least one.
    options : AlignOptions, optional
    state : Path, optional
        Folder for what it takes to go on after a crash, with mode 0700; made where it is absent,
        deleted at the end. It holds secrets of this run. Where it is there already, the interrupted
        run is gone on with.
    progress : callable, optional
        Called with an `AlignProgress` now and then, from one thread at a time.

    Returns
    -------
    Aligned

    Raises
    ------
    secureboost.errors.DataError
        If there are no keys, several rows of a key, or no common key.
    secureboost.errors.ConfigError
        If an option cannot be had, or `state` belongs to other keys or options.
    secureboost.errors.IntegrityError
        If a party sends what cannot be: other counts than it announced, elements that are not of
        the group, repeated, or our own.
    parties.errors.PartyError
        If a party cannot be reached or refuses. All parties are released, and nothing is kept but
        `state`.
    OSError
        If `state` cannot be written.
    """
    from secureboost.align.asker import Asked, align_with
    from secureboost.align.options import AlignOptions
    from secureboost.align.state import State
    from secureboost.trainers import ALIGN_TRAINER

    asked = [Asked(party.name, partial(party.connect, ALIGN_TRAINER)) for party in parties]
    aligned = align_with(keys, asked, options or AlignOptions(), state=state, progress=progress)
    State(state).clear()
    return aligned


def join_rows(
    table: "EventTable",
    keyed: "Mapping[str, Alignment]",
    parties: "Sequence[Party]",
    options: "AsOfOptions | WindowOptions",
) -> "JoinedRows":
    """Join rows of common customers by time, after `align` of their different keys.

    Parameters
    ----------
    table : EventTable
        The label party's rows with times.
    keyed : mapping of str to Alignment
        ``Aligned.alignments`` of `event_table.different_keys`, with these parties.
    parties : sequence of Party
        At least one.
    options : AsOfOptions or WindowOptions
        The partner's newest row at or before each row, or its rows in a window around it.

    Raises
    ------
    secureboost.errors.ConfigError
        If the join cannot be had on these terms: another unit than the table's, all matches with
        several parties, keys that were aligned with padding.
    secureboost.errors.DataError
        If times cannot be used, or no row is left.
    secureboost.errors.AlignmentError
        If an alignment is of another table.
    secureboost.errors.IntegrityError
        If a party answers what cannot be.
    parties.errors.PartyError
        If a party cannot be reached or refuses. All parties are released, and nothing is kept.
    """
    from secureboost.align.asker import Asked
    from secureboost.align.join_asker import join_with
    from secureboost.trainers import ALIGN_TRAINER

    asked = [Asked(party.name, partial(party.connect, ALIGN_TRAINER)) for party in parties]
    return join_with(table, keyed, asked, options)
