"""A feature party as the label party sees it, and the session with all of them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parties.peer import Peer
from parties.rows import match_rows
from parties.session import Session
from secureboost._version import __version__
from secureboost.gbdt.protocol import TRAINER

LABEL_PARTY = "label-party"


@dataclass(frozen=True, repr=False)
class Partner:
    """A feature party and the rows of it that are wanted.

    Attributes
    ----------
    name : str
    connect : callable
        Opens a connection to it, for one session.
    ids : sequence of str
        All rows that both sides hold, in the agreed order.
    rows : array of shape (n_rows,), int32
        For each row of the label party's table its position in `ids`.
    """

    name: str
    connect: Callable[[], Peer]
    ids: Sequence[str]
    rows: NDArray[np.int32]


def open_session(partners: Sequence[Partner], trainer: str = TRAINER) -> Session:
    """Connect to all partners, greet them and prove to each other that the rows agree.

    Parameters
    ----------
    partners : sequence of Partner
    trainer : str
        Name of the trainer that they are to serve.

    Raises
    ------
    parties.errors.PartyError
        If a partner cannot be reached, is of another version, serves another trainer or holds
        other rows. Those that were reached are released.
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
        session.ask_all([match_rows(partner.ids) for partner in partners])
        on_error.pop_all()
    return session
