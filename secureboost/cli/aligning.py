"""What the commands that train and score do to find the common rows: align, show, say."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd

from secureboost.alignment_progress import AlignmentProgress
from secureboost.cli.console import stderr
from secureboost.cli.runlog import RunLog
from secureboost.cli.watching import all_bytes_of
from secureboost.common_table import CommonTable, find_common
from secureboost.config_align import LabelAlign
from secureboost.keyed_table import KeyedTable
from secureboost.outcome import RunData
from secureboost.party import Party


def common_data(
    keyed: KeyedTable,
    parties: Sequence[Party],
    settings: LabelAlign,
    read: Callable[[pd.DataFrame, str], RunData],
    log: RunLog | None = None,
    *,
    keep_in: Path | None = None,
    resume: bool = False,
) -> RunData:
    """Find the rows that all parties have, and make of them what is learnt.

    Parameters
    ----------
    keyed : KeyedTable
    parties : sequence of Party
        With none all rows are common.
    settings : LabelAlign
    read : callable
        From a table and its name to what is learnt.
    log : RunLog, optional
    keep_in : Path, optional
        Folder for alignments that are made now.
    resume : bool
        Take those that are there, since a run goes on with them.
    """
    if not parties:
        return read(keyed.frame, keyed.name)
    if resume and keep_in is not None and keep_in.is_dir():
        settings = msgspec.structs.replace(settings, file=keep_in)
    table = show_common(keyed, parties, settings, keep_in=keep_in)
    if log is not None:
        log.write("common", rows=len(keyed.frame), common_rows=table.counts.common)
    return replace(read(table.rows, f"{keyed.name}, common rows"), joined=table.counts)


def show_common(
    keyed: KeyedTable,
    parties: Sequence[Party],
    settings: LabelAlign,
    *,
    keep_in: Path | None = None,
) -> CommonTable:
    """Find the rows that all parties have, with a bar where it takes time; say how many."""
    progress = AlignmentProgress(
        len(keyed.frame), len(parties), lambda: all_bytes_of(parties)[0], stderr()
    )
    with progress:
        table = find_common(keyed, parties, settings, keep_in=keep_in, progress=progress.show_step)
    stderr().print(str(table.counts))
    return table
