"""A feature party's sessions under way, found again by the label party's nonce; only a few."""

import logging
import shutil
from pathlib import Path

import msgspec

from parties.messages import Bytes32, Refusal
from secureboost.align.protocol import Code, Propose
from secureboost.align.state import State, sweep_all
from secureboost.errors import AlignmentError

KEPT_SESSIONS = 4
"""Interrupted sessions that are kept; of more, the oldest are forgotten."""

_PIECE = "session"

log = logging.getLogger(__name__)


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes in a session of a feature party.

    Attributes
    ----------
    nonce : bytes
        `protocol.Agreed.nonce`.
    table_digest : bytes
        `alignment.keys_digest` of the table.
    group : str
    terms : dict of str to str
        What was proposed.
    """

    nonce: Bytes32
    table_digest: Bytes32
    group: str
    terms: dict[str, str]


def terms_of(proposal: Propose) -> dict[str, str]:
    """Write down what must be the same when a session is gone on with."""
    return {
        name: str(getattr(proposal, name))
        for name in proposal.__struct_fields__
        if name not in ("nonce", "groups")
    }


def session_state(folder: Path | None, proposal: Propose) -> State:
    """Return the state that belongs to a proposal, whether there is one or not."""
    return State(None if folder is None else folder / proposal.nonce.hex())


def kept_session(
    state: State, proposal: Propose, table_digest: bytes, group: str
) -> KeptSession | None:
    """Return what was kept of the session that the proposal goes on with.

    None if there was none, or if it was over another table, in another group, or is damaged: the
    session then begins anew, and what was kept of it is deleted.

    Raises
    ------
    Refusal
        If it was proposed with other terms.
    """
    try:
        piece = state.get(_PIECE)
        kept = None if piece is None else msgspec.msgpack.decode(piece, type=KeptSession)
    except (AlignmentError, msgspec.DecodeError) as error:
        log.warning("an interrupted alignment begins anew: %s", error)
        kept = None
    if kept is not None and (kept.table_digest, kept.group) != (table_digest, group):
        log.info("an interrupted alignment begins anew: the table or the group has changed")
        kept = None
    if kept is None:
        state.clear()
        return None
    changed = [
        f"{name} ({kept.terms.get(name)} then, {value} now)"
        for name, value in terms_of(proposal).items()
        if kept.terms.get(name) != value
    ]
    if changed:
        raise Refusal(
            Code.RESUME,
            f"the interrupted alignment was proposed with other terms: {', '.join(changed)}. Go on "
            "with those, or begin a new one",
        )
    return kept


def keep_session(state: State, kept: KeptSession) -> None:
    """Begin to keep a session, and forget the oldest ones.

    Raises
    ------
    OSError
    """
    state.put(_PIECE, msgspec.msgpack.encode(kept))
    if state.folder is None:
        return
    sweep_all(state.folder.parent)
    sessions = [path for path in state.folder.parent.iterdir() if (path / _PIECE).exists()]
    sessions.sort(key=lambda path: (path / _PIECE).stat().st_mtime, reverse=True)
    for path in sessions[KEPT_SESSIONS:]:
        log.info("an interrupted alignment of long ago is forgotten")
        shutil.rmtree(path)
