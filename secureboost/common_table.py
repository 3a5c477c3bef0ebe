"""From the label party's table to the rows that all parties have, for the commands.

The first of these that holds decides how rows are matched:

1. The configuration names an alignment (``[align] file``): it is taken.
2. All parties hold the same ids in the same order, as a digest under a fresh key tells: nothing
   need be found. Only asked where ids stand in one column as they are, and the settings hide
   nothing: the answer tells a party that all of its rows are common, however few they are.
3. The common rows are found now, with the protocol of `secureboost.align`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parties.errors import PeerRefusedError
from parties.messages import SessionCode
from parties.rows import match_rows
from secureboost._version import __version__
from secureboost.align.aligned import Progress
from secureboost.aligned_rows import AlignedRows, in_common
from secureboost.alignment import ABSENT, Alignment
from secureboost.alignment_folder import read_alignments, write_alignments
from secureboost.config_align import LabelAlign
from secureboost.data import check_ids
from secureboost.keyed_table import KeyedTable
from secureboost.matching import match_tables
from secureboost.partner import LABEL_PARTY
from secureboost.party import Party, row_ids
from secureboost.tables import JoinCounts
from secureboost.trainers import GBDT_TRAINER


@dataclass(frozen=True, repr=False)
class CommonTable:
    """A table, and which of its rows all parties have.

    Attributes
    ----------
    frame : DataFrame
        All rows, in the order of the file.
    held : array of shape (n_rows,), bool
        Which of them have a key of their own.
    common : array of shape (n_rows,), bool
        Which of them all parties have.
    counts : JoinCounts
    """

    frame: pd.DataFrame
    held: NDArray[np.bool_]
    common: NDArray[np.bool_]
    counts: JoinCounts

    @property
    def rows(self) -> pd.DataFrame:
        """The common rows."""
        return self.frame if self.common.all() else self.frame.loc[self.common]


def find_common(
    keyed: KeyedTable,
    parties: Sequence[Party],
    settings: LabelAlign,
    *,
    keep_in: Path | None = None,
    progress: Progress | None = None,
) -> CommonTable:
    """Find the rows that all parties have; the parties hold them afterwards.

    Parameters
    ----------
    keyed : KeyedTable
    parties : sequence of Party
        At least one.
    settings : LabelAlign
    keep_in : Path, optional
        Folder for alignments that are made now.
    progress : callable, optional
        See `align`.

    Raises
    ------
    ConfigError, DataError, AlignmentError, IntegrityError
    parties.errors.PartyError
    OSError
    """
    open_terms = settings.result == "both" and not settings.padding and settings.min_size == 1
    may_ask = settings.file is None and keyed.comparable and open_terms
    if may_ask and same_ids(parties, keyed.frame.index):
        for party in parties:
            party.index = keyed.frame.index
        n_rows = len(keyed.frame)
        same = tuple((party.name, n_rows) for party in parties)
        counts, everything = JoinCounts(n_rows, same, n_rows), np.ones(n_rows, dtype=np.bool_)
        return CommonTable(keyed.frame, everything, everything, counts)
    if settings.file is not None:
        names = [party.name for party in parties]
        alignments = read_alignments(settings.file, names, keyed.digest)
    else:
        matched = match_tables(keyed.rows, parties, settings, settings.options(), progress=progress)
        matched.found.check()
        alignments = matched.alignments
        if keep_in is not None:
            write_alignments(keep_in, alignments)
    return hold(keyed, parties, alignments)


def same_ids(parties: Sequence[Party], ids: pd.Index) -> bool:
    """Ask all parties whether they hold these ids in this order.

    Raises
    ------
    parties.errors.PartyError
        If one cannot be reached, or refuses for another reason.
    """
    return all(_has_ids(party, ids) for party in parties)


def hold(
    keyed: KeyedTable, parties: Sequence[Party], alignments: dict[str, Alignment]
) -> CommonTable:
    """Have the parties count in what was agreed on with them."""
    held = keyed.keys.number >= 0
    index = keyed.frame.index[held]  # rows without a key could share one
    check_ids(index, keyed.name)
    place = np.where(held, np.cumsum(held) - 1, ABSENT).astype(np.int32)
    agreements = {}
    for party in parties:
        alignment = alignments[party.name]
        rows = np.where(alignment.rows == ABSENT, ABSENT, place[alignment.rows]).astype(np.int32)
        agreements[party.name] = AlignedRows(index, replace(alignment, rows=rows))
        party.hold(agreements[party.name])
        party.index = None
    common = np.zeros(len(held), dtype=np.bool_)
    common[held] = in_common(index, agreements)
    partners = tuple(
        (name, int(alignment.details["keys of the feature party"]))
        for name, alignment in alignments.items()
    )
    counts = JoinCounts(len(held), partners, int(np.count_nonzero(common)))
    return CommonTable(keyed.frame, held, common, counts)


def _has_ids(party: Party, ids: pd.Index) -> bool:
    peer = party.connect(GBDT_TRAINER)
    try:
        peer.greet(trainer=GBDT_TRAINER.name, party=LABEL_PARTY, software_version=__version__)
        peer.ask(match_rows(row_ids(ids)))
    except PeerRefusedError as refusal:
        if refusal.code != SessionCode.ROWS_DIFFER:
            raise
        return False
    finally:
        peer.close()
    return True
