"""A bottom in another company: the same exchanges, asked over a session."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from parties.errors import PeerRefusedError
from parties.peer import Peer
from secureboost.errors import IntegrityError
from secureboost.splitnn.batches import Batches
from secureboost.splitnn.bottoms import CutBottom
from secureboost.splitnn.codecs import get_codec
from secureboost.splitnn.errors import DivergedError, PayloadError
from secureboost.splitnn.payload import Arrays, pack, unpack
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.protocol import (
    NO_BATCH,
    Activations,
    BottomReady,
    Code,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    SetupBottom,
)
from secureboost.splitnn.tensors import is_finite


class RemoteBottom(CutBottom):
    """A partner's bottom.

    Parameters
    ----------
    peer : Peer
        Which has answered `setup_message` of the same plan.
    plan : BottomPlan

    Attributes
    ----------
    seconds : float
        How long the partner computed; known after `finish`.
    """

    waits = True

    def __init__(self, peer: Peer, plan: BottomPlan) -> None:
        super().__init__(peer.name, get_codec(plan.codec), plan.width, plan.dtype)
        self._peer = peer
        self._plan = plan
        self._batches = Batches(plan.n_training, plan.batch_size, plan.batch_seed)
        self._step = 0
        self.seconds = 0.0

    def keep(self, epoch: int, *, best: bool, durable: bool) -> None:
        """See `Bottom.keep`."""
        self._peer.ask(KeepBottom(epoch=epoch, best=best, durable=durable))

    def finish(self, *, keep: bool, best: bool) -> str:
        """See `Bottom.finish`."""
        finished = self._peer.ask(FinishBottom(keep=keep, best=best))
        self.seconds = finished.seconds
        return finished.digest.hex()

    def _ask(
        self, gradient_of: int | None, gradient: Arrays | None, batch: int | None
    ) -> Callable[[], Arrays]:
        future = self._send(gradient_of, gradient, batch)
        n_rows = 0 if batch is None else self._batches.n_rows(batch)
        step = batch if batch is not None else gradient_of or 0
        return lambda: self._read(future, n_rows, step)

    def _send(
        self, gradient_of: int | None, gradient: Arrays | None, batch: int | None
    ) -> Future[Activations]:
        """Begin an exchange."""
        payload = np.zeros(0, np.uint8)
        if gradient is not None and gradient_of is not None:
            n_rows = self._batches.n_rows(gradient_of)
            layout = self._codec.gradient_layout(n_rows, self.width, self._dtype)
            payload = pack(gradient, layout)
        return self._peer.submit(
            Exchange(
                gradient_of=NO_BATCH if gradient_of is None else gradient_of,
                forward=NO_BATCH if batch is None else batch,
                gradient=payload,
            ),
            ahead=True,
        )

    def _ask_evaluation(self, rows: NDArray[np.int32]) -> Callable[[], Arrays]:
        future = self._peer.submit(Evaluate(rows=rows), ahead=True)
        return lambda: self._read(future, len(rows), self._step)

    def _read(self, future: Future[Activations], n_rows: int, step: int) -> Arrays:
        """Wait for an answer and check its form."""
        self._step = step
        try:
            reply = future.result()
        except PeerRefusedError as refusal:
            if refusal.code != Code.DIVERGED:
                raise
            raise self._diverged() from refusal
        if reply.n_rows != n_rows:
            self._lies(f"sent numbers for {reply.n_rows} rows where {n_rows} were asked for")
        if n_rows == 0:
            return ()
        try:
            return unpack(reply.payload, self._codec.layout(n_rows, self.width, self._dtype))
        except PayloadError as error:
            self._lies(f"sent {error}")

    def _decode(self, arrays: Arrays) -> Tensor:
        try:
            values = super()._decode(arrays)
        except PayloadError as error:
            self._lies(f"sent {error}")
        if not is_finite(values):
            self._lies(f"sent numbers at step {self._step} that are not finite")
        return values

    def _diverged(self) -> DivergedError:
        return DivergedError(self._step, self.owner, "activation", self._plan.learning_rate)

    def _lies(self, problem: str) -> NoReturn:
        raise IntegrityError(self.owner, problem)


def setup_message(
    plan: BottomPlan, model_id: str, epoch: int, initial_seed: int | None
) -> SetupBottom:
    """Say a plan to a partner.

    Parameters
    ----------
    plan : BottomPlan
        Its rows are positions in the rows that both sides hold.
    model_id : str
    epoch : int
        Epochs that are done.
    initial_seed : int or None
        Of the bottom, if it is not the partner's secret.
    """
    return SetupBottom(
        model_id=model_id,
        epoch=epoch,
        rows=plan.rows,
        n_training=plan.n_training,
        batch_size=plan.batch_size,
        batch_seed=plan.batch_seed,
        in_flight=plan.in_flight,
        skips=plan.skips,
        local_steps=plan.local_steps,
        width=plan.width,
        dtype="float64" if plan.dtype == "float64" else "float32",
        architecture=plan.architecture,
        optimizer=plan.optimizer,
        learning_rate=plan.learning_rate,
        momentum=plan.momentum,
        weight_decay=plan.weight_decay,
        max_norm=plan.max_norm,
        codec=plan.codec,
        protections=plan.protections,
        initial_seed=initial_seed,
    )


def check_ready(party: str, reply: BottomReady, batches: Batches) -> None:
    """Check that a partner has drawn the batches that we have.

    Raises
    ------
    secureboost.errors.IntegrityError
    """
    if reply.order != batches.digest():
        raise IntegrityError(
            party,
            "draws other batches from the same seed. Install the same release on both sides",
        )
