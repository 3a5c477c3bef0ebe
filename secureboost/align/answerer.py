"""A feature party's side of finding common customers: what every method has in common.

It checks terms against its own rules, lets the method's half answer, takes down which rows are
agreed on and keeps them under the hash of everything that was said.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from joblib import effective_n_jobs

from parties.messages import Ack, Message, Refusal, Reply, Request
from parties.service import Service
from secureboost.align.agreement import Agreement, budget_spent
from secureboost.align.event_table import EventTable, different_keys
from secureboost.align.join_answerer import JoinAnswerer, check_join
from secureboost.align.keys import Keys
from secureboost.align.method import Answering
from secureboost.align.methods import METHODS, TRANSITIONS
from secureboost.align.protocol import (
    Agreed,
    Code,
    Conclude,
    ListKeys,
    Propose,
    TellSize,
)
from secureboost.align.resume import (
    KeptSession,
    keep_session,
    kept_session,
    session_state,
    terms_of,
)
from secureboost.align.rows import has_one_row_each
from secureboost.align.state import State
from secureboost.align.table import AlignTable
from secureboost.align.transcript import Transcript
from secureboost.errors import AlignmentError, SecureBoostError

log = logging.getLogger(__name__)


class AlignSession(Service):
    """One session with a label party.

    Parameters
    ----------
    table : AlignTable
    asker : str
        Name of the label party, for the alignments that are kept.
    n_jobs : int
        Threads; -1 is one per core.
    """

    transitions = TRANSITIONS

    def __init__(self, table: AlignTable, *, asker: str = "label-party", n_jobs: int = 1) -> None:
        self._table = table
        self._asker = asker
        self._n_jobs = effective_n_jobs(n_jobs)
        self._agreement: Agreement | None = None
        self._joins = JoinAnswerer(table, asker)
        self._answers: Mapping[type[Message], Callable[[Any], Reply]] = {
            **self._joins.answers,
            Propose: self._propose,
            TellSize: lambda request: _not_none(self._agreement).tell_size(request),
            ListKeys: lambda request: _not_none(self._agreement).list_keys(request),
            Conclude: self._conclude,
        }

    def answer(self, request: Request[Any]) -> Reply:
        """Answer a request that is in turn.

        Raises
        ------
        Refusal
            Where the request breaks a rule, or the disk does not take what is to be kept. If it
            ends the session, what was kept to go on with it is deleted.
        """
        try:
            own = self._answers.get(type(request))
            return own(request) if own else self._answer_by_method(request)
        except Refusal as refusal:
            if refusal.ends_session and self._agreement is not None:
                self._agreement.forget()
            raise
        except OSError as error:
            log.error("nothing more can be kept: %s", error)
            # Ends the session, or chunks on their way would come out of turn; what was kept stays.
            raise Refusal(
                Code.DISK,
                f"this party's disk takes nothing more to be kept: {error.strerror}",
                ends_session=True,
            ) from error

    def close(self) -> None:
        """Forget keys and scalars; what is kept to go on after a crash stays, if anything came."""
        if self._agreement is not None:
            self._agreement.close()
        self._agreement = None
        self._joins.close()

    def _answer_by_method(self, request: Request[Any]) -> Reply:
        agreement = _not_none(self._agreement)
        agreement.pay()
        answer = agreement.half.answers.get(type(request))
        if answer is None:
            raise Refusal(
                Code.METHOD,
                f"{type(request).__name__} is of another method than "
                f"{agreement.method!r}, which was agreed on",
                ends_session=True,
            )
        return answer(request)

    def _propose(self, request: Propose) -> Agreed:
        self.close()
        method = METHODS.get(request.method)
        if method is None:
            raise Refusal(
                Code.METHOD,
                f"method {request.method!r} is unknown to this party; there is: "
                f"{', '.join(METHODS)}",
            )
        keys = self._read_keys(request)
        self._check_terms(request, keys)
        group = method.choose_group(request, self._table)
        digest = keys.digest()
        state = session_state(self._table.state_folder, request)
        kept = kept_session(state, request, digest, group)
        if kept is not None:
            try:
                return self._open(request, keys, kept, state)
            except AlignmentError as error:
                log.warning("an interrupted alignment begins anew: %s", error)
                state.clear()
        if method.counts_keys and not self._table.budget.allows_keys(request.n_keys):
            raise budget_spent(self._table, request.n_keys)
        kept = KeptSession(
            nonce=secrets.token_bytes(32),
            table_digest=digest,
            group=group,
            terms=terms_of(request),
        )
        keep_session(state, kept)
        return self._open(request, keys, kept, state)

    def _open(self, request: Propose, keys: Keys, kept: KeptSession, state: State) -> Agreed:
        agreed = Agreed(nonce=kept.nonce, group=kept.group, n_keys=len(keys.encoded), received=0)
        context = Answering(
            table=self._table,
            asker=self._asker,
            keys=keys,
            proposal=request,
            agreed=agreed,
            state=state,
            transcript=Transcript(request, agreed),
            n_jobs=self._n_jobs,
        )
        method = METHODS[request.method]
        half = method.answering(context)
        self._agreement = Agreement(context, half, counts_keys=method.counts_keys)
        return msgspec.structs.replace(agreed, received=half.received)

    def _conclude(self, request: Conclude) -> Ack:
        reply = _not_none(self._agreement).conclude(request)
        self.close()
        return reply

    def _read_keys(self, request: Propose) -> Keys:
        try:
            rows = self._table.read_rows()
        except SecureBoostError as error:
            log.error("the keys of this party's table cannot be made: %s", error)
            raise Refusal(
                Code.KEYS, "this party's key columns cannot be used; its log says why"
            ) from error
        check_join(request.join, rows)
        keys = different_keys(rows.keys) if isinstance(rows, EventTable) else rows
        if not keys.encoded:
            raise Refusal(Code.KEYS, "this party's table has no row with a key")
        if not has_one_row_each(keys):
            raise Refusal(Code.KEYS, "this party's table has several rows of a key")
        return keys

    def _check_terms(self, request: Propose, keys: Keys) -> None:
        policy = self._table.policy
        if request.rules != keys.rules:
            raise Refusal(Code.RULES, _difference(request.rules, keys.rules))
        if request.n_keys > policy.max_rows:
            raise Refusal(
                Code.TOO_MANY,
                f"{request.n_keys} ids are above this party's limit of {policy.max_rows}",
            )
        fewer = min(request.n_keys, len(keys.encoded))
        if fewer < policy.min_size:
            raise Refusal(
                Code.MINIMUM,
                f"with {fewer} ids on a side no more can be common; this party tells nothing "
                f"below {policy.min_size}",
            )


def _difference(theirs: tuple[str, ...], own: tuple[str, ...]) -> str:
    """Name the first difference between the key rules of both sides; they are no secret."""
    if len(theirs) != len(own):
        return (
            f"the label party makes keys by {len(theirs)} rules ({', '.join(theirs)}), this party "
            f"by {len(own)} ({', '.join(own)})"
        )
    number = next(i for i, pair in enumerate(zip(theirs, own, strict=True)) if pair[0] != pair[1])
    return (
        f"key rule {number + 1} is {theirs[number]!r} at the label party and {own[number]!r} at "
        "this party; agree on one"
    )


def _not_none(agreement: Agreement | None) -> Agreement:
    if agreement is None:
        raise RuntimeError("nothing was proposed")
    return agreement
