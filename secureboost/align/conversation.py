"""The label party's conversation with one feature party, step by step, whatever the method."""

import secrets
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Bytes32
from parties.peer import Peer
from secureboost.align.chunking import Chunks, ask_ahead
from secureboost.align.keys import Keys
from secureboost.align.listing import Pairs
from secureboost.align.method import Asking, AskingHalf, Method, Report
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import (
    LIST_CHUNK,
    Conclude,
    ListKeys,
    Propose,
    TellSize,
)
from secureboost.align.state import State
from secureboost.align.transcript import Transcript
from secureboost.errors import AlignmentError, IntegrityError, LimitError

_NONCE, _AGREED = "nonce", "agreed"


class _Kept(msgspec.Struct, frozen=True):
    """What the party had agreed to before the crash."""

    nonce: Bytes32
    group: str
    n_keys: int


@dataclass(frozen=True, repr=False)
class Terms:
    """What a conversation is about.

    Attributes
    ----------
    keys : Keys
    options : AlignOptions
    method : Method
    groups : tuple of str
        Proposed, best first.
    n_jobs : int
        Threads for one party.
    """

    keys: Keys
    options: AlignOptions
    method: Method
    groups: tuple[str, ...]
    n_jobs: int


class Conversation:
    """One party's, made by `propose`; the steps are called in the order in which they stand here.

    Each raises `parties.errors.PartyError` if the party cannot be asked or refuses, and
    `secureboost.errors.IntegrityError` if it sends what cannot be.

    Attributes
    ----------
    party : str
    proposal : Propose
    agreed : Agreed
    n_common : int
        Common keys; known after `compare`.
    """

    def __init__(self, peer: Peer, context: Asking, half: AskingHalf) -> None:
        self.party = peer.name
        self.proposal = context.proposal
        self.agreed = context.agreed
        self.n_common = 0
        self._peer = peer
        self._context = context
        self._half = half

    def compare(self) -> int:
        """Exchange what the method needs; how many keys are common."""
        self.n_common = self._half.compare()
        return self.n_common

    def tell_size(self) -> bool:
        """Tell how many keys are common; whether the party goes on to tell which."""
        self._context.transcript.add("size", self.n_common)
        goes_on = self._peer.ask(TellSize(n_common=self.n_common)).goes_on
        if goes_on and self.proposal.result == "size":
            raise IntegrityError(self.party, "goes on though only the size was asked for")
        return goes_on

    def pairs(self) -> Pairs:
        """Which keys are common."""
        return self._half.pairs()

    def list_rows(self, positions: NDArray[np.int32]) -> None:
        """Tell which of the party's keys are the agreed rows, in their order."""
        chunks = Chunks(len(positions), LIST_CHUNK)
        requests = (
            ListKeys(
                first=chunks.bounds(chunk).start,
                total=len(positions),
                positions=positions[chunks.bounds(chunk)],
            )
            for chunk in range(len(chunks))
        )
        for chunk, _ in enumerate(ask_ahead(self._peer, requests)):
            self._context.report("tell", chunks.bounds(chunk).stop, len(positions))
        self._context.transcript.add_array("listed", positions)

    def conclude(self) -> bytes:
        """Have the party keep the agreed rows; the name of the alignment."""
        alignment = self._context.transcript.digest()
        self._peer.ask(Conclude(alignment=alignment))
        return alignment


def propose(peer: Peer, terms: Terms, state: State, report: Report) -> Conversation:
    """Propose to find the common keys, or to go on with it.

    Parameters
    ----------
    peer : Peer
        Greeted.
    terms : Terms
    state : State
        Of this party. Where the party has forgotten the interrupted session, it is cleared.
    report : Report

    Raises
    ------
    parties.errors.PartyError
        If the party cannot be asked, or refuses the terms.
    secureboost.errors.LimitError
        If the party has more keys than allowed.
    secureboost.errors.IntegrityError
        If it agrees to what was not proposed.
    secureboost.errors.AlignmentError
        If the state is damaged.
    """
    options = terms.options
    nonce = state.get(_NONCE)
    if nonce is None:
        nonce = secrets.token_bytes(32)
        state.put(_NONCE, nonce)
    proposal = Propose(
        nonce=nonce,
        method=terms.method.name,
        groups=terms.groups,
        rules=terms.keys.rules,
        n_keys=len(terms.keys.encoded),
        result=options.result,
        min_size=options.min_size,
        chunk=options.chunk,
        join=options.join,
    )
    agreed = peer.ask(proposal)
    if agreed.group not in (terms.groups or ("",)):
        raise IntegrityError(peer.name, f"chose group {agreed.group!r}, which was not proposed")
    if agreed.n_keys > options.max_rows:
        raise LimitError(
            f"party {peer.name!r} has {agreed.n_keys} ids; align.max_rows={options.max_rows}. "
            "Raise it if that many are expected."
        )
    kept = _kept(state)
    now = _Kept(agreed.nonce, agreed.group, agreed.n_keys)
    if kept != now:  # a new session, or the party has begun anew
        if agreed.received:
            raise IntegrityError(
                peer.name,
                f"has {agreed.received} chunks of our keys of a session that begins. Begin a new "
                "alignment",
            )
        if kept is not None:
            state.clear()
            state.put(_NONCE, nonce)
        state.put(_AGREED, msgspec.msgpack.encode(now))
    if agreed.received > len(Chunks(proposal.n_keys, proposal.chunk)):
        raise IntegrityError(
            peer.name, f"has {agreed.received} chunks of our keys; there are not that many"
        )
    context = Asking(
        peer=peer,
        keys=terms.keys,
        options=terms.options,
        proposal=proposal,
        agreed=agreed,
        state=state,
        transcript=Transcript(proposal, agreed),
        n_jobs=terms.n_jobs,
        report=report,
    )
    return Conversation(peer, context, terms.method.asking(context))


def _kept(state: State) -> _Kept | None:
    piece = state.get(_AGREED)
    if piece is None:
        return None
    try:
        return msgspec.msgpack.decode(piece, type=_Kept)
    except msgspec.DecodeError as error:
        raise AlignmentError(f"What was kept in {state.folder} is damaged; delete it.") from error
