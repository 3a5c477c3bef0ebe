"""A feature party as the label party sees it, and the session with all of them."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Request, UseAlignment
from parties.peer import Peer
from parties.rows import match_rows
from parties.session import Session
from secureboost._version import __version__
from secureboost.alignment import ABSENT, Alignment

LABEL_PARTY = "label-party"


@dataclass(frozen=True, repr=False)
class Partner:
    """A feature party and the rows of it that are wanted.

    Attributes
    ----------
    name : str
    connect : callable
        Opens a connection to it, for one session.
    agreed : sequence of str, or Alignment
        What both sides count in: the ids of all rows that both hold, in one order, or an order of
        rows that was agreed on before.
    rows : array of shape (n_rows,), int32
        For each row of the label party's table its position in `agreed`. In prediction `ABSENT` for
        a row that the partner does not have: it is not asked about it, and all of its columns are
        missing there.
    padding : array of shape (n_padding,), int32
        In prediction, positions in `agreed` of rows that are asked about only to hide which are
        wanted. In training they are rows of the label party's table.
    goes_with : array of shape (n_padding,), int64
        For each the row of the label party's table with which it is asked about, one that the
        partner has.
    """

    name: str
    connect: Callable[[], Peer]
    agreed: Sequence[str] | Alignment
    rows: NDArray[np.int32]
    padding: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    goes_with: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def opening(self) -> Request[Ack]:
        """The question that says what both sides count in; it differs each time."""
        if isinstance(self.agreed, Alignment):
            return UseAlignment(alignment=self.agreed.id, n_rows=len(self.agreed))
        return match_rows(self.agreed)

    def row_digest(self) -> str:
        """Name the wanted rows and their order: SHA-256 in hexadecimal, for the label party alone.

        Of an alignment two that were made with one table are the same here as far as they agree on
        its rows, but for padding rows.
        """
        if not isinstance(self.agreed, Alignment):
            ids = "\n".join(self.agreed[row] for row in self.rows)
            return hashlib.sha256(ids.encode()).hexdigest()
        own = self.agreed.rows[self.rows]
        digest = hashlib.sha256(self.agreed.table_digest + own.tobytes())
        if (own == ABSENT).any():
            digest.update(self.agreed.id + self.rows.tobytes())
        return digest.hexdigest()


def open_session(partners: Sequence[Partner], trainer: str) -> Session:
    """Connect to all partners, greet them and settle which rows both sides count in.

    Parameters
    ----------
    partners : sequence of Partner
    trainer : str
        Name of the trainer that they are to serve.

    Raises
    ------
    parties.errors.PartyError
        If a partner cannot be reached, is of another version, serves another trainer, holds other
        rows or does not know the alignment. Those that were reached are released.
    """
    with ExitStack() as on_error:
        peers = []
        for partner in partners:
            peer = partner.connect()
            on_error.callback(peer.abort)
            # at once: a partner hangs up on a caller who is silent while others are being reached
            peer.greet(trainer=trainer, party=LABEL_PARTY, software_version=__version__)
            peers.append(peer)
        session = Session(peers)
        session.ask_all([partner.opening() for partner in partners])
        on_error.pop_all()
    return session
