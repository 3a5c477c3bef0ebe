"""Finding common rows as a configuration says: by keys alone, or by keys and time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from secureboost.align.aligned import Aligned, Progress
from secureboost.align.asker import Asked, align_with
from secureboost.align.event_table import EventTable, different_keys
from secureboost.align.join_asker import JoinedRows, join_with
from secureboost.align.keys import Keys
from secureboost.align.options import AlignOptions
from secureboost.alignment import Alignment
from secureboost.config_align import LabelAlign
from secureboost.party import Party
from secureboost.trainers import ALIGN_TRAINER


@dataclass(frozen=True, repr=False)
class Matched:
    """Which rows are common.

    Attributes
    ----------
    found : Aligned
        Of the keys.
    alignments : dict of str to Alignment
        Of the rows, by party; empty where nothing was told.
    joined : JoinedRows, optional
        What was joined by time, if anything was.
    """

    found: Aligned
    alignments: dict[str, Alignment]
    joined: JoinedRows | None = None


def match_tables(
    rows: Keys | EventTable,
    parties: Sequence[Party],
    settings: LabelAlign,
    options: AlignOptions,
    *,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Matched:
    """Find the rows that the label party and all feature parties have in common.

    Parameters
    ----------
    rows : Keys or EventTable
        With times the newest row of each party at or before them is taken.
    parties : sequence of Party
    settings : LabelAlign
        Says how times are compared.
    options : AlignOptions
        How keys are.
    state, progress : optional
        See `align.asker.align_with`: the caller deletes `state` once it has kept the result.

    Raises
    ------
    ConfigError, DataError, AlignmentError, IntegrityError, parties.errors.PartyError, OSError
    """
    keys = different_keys(rows.keys) if isinstance(rows, EventTable) else rows
    asked = [Asked(party.name, partial(party.connect, ALIGN_TRAINER)) for party in parties]
    found = align_with(keys, asked, options, state=state, progress=progress)
    if not isinstance(rows, EventTable) or not found.alignments:
        return Matched(found, found.alignments)
    joined = join_with(rows, found.alignments, asked, settings.as_of())
    return Matched(
        found,
        {
            name: replace(alignment, details=found.alignments[name].details | alignment.details)
            for name, alignment in joined.alignments.items()
        },
        joined,
    )
