"""What a feature party brings to all of its sessions that look for common customers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from secureboost.align.event_table import EventTable
from secureboost.align.keys import Keys
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.signer import Signer
from secureboost.alignment import AlignmentStore, MemoryAlignments


@dataclass(frozen=True, repr=False)
class AlignTable:
    """What a feature party brings.

    Attributes
    ----------
    party : str
    rows : Keys, EventTable, or callable that makes either
        Keys of its table, with at most one row for each key; or rows with times, which are joined
        by time once their different keys are matched. A callable is called once for each session,
        when the label party proposes: keys of a large table need not lie in memory all the time,
        and may be those of a table that has grown.
    alignments : AlignmentStore
        Where agreed rows are kept, for training and scoring; in memory by default.
    state_folder : Path or None
        Where sessions under way are kept, to go on after a crash; it holds their secrets. None:
        a session that breaks off begins anew.
    policy : AlignPolicy
    budget : AlignBudget
        What has been given out, over all sessions.
    signer : Signer or None
        What this party signs with, for the method ``"rsa"``; None: it does not offer that.
    """

    party: str
    rows: Keys | EventTable | Callable[[], Keys | EventTable]
    alignments: AlignmentStore = field(default_factory=MemoryAlignments)
    state_folder: Path | None = None
    policy: AlignPolicy = field(default_factory=AlignPolicy)
    budget: AlignBudget = field(default_factory=lambda: AlignBudget(AlignPolicy()))
    signer: Signer | None = None

    def read_rows(self) -> Keys | EventTable:
        """Return the rows of the table as it is now."""
        return self.rows() if callable(self.rows) else self.rows
