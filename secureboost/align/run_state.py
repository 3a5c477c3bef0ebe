"""What the label party keeps of a whole run: which keys, which options, the seed of the order.

At the end it keeps the outcome, until its user has it: all parties hold theirs by then, and to find
it again would have to be paid for.
"""

from collections.abc import Sequence

import msgspec

from parties.messages import Bytes32
from secureboost.align.aligned import Aligned, Sizes
from secureboost.align.options import AlignOptions
from secureboost.align.permutation import new_seed
from secureboost.align.state import State
from secureboost.alignment import decode_alignment, encode_alignment
from secureboost.errors import AlignmentError, ConfigError

_PIECE = "run"
_OUTCOME = "outcome"
_PARTIES = "parties"
_FREE = frozenset({"n_jobs", "max_rows", "signatures"})
"""Options that do not change the result."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes in a run.

    Attributes
    ----------
    table_digest : bytes
        `alignment.keys_digest` of the label party's table.
    options : dict of str to str
    seed : bytes
        Of the order of the agreed rows.
    """

    table_digest: Bytes32
    options: dict[str, str]
    seed: Bytes32


def open_run(state: State, table_digest: bytes, options: AlignOptions) -> Run:
    """Take up the interrupted run, or begin one.

    Raises
    ------
    secureboost.errors.ConfigError
        If the run that was interrupted is one of other keys or options, or the folder holds
        something else.
    secureboost.errors.AlignmentError
        If what was kept is damaged.
    OSError
    """
    now = {name: str(value) for name, value in vars(options).items() if name not in _FREE}
    piece = state.get(_PIECE)
    if piece is None:
        if state.folder is not None and state.folder.exists() and any(state.folder.iterdir()):
            raise ConfigError(
                f"{state.folder} holds something, and it is no interrupted alignment. It would be "
                "deleted at the end; name a folder that is not there yet.",
                "align.state",
            )
        run = Run(table_digest=table_digest, options=now, seed=new_seed())
        state.put(_PIECE, msgspec.msgpack.encode(run))
        return run
    try:
        kept = msgspec.msgpack.decode(piece, type=Run)
    except msgspec.DecodeError as error:
        raise AlignmentError(f"{state.folder} is no interrupted alignment; delete it.") from error
    changed = [
        f"{name} ({kept.options.get(name)} then, {value} now)"
        for name, value in now.items()
        if kept.options.get(name) != value
    ]
    if kept.table_digest != table_digest:
        changed.append("keys: the label party's table has changed")
    if changed:
        raise ConfigError(
            f"The interrupted alignment in {state.folder} cannot go on with other "
            f"{', '.join(changed)}. Take what it was started with, or begin anew in another folder."
        )
    return kept


class _Outcome(msgspec.Struct, frozen=True):
    """What was agreed on, with an alignment's file for each party."""

    alignments: dict[str, bytes]
    sizes: Sizes


def state_of(state: State, party: str) -> State:
    """What is kept of the session with one party."""
    return state.part(_PARTIES).part(party)


def keep_outcome(state: State, aligned: Aligned) -> None:
    """Keep what was agreed on, and forget the secrets with which it was found.

    Raises
    ------
    OSError
    """
    files = {party: encode_alignment(found) for party, found in aligned.alignments.items()}
    state.put(_OUTCOME, msgspec.msgpack.encode(_Outcome(files, aligned.sizes)))
    state.part(_PARTIES).clear()


def kept_outcome(state: State, parties: Sequence[str]) -> Aligned | None:
    """Return what was agreed on with these parties, if that is over.

    Raises
    ------
    secureboost.errors.AlignmentError
        If it is damaged.
    """
    piece = state.get(_OUTCOME)
    if piece is None:
        return None
    where = f"What was kept in {state.folder}"
    try:
        kept = msgspec.msgpack.decode(piece, type=_Outcome)
    except msgspec.DecodeError as error:
        raise AlignmentError(f"{where} is no outcome of an alignment; delete it.") from error
    if set(kept.alignments) != set(parties):
        return None
    found = {party: decode_alignment(kept.alignments[party], where) for party in parties}
    return Aligned(found, kept.sizes)
