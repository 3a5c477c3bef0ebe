"""The label party's role in prediction: asks for activations, scores them."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from secureboost.asked_rows import AskedRows
from secureboost.errors import ConfigError, IntegrityError, ModelError
from secureboost.row_order import RowOrder
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.body import evaluate_body, make_body
from secureboost.splitnn.bottoms import Pending
from secureboost.splitnn.codecs import MASKED_SUM, get_codec
from secureboost.splitnn.errors import PayloadError
from secureboost.splitnn.keystream import Keystream
from secureboost.splitnn.make import Scorer, load_weights
from secureboost.splitnn.model import PartnerNet, TopHead, decode_half, half_digest
from secureboost.splitnn.payload import unpack
from secureboost.splitnn.protocol import Activations, Predict
from secureboost.splitnn.randomness import INITIAL, seeded
from secureboost.splitnn.remote_body import AskedBody
from secureboost.splitnn.summing import agree_masks, sum_answers
from secureboost.splitnn.table import ColumnTable
from secureboost.splitnn.task import NetPartner, parts_of
from secureboost.splitnn.tensors import DTYPES, is_finite
from secureboost.splitnn.top import TopNetwork
from secureboost.splitnn.trainable import Tensors, split_parts
from secureboost.splitnn.trainer import score_rows


class LoadedModel:
    """The label party's half, ready to score.

    Parameters
    ----------
    half : bytes
        Its file.
    where : str
        What errors call it.

    Attributes
    ----------
    head : TopHead
    secret : bytes
        That partners cannot guess: SHA-256 of the file.

    Raises
    ------
    secureboost.errors.ModelError
        If it is damaged.
    """

    def __init__(self, half: bytes, where: str) -> None:
        self.head, tensors = decode_half(half, TopHead, where)
        self.secret = half_digest(half)
        names = ["top", "body", *(f"bottom {number}" for number in range(len(self.head.bottoms)))]
        try:
            parts = split_parts(tensors, names)
        except ValueError as error:
            raise ModelError(f"{where} is damaged: {error}.") from error
        top, body, *self.bottom_weights = parts.values()
        self.top = self._make_top(top, where)
        self._body: nn.Module | None = None
        if self.head.body is not None and not self.head.body_at:
            self._body = make_body(self.head.body, 0, torch.Generator())
            load_weights(self._body, body, where)

    def _make_top(self, weights: Tensors, where: str) -> TopNetwork:
        head = self.head
        widths = head.widths if head.body is None else [head.body.width]
        kind = get_architecture(head.architecture.name)
        with seeded(0, INITIAL):
            module = kind.make_top(
                widths, len(head.offset), head.architecture.options, torch.Generator()
            )
        module = module.to(DTYPES[head.dtype])
        load_weights(module, weights, where)
        return TopNetwork(module, np.array(head.offset), head.scale)

    def through_body(self, activations: Sequence[Tensor], partners: Sequence[NetPartner]) -> Tensor:
        """What the body makes of what the bottoms give; it is here or at a partner."""
        head = self.head
        if self._body is not None:
            return evaluate_body(self._body, activations)
        if head.body is None:
            raise RuntimeError("a model without a body was asked for what it gives")
        peers = {partner.peer.name: partner.peer for partner in partners}
        return AskedBody(peers[head.body_at], head.body).predict(head.model_id, activations)

    def scorers(self, columns: ColumnTable) -> list[Scorer]:
        """The bottoms that lie in the half, over a table with all columns of `head`."""
        parts = parts_of(columns, self.head.column_owner)
        return [
            Scorer(head, weights, parts[head.party])
            for head, weights in zip(self.head.bottoms, self.bottom_weights, strict=True)
        ]


def raw_scores(
    model: LoadedModel,
    columns: ColumnTable,
    n_rows: int,
    partners: Sequence[NetPartner],
    without: Collection[str] = (),
) -> NDArray[np.float64]:
    """Score rows.

    Parameters
    ----------
    model : LoadedModel
    columns : ColumnTable
        Own columns, and all columns of a pooled model.
    n_rows : int
    partners : sequence of NetPartner
        In the order of ``model.head.partners``, but for those that are missing.
    without : collection of str
        Parties that are missing: zeros stand for what their bottoms would give.

    Returns
    -------
    array of shape (n_rows,) for one output, else (n_rows, n_outputs), float64

    Raises
    ------
    parties.errors.PartyError
        If a partner refuses or fails.
    secureboost.errors.IntegrityError
        If a partner sends what cannot be.
    """
    head = model.head
    # where a second question begins must not depend on the order of our table
    positions = partners[0].rows if partners else np.arange(n_rows, dtype=np.int32)
    order = RowOrder.by_position(positions, 0)
    masked, ask = head.codec == MASKED_SUM, _Asking
    if masked and partners:
        order, ask = _secret_order(model.secret, positions), _AskingMember
        agree_masks([partner.peer for partner in partners])
    present = [of_model for of_model in head.partners if of_model.name not in without]
    asking = {
        of_model.name: ask(partner, of_model, head, order)
        for partner, of_model in zip(partners, present, strict=True)
    }
    scorers = [scorer for scorer in model.scorers(columns) if scorer.head.party not in without]
    width_of = {bottom.party: bottom.width for bottom in head.bottoms}
    width_of |= {partner.name: partner.width for partner in head.partners}

    def evaluate(places: NDArray[np.int32]) -> list[Pending]:
        first, behind = int(places[0]), int(places[-1]) + 1
        answers = {name: partner.ask(first, behind) for name, partner in asking.items()}
        rows = order.rows[places].astype(np.int32)
        for scorer in scorers:
            answers[scorer.head.party] = _given(scorer.activations(rows))
        for party in without:
            nothing = torch.zeros((len(rows), width_of[party]), dtype=DTYPES[head.dtype])
            answers[party] = _given(nothing)
        inputs = {party: answers[party] for party in width_of}
        if masked:
            inputs = sum_answers(inputs, head.dtype)
        return [*inputs.values()]

    def score(answers: list[Pending]) -> NDArray[np.float64]:
        activations = [answer.result() for answer in answers]
        if head.body is not None:
            activations = [model.through_body(activations, partners)]
        return model.top.score(activations)

    widths = head.widths if head.body is None else [*head.widths, head.body.width]
    return score_rows(score, widths, np.arange(n_rows, dtype=np.int32), evaluate)[order.places]


class _Asking:
    """A partner that is asked for what its bottom gives."""

    def __init__(
        self, partner: NetPartner, of_model: PartnerNet, head: TopHead, order: RowOrder
    ) -> None:
        self._peer = partner.peer
        self._rows = AskedRows.of(partner.rows, partner.padding, partner.goes_with, order)
        self._width = of_model.width
        self._head = head
        self._codec = get_codec(head.codec)

    def ask(self, first: int, behind: int) -> Pending:
        """Ask about the rows from one place in the order to another.

        What the partner gives for rows that it does not have is zeros.
        """
        question = self._rows.about(first, behind)
        shape, dtype = (behind - first, self._width), DTYPES[self._head.dtype]
        if not question:
            return _given(torch.zeros(shape, dtype=dtype))
        request = Predict(model_id=self._head.model_id, rows=question.rows)
        future = self._peer.submit(request, ahead=True)

        def read() -> Tensor:
            values = torch.zeros(shape, dtype=dtype)
            answered = self._read(future, len(question.rows))
            values[torch.from_numpy(question.held)] = answered[torch.from_numpy(question.answers)]
            return values

        return Pending(read)

    def _read(self, future: Future[Activations], n_rows: int) -> Tensor:
        reply, name, dtype = future.result(), self._peer.name, self._head.dtype
        if reply.n_rows != n_rows:
            raise IntegrityError(
                name, f"sent numbers for {reply.n_rows} rows where {n_rows} were asked for"
            )
        try:
            arrays = unpack(reply.payload, self._codec.layout(n_rows, self._width, dtype))
            values = self._codec.decode(arrays, self._width, dtype)
        except PayloadError as error:
            raise IntegrityError(name, f"sent {error}") from error
        if not is_finite(values):
            raise IntegrityError(name, "sent numbers that are not finite")
        return values


class _AskingMember(_Asking):
    """A member of a sum: all are asked about the same rows in the same order, which is secret."""

    def __init__(
        self, partner: NetPartner, of_model: PartnerNet, head: TopHead, order: RowOrder
    ) -> None:
        super().__init__(partner, of_model, head, order)
        if len(partner.padding):
            raise ConfigError(
                f"rows of {partner.peer.name!r} cannot be hidden among padding rows: "
                f"codec={head.codec!r} needs the same rows at every party. Align again with "
                "align.padding = 0",
                "align.padding",
            )
        self._positions = partner.rows[order.rows]

    def ask(self, first: int, behind: int) -> Pending:
        """Ask about the rows from one place in the order to another."""
        rows = self._positions[first:behind]
        request = Predict(model_id=self._head.model_id, rows=rows)
        future = self._peer.submit(request, ahead=True)
        return Pending(lambda: self._read(future, len(rows)))


def _secret_order(secret: bytes, positions: NDArray[np.int32]) -> RowOrder:
    """An order that says nothing of anybody's table; the same for the same rows."""
    words = Keystream(hashlib.sha256(secret + positions.tobytes()).digest()).words(len(positions))
    return RowOrder(np.argsort(words))


def _given(values: Tensor) -> Pending:
    """Activations that are there already."""
    return Pending(lambda: values)
