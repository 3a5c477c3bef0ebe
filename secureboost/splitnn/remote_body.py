"""A body in another company: asked over the session in which it has its bottom."""

from collections.abc import Sequence
from typing import NoReturn

from torch import Tensor

from parties.errors import PeerRefusedError
from parties.peer import Peer
from secureboost.errors import IntegrityError
from secureboost.splitnn.body import Body
from secureboost.splitnn.body_numbers import pack_numbers, unpack_numbers
from secureboost.splitnn.body_protocol import BackwardBody, ForwardBody, PredictBody, SetupBody
from secureboost.splitnn.errors import DivergedError, PayloadError
from secureboost.splitnn.model import BodyHead
from secureboost.splitnn.protocol import NO_BATCH, Activations, Code


class AskedBody:
    """A partner that computes the body; asked in training and in prediction alike.

    Parameters
    ----------
    peer : Peer
    head : BodyHead
    """

    def __init__(self, peer: Peer, head: BodyHead) -> None:
        self._peer = peer
        self._head = head

    def predict(self, model_id: str, activations: Sequence[Tensor]) -> Tensor:
        """What the body of a trained model gives."""
        n_rows = len(activations[0])
        payload = pack_numbers(activations, self._head.dtype)
        request = PredictBody(model_id=model_id, n_rows=n_rows, activations=payload)
        return self._read(self._peer.ask(request), n_rows)

    def _read(self, reply: Activations, n_rows: int) -> Tensor:
        """Check the form of an answer."""
        if reply.n_rows != n_rows:
            self._lies(f"sent numbers for {reply.n_rows} rows where {n_rows} were asked for")
        head = self._head
        try:
            return unpack_numbers(reply.payload, n_rows, [head.width], head.dtype)[0]
        except PayloadError as error:
            self._lies(f"sent {error}")

    def _lies(self, problem: str) -> NoReturn:
        raise IntegrityError(self._peer.name, problem)


class RemoteBody(AskedBody, Body):
    """A partner's body in training.

    Parameters
    ----------
    peer : Peer
        Which has answered `setup_body`.
    head : BodyHead
    learning_rate : float
        For messages.
    """

    def __init__(self, peer: Peer, head: BodyHead, learning_rate: float) -> None:
        super().__init__(peer, head)
        self.owner = peer.name
        self.width = head.width
        self._learning_rate = learning_rate
        self._n_rows = 0

    def forward(self, number: int, activations: Sequence[Tensor]) -> Tensor:
        """See `Body.forward`."""
        self._n_rows = len(activations[0])
        return self._forward(number, activations)

    def backward(self, number: int, gradient: Tensor) -> list[Tensor]:
        """See `Body.backward`."""
        head = self._head
        request = BackwardBody(batch=number, gradient=pack_numbers([gradient], head.dtype))
        reply = self._peer.ask(request)
        try:
            return unpack_numbers(reply.payload, self._n_rows, head.widths, head.dtype)
        except PayloadError as error:
            self._lies(f"sent {error}")

    def evaluate(self, activations: Sequence[Tensor]) -> Tensor:
        """See `Body.evaluate`."""
        return self._forward(NO_BATCH, activations)

    def _forward(self, number: int, activations: Sequence[Tensor]) -> Tensor:
        n_rows, payload = len(activations[0]), pack_numbers(activations, self._head.dtype)
        try:
            reply = self._peer.ask(ForwardBody(batch=number, n_rows=n_rows, activations=payload))
        except PeerRefusedError as refusal:
            if refusal.code != Code.DIVERGED:
                raise
            raise DivergedError(
                max(number, 0), self.owner, "output of the body", self._learning_rate
            ) from refusal
        return self._read(reply, n_rows)


def setup_body(head: BodyHead) -> SetupBody:
    """Say to a partner what to compute."""
    return SetupBody(widths=head.widths, width=head.width, architecture=head.architecture)
