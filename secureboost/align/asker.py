"""The label party's side: finds common rows with several feature parties, side by side."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from parties.peer import Peer
from parties.session import Session
from secureboost._version import __version__
from secureboost.align.agreement import alignment_details
from secureboost.align.aligned import Aligned, AlignProgress, Progress, Sizes
from secureboost.align.conversation import Conversation, Terms, propose
from secureboost.align.keys import Keys
from secureboost.align.listing import Pairs, common_to_all, list_rows
from secureboost.align.method import Report
from secureboost.align.methods import get_method
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import TRAINER
from secureboost.align.rows import has_one_row_each, rows_of
from secureboost.align.run_state import Run, keep_outcome, kept_outcome, open_run, state_of
from secureboost.align.state import State
from secureboost.alignment import Alignment
from secureboost.errors import DataError, IntegrityError, NothingCommonError

LABEL_PARTY = "label-party"

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A feature party that is asked.

    Attributes
    ----------
    name : str
    connect : callable
        Opens a connection to it, for one session.
    """

    name: str
    connect: Callable[[], Peer]


def align_with(
    keys: Keys,
    parties: Sequence[Asked],
    options: AlignOptions,
    *,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Aligned:
    """Find the rows that the label party and all feature parties have in common.

    Parameters, result and errors are those of `secureboost.align.align`; but `state` stays if rows
    were agreed on. It holds the outcome then, and the same call returns that at once. The caller
    deletes it when the outcome is where it belongs.
    """
    if not parties:
        raise DataError("There is no party to align with; name at least one.")
    if not keys.encoded:
        raise DataError("The label party's table has no row with a key; there is nothing to align.")
    if not has_one_row_each(keys):
        raise DataError(
            "The label party's table has several rows of a key. Make its keys with "
            "duplicates='error', 'first' or 'last'; 'all' is for joins of events."
        )
    method = get_method(options.method)
    method.check_options(options)
    n_jobs = max(1, effective_n_jobs(options.n_jobs) // len(parties))
    terms = Terms(keys, options, method, method.groups(options), n_jobs)
    kept = State(state)
    table_digest = keys.digest()
    run = open_run(kept, table_digest, options)
    outcome = kept_outcome(kept, [party.name for party in parties])
    if outcome is not None:
        return outcome
    with greeted(parties) as session:
        aligned = _Alignment(session, terms, run, kept, table_digest, _reporter(progress)).run()
        if aligned.alignments:
            keep_outcome(kept, aligned)
    if not aligned.alignments:
        kept.clear()
    if aligned.sizes.nothing and options.result != "size":
        raise NothingCommonError(aligned.shortfall)
    return aligned


class _Alignment:
    """One run: the steps of all parties, and what is made of their results."""

    def __init__(
        self,
        session: Session,
        terms: Terms,
        run: Run,
        state: State,
        table_digest: bytes,
        report: Progress,
    ) -> None:
        self._session = session
        self._terms = terms
        self._state = state
        self._run = run
        self._table_digest = table_digest
        talks = [
            partial(
                propose,
                peer,
                terms,
                self._state_of(peer.name),
                _report_of(peer.name, report),
            )
            for peer in session.peers
        ]
        self._talks: list[Conversation] = self._side_by_side(talks)

    def run(self) -> Aligned:
        """Go through all steps."""
        options = self._terms.options
        self._side_by_side([talk.compare for talk in self._talks])
        verdicts = self._side_by_side([talk.tell_size for talk in self._talks])
        if options.result == "size":
            only = self._talks[0].n_common if len(self._talks) == 1 else None
            return Aligned({}, self._sizes(only))
        shortfall = self._shortfall(verdicts)
        if shortfall:
            return Aligned({}, self._sizes(None), shortfall)
        pairs = self._side_by_side([talk.pairs for talk in self._talks])
        common = common_to_all(pairs, len(self._terms.keys.encoded))
        if len(common) < options.min_size:
            return Aligned({}, self._sizes(len(common)), self._too_few_of_all(len(common)))
        mine, ids = self._agree(pairs, common)
        return Aligned(self._alignments(mine, ids), self._sizes(len(common)))

    def _agree(
        self, pairs: Sequence[Pairs], common: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], list[bytes]]:
        """Tell every party its rows; all have them before the first keeps them."""
        options = self._terms.options
        others = [pair.n_theirs - len(common) for pair in pairs]
        padding = (
            others if options.result == "label-party" else [min(options.padding, n) for n in others]
        )
        listing = list_rows(pairs, common, len(self._terms.keys.encoded), padding, self._run.seed)
        self._side_by_side(
            [
                partial(talk.list_rows, positions)
                for talk, positions in zip(self._talks, listing.theirs, strict=True)
            ]
        )
        return listing.mine, self._side_by_side([talk.conclude for talk in self._talks])

    def _alignments(self, mine: NDArray[np.int32], ids: Sequence[bytes]) -> dict[str, Alignment]:
        rows = rows_of(self._terms.keys, mine)
        secret = hashlib.sha256(b"secureboost alignment secret" + self._run.seed).digest()
        return {
            talk.party: Alignment(
                id=alignment,
                rows=rows,
                table_digest=self._table_digest,
                party=LABEL_PARTY,
                peer=talk.party,
                details=alignment_details(talk.proposal, talk.agreed, talk.n_common),
                secret=secret,
            )
            for talk, alignment in zip(self._talks, ids, strict=True)
        }

    def _state_of(self, party: str) -> State:
        return state_of(self._state, party)

    def _shortfall(self, verdicts: Sequence[bool]) -> str:
        """Say which party has too few common keys, if one has."""
        for talk, goes_on in zip(self._talks, verdicts, strict=True):
            if not talk.n_common:
                return _nothing_common(talk.party, self._terms.keys)
            own_minimum = self._terms.options.min_size
            if talk.n_common < own_minimum:
                return (
                    f"{talk.n_common} ids are common with {talk.party!r}, fewer than "
                    f"min_size={own_minimum}."
                )
            if not goes_on:
                return (
                    f"{talk.n_common} ids are common with {talk.party!r}, fewer than it asks for."
                )
        return ""

    def _too_few_of_all(self, n_common: int) -> str:
        if n_common:
            minimum = self._terms.options.min_size
            return f"{n_common} ids are common to all, fewer than min_size={minimum}."
        return (
            f"No id is common to all of {', '.join(talk.party for talk in self._talks)} and the "
            "label party, though each has some in common with it. Align with fewer parties."
        )

    def _sizes(self, agreed: int | None) -> Sizes:
        return Sizes(
            own=len(self._terms.keys.encoded),
            parties={talk.party: talk.agreed.n_keys for talk in self._talks},
            common={talk.party: talk.n_common for talk in self._talks},
            agreed=agreed,
        )

    def _side_by_side(self, steps: Sequence[Callable[[], T]]) -> list[T]:
        """Take a step with every party; the first error cuts all connections."""
        with ThreadPoolExecutor(len(steps), thread_name_prefix="align") as pool:
            try:
                futures = [pool.submit(step) for step in steps]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                return [future.result() for future in futures]
            except BaseException as error:
                self._session.abort()
                if isinstance(error, IntegrityError):  # what it has sent is not gone on with
                    self._state_of(error.party).clear()
                raise


def greeted(parties: Sequence[Asked]) -> Session:
    """Connect to all parties and greet them; those that were reached are released on an error."""
    with ExitStack() as on_error:
        peers = []
        for party in parties:
            peer = party.connect()
            on_error.callback(peer.abort)
            # at once: a party hangs up on a caller who is silent while others are being reached
            peer.greet(trainer=TRAINER, party=LABEL_PARTY, software_version=__version__)
            peers.append(peer)
        session = Session(peers)
        on_error.pop_all()
    return session


def _reporter(progress: Progress | None) -> Progress:
    """Let one thread at a time report."""
    lock = threading.Lock()

    def report(event: AlignProgress) -> None:
        if progress is not None:
            with lock:
                progress(event)

    return report


def _report_of(party: str, report: Progress) -> Report:
    return lambda step, done, total: report(AlignProgress(party, step, done, total))


def _nothing_common(party: str, keys: Keys) -> str:
    return (
        f"No id is common with {party!r}. Keys were made by the rules {', '.join(keys.rules)}: "
        "see on both sides whether the key columns mean the same and have the same order, and "
        "what the rules do with made-up values (secureboost align CONFIG --show-rules)."
    )
