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
    keys : Keys, or callable that makes them
        Of its table, with at most one row for each key. A callable is called once for each session,
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
    events : EventTable, callable that makes it, or None
        Rows with times, for joins; ``keys`` are then `event_table.different_keys` of them. None:
        this party joins nothing by time.
    """

    party: str
    keys: Keys | Callable[[], Keys]
    alignments: AlignmentStore = field(default_factory=MemoryAlignments)
    state_folder: Path | None = None
    policy: AlignPolicy = field(default_factory=AlignPolicy)
    budget: AlignBudget = field(default_factory=lambda: AlignBudget(AlignPolicy()))
    signer: Signer | None = None
    events: EventTable | Callable[[], EventTable] | None = None

    def read_keys(self) -> Keys:
        """Return the keys of the table as it is now."""
        return self.keys() if callable(self.keys) else self.keys

    def read_events(self) -> EventTable | None:
        """Return the rows with times as they are now, if there are any."""
        return self.events() if callable(self.events) else self.events
