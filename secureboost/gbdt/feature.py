"""The feature party's role: answers what `gbdt.protocol` allows, by its own rules.

It holds columns and no label. It sees ciphertexts under the label party's key, adds them up by bin
and lets nothing leave that is not re-randomised. Training is in `feature_training`, prediction in
`feature_routes`; what it knows of the tree is in `feature_tree`, what it allows in `policy`.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from crypto.errors import CryptoError, UnavailableError
from crypto.scheme import PublicKey
from crypto.schemes import load_public_key
from parties.messages import (
    Ack,
    MatchRows,
    Message,
    Refusal,
    Reply,
    Request,
    SessionCode,
    UseAlignment,
)
from parties.service import Service
from secureboost.agreed_rows import AgreedRows, aligned_rows, matched_rows
from secureboost.alignment import ABSENT
from secureboost.gbdt.feature_bins import bin_rows
from secureboost.gbdt.feature_routes import answer_route
from secureboost.gbdt.feature_start import begin_half, find_earlier
from secureboost.gbdt.feature_table import FeatureTable
from secureboost.gbdt.feature_training import FeatureTraining, not_none, spend_histograms
from secureboost.gbdt.policy import Policy
from secureboost.gbdt.protocol import (
    TRANSITIONS,
    Code,
    Divide,
    Finish,
    Finished,
    GradientBlock,
    HistogramsOf,
    Keep,
    Ready,
    Route,
    Setup,
)

log = logging.getLogger(__name__)


class FeatureSession(Service):
    """One session with a label party.

    Parameters
    ----------
    table : FeatureTable
    in_process : bool
        The label party lives in this process, so that there is nothing to hide from it; schemes
        that hide nothing are accepted then only.
    insecure_test_keys : bool
        Accept keys that are too short. For tests.
    n_jobs : int
        Threads for sums over ciphertexts; -1 is one per core.
    """

    transitions = TRANSITIONS

    def __init__(
        self,
        table: FeatureTable,
        *,
        in_process: bool = False,
        insecure_test_keys: bool = False,
        n_jobs: int = 1,
    ) -> None:
        self._table = table
        self._in_process = in_process
        self._insecure_test_keys = insecure_test_keys
        self._n_jobs = effective_n_jobs(n_jobs)
        self._agreed: AgreedRows | None = None
        self._training: FeatureTraining | None = None
        self._answers: Mapping[type[Message], Callable[[Any], Reply]] = {
            MatchRows: lambda request: self._count_in(matched_rows(request, self._table)),
            UseAlignment: lambda request: self._count_in(aligned_rows(request, self._table)),
            Setup: self._setup,
            GradientBlock: lambda request: not_none(self._training).load(request),
            HistogramsOf: lambda request: not_none(self._training).histograms(request),
            Divide: lambda request: not_none(self._training).divide(request),
            Keep: lambda request: not_none(self._training).keep(request),
            Finish: self._finish,
            Route: lambda request: answer_route(request, self._table, not_none(self._agreed)),
        }

    def answer(self, request: Request[Any]) -> Reply:
        """Answer a request that is in turn.

        Raises
        ------
        Refusal
            Where the request breaks a rule, or the disk does not take what is to be kept. Nothing
            has changed then, but that a `Setup` whose bins do not fit the earlier model has been
            paid for: it was answered a question.
        """
        try:
            return self._answers[type(request)](request)
        except OSError as error:
            log.error("nothing more can be kept: %s", error)
            raise Refusal(
                Code.DISK, f"this party's disk takes nothing more to be kept: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Forget keys, ciphertexts and trees."""
        if self._training is not None:
            self._training.close()
        self._training = None

    def _count_in(self, agreed: AgreedRows) -> Ack:
        self._agreed = agreed
        return Ack()

    def _setup(self, request: Setup) -> Ready:
        table = self._table
        check_terms(request, table.policy)
        key = self._load_key(request)
        rows = not_none(self._agreed).at(request.rows)
        check_training_rows(request, rows, table.policy)
        earlier = find_earlier(request, table)
        # the numbers of bins tell whether rows share values, so they count as an answer
        spend_histograms(table, 1)
        bins = bin_rows(table, rows, request.n_training, request.max_bin, self._n_jobs)
        half = begin_half(request, table, bins, earlier)
        self._training = FeatureTraining(
            request,
            key,
            table,
            bins,
            half,
            ended=earlier is not None and earlier.ended,
            n_jobs=self._n_jobs,
        )
        log.info(
            "training begins: %d rows, %d columns, %d splits, key %s of the label party",
            request.n_training,
            len(bins.binned),
            len(half.splits),
            key.fingerprint[:16],
        )
        return Ready(
            n_bins=bins.n_bins,
            categorical=bins.categorical.astype(np.uint8),
            monotone=table.monotone,
        )

    def _load_key(self, request: Setup) -> PublicKey:
        try:
            key = load_public_key(
                request.scheme, request.public_key, allow_insecure=self._insecure_test_keys
            )
        except UnavailableError as error:
            raise Refusal(Code.SCHEME, str(error)[:300]) from error
        except CryptoError as error:
            raise Refusal(Code.KEY, str(error)[:300]) from error
        if key.in_process_only and not self._in_process:
            raise Refusal(
                Code.SCHEME,
                f"scheme {request.scheme!r} hides nothing and is for one process alone; "
                "use scheme='paillier'",
            )
        if request.cell_bits * request.cells > key.plaintext_bits:
            raise Refusal(
                Code.WIDTHS,
                f"{request.cells} cells of {request.cell_bits} bits exceed the plaintext's "
                f"{key.plaintext_bits} bits",
            )
        return key

    def _finish(self, request: Finish) -> Finished:
        finished = not_none(self._training).finish(request)
        self.close()
        return finished


def check_terms(request: Setup, policy: Policy) -> None:
    """Refuse parameters that the party's rules do not allow.

    Raises
    ------
    Refusal
    """
    if request.max_bin > policy.max_bin:
        raise Refusal(
            Code.POLICY, f"max_bin={request.max_bin} is above this party's {policy.max_bin}"
        )
    if request.min_child_samples < policy.min_child_samples:
        raise Refusal(
            Code.POLICY,
            f"min_child_samples={request.min_child_samples} is below this party's floor of "
            f"{policy.min_child_samples}",
        )
    if request.min_group < request.min_child_samples:
        raise Refusal(
            Code.POLICY,
            f"min_group={request.min_group} is below min_child_samples="
            f"{request.min_child_samples}: a category that goes left is a side of a split",
        )


def check_training_rows(request: Setup, rows: NDArray[np.int32], policy: Policy) -> None:
    """Refuse more training rows than rows, or fewer that this party has than its floor.

    Parameters
    ----------
    request : Setup
    rows : array of shape (n_rows,), int32
        Its rows in this party's table; `alignment.ABSENT` for those that it does not have.
    policy : Policy

    Raises
    ------
    Refusal
    """
    if request.n_training > len(request.rows):
        raise Refusal(
            SessionCode.ROWS_REFUSED, f"n_training={request.n_training} of {len(request.rows)} rows"
        )
    n_held = np.count_nonzero(rows[: request.n_training] != ABSENT)
    if n_held < policy.min_child_samples:
        raise Refusal(
            Code.POLICY,
            f"{n_held} rows are fewer than this party's floor of {policy.min_child_samples}",
        )
