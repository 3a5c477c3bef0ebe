"""A feature party between `protocol.SetupBottom` and `protocol.FinishBottom`."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import Ack, Refusal, SessionCode
from secureboost.splitnn.body_protocol import SetupBody
from secureboost.splitnn.feature_body import HostedBody, host_body
from secureboost.splitnn.feature_limits import check_fits
from secureboost.splitnn.feature_masks import Masking
from secureboost.splitnn.inputs import content_digest
from secureboost.splitnn.learner import Learner
from secureboost.splitnn.model import VERSION, BottomHead, encode_half, half_digest, join_body
from secureboost.splitnn.payload import Arrays, Layout, pack, unpack
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protocol import (
    NO_BATCH,
    Activations,
    BottomFinished,
    BottomReady,
    Code,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    SetupBottom,
)
from secureboost.splitnn.table import PartyTable
from secureboost.splitnn.terms import NetTerms
from secureboost.splitnn.trainable import Tensors, Trainable

log = logging.getLogger(__name__)

_NOTHING_LEARNT = "nothing is kept before the first epoch is through"


class BatchTerms(msgspec.Struct, frozen=True):
    """What `batches.Batches` are drawn from; a run goes on with the same.

    Attributes
    ----------
    n_training, batch_size, batch_seed : int
    """

    n_training: int
    batch_size: int
    batch_seed: int

    @classmethod
    def of(cls, plan: BottomPlan) -> "BatchTerms":
        """Those of a plan."""
        return cls(plan.n_training, plan.batch_size, plan.batch_seed)


class BottomCheckpoint(msgspec.Struct, frozen=True, kw_only=True, tag="secureboost.bottom.kept"):
    """The head of a checkpoint's file.

    Attributes
    ----------
    version : int
    half : BottomHead
    epoch : int
        Epochs that are done.
    seed : int
    content : str
        `inputs.content_digest` of the columns in the training's rows.
    batches : BatchTerms
    """

    version: int = VERSION
    half: BottomHead
    epoch: int
    seed: int
    content: str
    batches: BatchTerms


@dataclass(frozen=True, repr=False)
class Made:
    """A bottom that is ready to be trained.

    Attributes
    ----------
    head : BottomHead
    plan : BottomPlan
    learner : Learner
    body : dict of str to tensor
        State of the body, if the party computed one before a run was cut off.
    """

    head: BottomHead
    plan: BottomPlan
    learner: Learner
    body: Tensors = field(default_factory=dict)


class FeatureTraining:
    """One network in the making.

    Parameters
    ----------
    made : Made
    table : PartyTable
    terms : NetTerms
    finished : bytes, optional
        The half, if the training had ended before and may only be finished once more.

    Attributes
    ----------
    body : HostedBody or None
        The body of the top, if the party computes it (`host`).
    """

    def __init__(
        self, made: Made, table: PartyTable, terms: NetTerms, finished: bytes | None = None
    ) -> None:
        self._head, self._plan, self._learner = made.head, made.plan, made.learner
        self._made = made
        self.body: HostedBody | None = None
        self._masking: Masking | None = None
        self._table = table
        self._terms = terms
        self._finished = finished
        self._seconds = 0.0

    def ready(self) -> BottomReady:
        """What the label party is told."""
        return BottomReady(
            order=self._learner.batches.digest(),
            protections=tuple(choice.name for choice in self._head.protections),
        )

    def mask(self, masking: Masking, request: SetupBottom) -> None:
        """Mask what is given from now on.

        Raises
        ------
        Refusal
            If this party does not have one of the rows.
        """
        masking.begins(request, self._plan.rows, self._head.said)
        self._masking = masking

    def host(self, request: SetupBody) -> Ack:
        """Compute the body of the top besides.

        Raises
        ------
        Refusal
            If a rule forbids it, or the run was begun with another body.
        """
        if self._finished is not None:
            return Ack()
        hosted = host_body(request, self._plan, self._head.party, self._terms.policy)
        if not self._learner.resting:
            raise Refusal(
                Code.EXCHANGE, "a batch is in flight; the body is set up before the first"
            )
        if self._learner.epoch:
            try:
                hosted.body.restore(self._made.body, self._learner.epoch)
            except (ValueError, KeyError) as error:
                raise Refusal(
                    Code.RESUME, "this party has kept another body, or none; begin a new model"
                ) from error
        self._head = msgspec.structs.replace(self._head, body=hosted.head)
        self.body = hosted
        return Ack()

    def exchange(self, request: Exchange) -> Activations:
        """Learn from a gradient and forward a batch.

        Raises
        ------
        Refusal
            If the training has ended, or the budget is spent.
        TurnError, PayloadError, DivergedError
            See `learner.Learner.exchange`.
        """
        started = time.perf_counter()
        self._check_goes_on()
        gradient_of = None if request.gradient_of == NO_BATCH else request.gradient_of
        forward = None if request.forward == NO_BATCH else request.forward
        learner = self._learner
        learner.check_turn(gradient_of, forward)
        gradient: Arrays | None = None
        if gradient_of is not None:
            n_rows = learner.batches.n_rows(gradient_of)
            layout = self._layout(learner.codec.gradient_layout, n_rows)
            if len(request.gradient) or not self._plan.skips:
                gradient = unpack(request.gradient, layout)
        decoded = learner.read(gradient_of, gradient, forward)
        if forward is not None and not self._terms.budget.spend_exchange():
            raise Refusal(
                Code.BUDGET,
                f"this data set's budget of {self._terms.policy.max_exchanges} exchanges is spent",
            )
        self._hear(request)  # what was refused did not happen: nothing of it enters the masks
        arrays = learner.proceed(gradient_of, decoded, forward)
        n_rows = 0 if forward is None else learner.batches.n_rows(forward)
        self._seconds += time.perf_counter() - started
        return self._activations(arrays, n_rows)

    def evaluate(self, request: Evaluate) -> Activations:
        """Forward rows without learning.

        Raises
        ------
        Refusal
            If the rows do not exist, or the budget is spent.
        """
        started = time.perf_counter()
        self._check_goes_on()
        check_rows_asked(request.rows, len(self._plan.rows), self._head)
        spend_rows(self._terms, len(request.rows))
        self._hear(request)
        arrays = self._learner.evaluate(request.rows)
        self._seconds += time.perf_counter() - started
        return self._activations(arrays, len(request.rows))

    def keep(self, request: KeepBottom) -> Ack:
        """Remember the weights after an epoch, in memory and on the disk.

        Raises
        ------
        Refusal
            If the epoch is not through, or none was begun.
        OSError
            If they cannot be written.
        """
        self._check_goes_on()
        learner = self._learner
        if request.epoch == 0:
            raise Refusal(Code.EXCHANGE, _NOTHING_LEARNT)
        if not self._resting or learner.epoch != request.epoch:
            raise Refusal(Code.EXCHANGE, f"epoch {request.epoch} is not through yet")
        self._hear(request)
        if request.best:
            for trainable in self._trainables:
                trainable.remember()
        if request.durable:
            head = BottomCheckpoint(
                half=self._head,
                epoch=request.epoch,
                seed=self._plan.seed,
                content=self._content,
                batches=BatchTerms.of(self._plan),
            )
            states = [trainable.state() for trainable in self._trainables]
            data = encode_half(head, join_body(*states))
            self._terms.store.keep(self._head.model_id, request.epoch, data)
            self._drop_oldest()
        return Ack()

    def finish(self, request: FinishBottom) -> BottomFinished:
        """Save the half, or forget all of it.

        Raises
        ------
        Refusal
            If a batch is in flight, or nothing was learnt that might be kept.
        OSError
            If the half cannot be written.
        """
        model_id, store = self._head.model_id, self._terms.store
        half = self._finished
        if half is None:
            if not self._resting:
                raise Refusal(Code.EXCHANGE, "the epoch is not through yet")
            if request.keep and not self._learner.epoch:
                raise Refusal(Code.EXCHANGE, _NOTHING_LEARNT)
            self._hear(request)
            weights = [trainable.weights(best=request.best) for trainable in self._trainables]
            half = encode_half(self._head, join_body(*weights))
            if request.keep:
                store.save(model_id, half)
            else:
                store.forget(model_id)
        log.info(
            "training ends: the bottom of model %s is %s",
            model_id,
            "kept" if request.keep else "forgotten",
        )
        seconds = self._seconds + (self.body.seconds if self.body else 0.0)
        return BottomFinished(seconds=seconds, digest=half_digest(half) if request.keep else b"")

    def _drop_oldest(self) -> None:
        """Bound what runs that nobody goes on with take of the disk."""
        most = self._terms.policy.max_unfinished
        for model_id in self._terms.store.drop_oldest(most, self._head.model_id):
            log.warning(
                "the checkpoints of model %s are deleted: more than %d models are unfinished",
                model_id,
                most,
            )

    @property
    def _resting(self) -> bool:
        """Whether nothing waits for a gradient, and as many epochs as were begun are through."""
        return self._learner.resting and (self.body is None or self.body.body.resting)

    @property
    def _trainables(self) -> list[Trainable]:
        """The bottom's network; the body's, if there is one."""
        bodies = [] if self.body is None else [self.body.body.trainable]
        return [self._learner.trainable, *bodies]

    @cached_property
    def _content(self) -> str:
        return content_digest(self._table, self._plan.rows)

    def _check_goes_on(self) -> None:
        if self._finished is not None:
            raise Refusal(Code.RESUME, f"model {self._head.model_id} is finished; begin a new one")

    def _hear(self, request: Exchange | Evaluate | KeepBottom | FinishBottom) -> None:
        """Let what is said enter the masks from now on."""
        if self._masking is not None:
            self._masking.hears(request)
            self._head = msgspec.structs.replace(self._head, said=self._masking.said)

    def _layout(self, of: Callable[[int, int, str], Layout], n_rows: int) -> Layout:
        return of(n_rows, self._plan.width, self._plan.dtype)

    def _activations(self, arrays: Arrays | None, n_rows: int) -> Activations:
        if arrays is None:
            return Activations(n_rows=0, payload=np.zeros(0, np.uint8))
        if self._masking is not None:
            arrays = self._masking.masked(arrays)
        layout = self._layout(self._learner.codec.layout, n_rows)
        return Activations(n_rows=n_rows, payload=pack(arrays, layout))


def check_rows_asked(rows: NDArray[np.int32], n_rows: int, head: BottomHead) -> None:
    """Check that rows to be evaluated exist and are not too many.

    Raises
    ------
    Refusal
    """
    if len(rows) == 0 or rows.min() < 0 or rows.max() >= n_rows:
        raise Refusal(
            SessionCode.ROWS_REFUSED, f"rows must be positions in 0..{n_rows - 1}, and at least one"
        )
    check_fits(len(rows), head.width)
    if len(np.unique(rows)) < len(rows):
        raise Refusal(SessionCode.ROWS_REFUSED, "a row is named twice; each may be named once")


def spend_rows(terms: NetTerms, n_rows: int) -> None:
    """Take evaluated rows from the budget.

    Raises
    ------
    Refusal
        If too little is left.
    """
    if not terms.budget.spend_rows(n_rows):
        raise Refusal(
            Code.BUDGET,
            f"this data set's budget of {terms.policy.max_evaluated_rows} evaluated rows is spent",
        )
