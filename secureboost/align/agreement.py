"""One alignment under way at a feature party: from the size to the rows that are kept.

What is common to all methods. The method's half has answered what lies between proposal and size.
"""

import logging
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Refusal
from secureboost.align.listed import ListedKeys
from secureboost.align.method import Answering, AnsweringHalf
from secureboost.align.protocol import (
    Agreed,
    Code,
    Conclude,
    ListKeys,
    Propose,
    TellSize,
    Verdict,
)
from secureboost.align.rows import rows_of
from secureboost.align.table import AlignTable
from secureboost.alignment import Alignment

_PAID = "paid"

log = logging.getLogger(__name__)


class Agreement:
    """One alignment under way.

    Parameters
    ----------
    context : Answering
    half : AnsweringHalf
        Of the method that was agreed on.
    counts_keys : bool
        See `method.Method`.

    Attributes
    ----------
    half : AnsweringHalf
    method : str
    """

    def __init__(self, context: Answering, half: AnsweringHalf, *, counts_keys: bool) -> None:
        self.half = half
        self.method = context.proposal.method
        self._context = context
        self._counts_keys = counts_keys
        self._paid = context.state.get(_PAID) is not None
        self._minimum = max(context.table.policy.min_size, context.proposal.min_size)
        self._n_common = 0
        self._key_order: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._listed: ListedKeys | None = None

    def pay(self) -> None:
        """Count the label party's keys, when the first of them come; going on is free.

        Not when they are proposed: another feature party may refuse, and then none come.

        Raises
        ------
        Refusal
            If too little is left.
        OSError
        """
        if self._paid:
            return
        context, n_keys = self._context, self._context.proposal.n_keys
        if self._counts_keys and not context.table.budget.spend_keys(n_keys):
            raise budget_spent(context.table, n_keys, ends_session=True)
        self._paid = True
        context.state.put(_PAID, b"")
        group = context.agreed.group
        log.info(
            "an alignment begins: %d ids of the label party, method %s%s",
            n_keys,
            self.method,
            f" in group {group}" if group else "",
        )

    def close(self) -> None:
        """Forget secrets, and what was kept if no keys came: there is nothing to go on with."""
        self.half.close()
        if not self._paid:
            self.forget()

    def tell_size(self, request: TellSize) -> Verdict:
        """Take down how many keys are common; decide whether to tell which.

        Raises
        ------
        Refusal
            If not all was exchanged that it takes to know the size, or it cannot be.
        """
        self.half.compared()
        context = self._context
        if request.n_common > min(context.proposal.n_keys, context.agreed.n_keys):
            raise Refusal(
                Code.LIST,
                f"{request.n_common} common keys are more than either side has",
                ends_session=True,
            )
        self._n_common = request.n_common
        context.transcript.add("size", request.n_common)
        goes_on = context.proposal.result != "size" and request.n_common >= self._minimum
        why = ""
        if not goes_on:
            only_size = context.proposal.result == "size"
            minimum = f"fewer than {self._minimum}, so it is not told which"
            why = "; only their number was asked for" if only_size else f"; {minimum}"
        log.info("%d ids are common%s", request.n_common, why)
        if goes_on:
            self.half.allow_telling()
        else:
            context.state.clear()
        return Verdict(goes_on=goes_on)

    def list_keys(self, request: ListKeys) -> Ack:
        """Take down agreed rows.

        Raises
        ------
        Refusal
            If the list is not as announced, names no keys of ours or one twice, or too few.
        """
        if self._listed is None:
            limit = self._context.agreed.n_keys + self._context.table.policy.max_rows
            if request.total > limit:
                raise Refusal(Code.TOO_MANY, f"{request.total} agreed rows are above {limit}")
            self._key_order = self.half.key_order()
            self._listed = ListedKeys(request.total, self._context.agreed.n_keys)
        self._listed.take(request)
        if self._listed.complete:
            self._check_listed(self._listed)
        return Ack()

    def conclude(self, request: Conclude) -> Ack:
        """Keep the agreed rows.

        Raises
        ------
        Refusal
            If not all were listed, or the label party has another record of what was said.
        OSError
            If the disk does not take them; nothing has changed then.
        """
        if self._listed is None or not self._listed.complete:
            raise Refusal(Code.LIST, "not all agreed rows have been listed")
        context = self._context
        if request.alignment != context.transcript.digest():
            raise Refusal(
                Code.TRANSCRIPT,
                "both sides do not have the same record of what was said: something was changed "
                "on the way or by a side. Nothing is kept; align again",
                ends_session=True,
            )
        positions = self._listed.positions()
        in_keys = np.where(positions >= 0, self._key_order[positions], positions)
        context.table.alignments.save(
            Alignment(
                id=request.alignment,
                rows=rows_of(context.keys, in_keys.astype(np.int32)),
                table_digest=context.keys.digest(),
                party=context.table.party,
                peer=context.asker,
                details=alignment_details(context.proposal, context.agreed, self._n_common),
            )
        )
        context.state.clear()
        log.info("%d rows are agreed on: alignment %s", len(positions), request.alignment.hex()[:8])
        return Ack()

    def forget(self) -> None:
        """Delete what was kept to go on after a crash."""
        self._context.state.clear()

    def _check_listed(self, listed: ListedKeys) -> None:
        if listed.n_named < self._minimum:
            raise Refusal(
                Code.MINIMUM,
                f"{listed.n_named} of this party's ids are listed; the minimum is {self._minimum}",
                ends_session=True,
            )
        if self._context.proposal.result == "label-party" and listed.n_named < listed.n_keys:
            raise Refusal(
                Code.LIST,
                f"{listed.n_named} of this party's {listed.n_keys} keys are listed; with "
                "result='label-party' it is to be all of them",
                ends_session=True,
            )
        self._context.transcript.add_array("listed", listed.positions())


def budget_spent(table: AlignTable, n_keys: int, *, ends_session: bool = False) -> Refusal:
    """The refusal of more keys than a party still lets be compared."""
    return Refusal(
        Code.BUDGET,
        f"{n_keys} ids are more than this party still lets be compared with its table; "
        f"{table.budget.spent.probed_keys} of {table.policy.max_probed_keys} have been",
        ends_session=ends_session,
    )


def alignment_details(proposal: Propose, agreed: Agreed, n_common: int) -> dict[str, str | int]:
    """Say how an alignment came about, for people; the same on both sides but for the time."""
    return {
        "method": proposal.method,
        "group": agreed.group,
        "result": proposal.result,
        "rules": "; ".join(proposal.rules),
        "keys of the label party": proposal.n_keys,
        "keys of the feature party": agreed.n_keys,
        "common keys": n_common,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
