"""What a feature party does that computes the body of the top besides its bottom (`body`)."""

import logging
import time

import torch
from torch import nn

from parties.messages import Refusal
from secureboost.errors import ConfigError
from secureboost.splitnn.body import LocalBody, evaluate_body, make_body
from secureboost.splitnn.body_numbers import pack_numbers, unpack_numbers
from secureboost.splitnn.body_protocol import (
    MOST_BOTTOMS,
    BackwardBody,
    CutGradients,
    ForwardBody,
    PredictBody,
    SetupBody,
)
from secureboost.splitnn.errors import TurnError
from secureboost.splitnn.feature_limits import check_batches_fit, check_fits
from secureboost.splitnn.make import load_weights
from secureboost.splitnn.model import BodyHead
from secureboost.splitnn.network import count_units
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.policy import NetPolicy
from secureboost.splitnn.protocol import NO_BATCH, Activations, Code
from secureboost.splitnn.tensors import DTYPES
from secureboost.splitnn.trainable import Tensors

log = logging.getLogger(__name__)


class HostedBody:
    """A body in training, asked by the label party.

    Parameters
    ----------
    head : BodyHead
    body : LocalBody

    Attributes
    ----------
    seconds : float
        Wall time of all answers.
    """

    def __init__(self, head: BodyHead, body: LocalBody) -> None:
        self.head = head
        self.body = body
        self.seconds = 0.0

    def forward(self, request: ForwardBody) -> Activations:
        """Send activations through the body.

        Raises
        ------
        Refusal
            If they are too many.
        TurnError, PayloadError, DivergedError
            See `body.LocalBody`; the activations may be no numbers, too.
        """
        started, head, n_rows = time.perf_counter(), self.head, request.n_rows
        check_fits(n_rows, max(sum(head.widths), head.width))
        learns = request.batch != NO_BATCH
        if learns and n_rows != self.body.batches.n_rows(request.batch):
            raise TurnError(f"batch {request.batch} does not have {n_rows} rows")
        activations = unpack_numbers(request.activations, n_rows, head.widths, head.dtype)
        if learns:
            out = self.body.forward(request.batch, activations)
        else:
            out = self.body.evaluate(activations)
        self.seconds += time.perf_counter() - started
        return Activations(n_rows=n_rows, payload=pack_numbers([out], head.dtype))

    def backward(self, request: BackwardBody) -> CutGradients:
        """Learn from a gradient.

        Raises
        ------
        TurnError, PayloadError
            If it is not due, or no gradient.
        """
        started, head = time.perf_counter(), self.head
        self.body.check_due(request.batch)
        n_rows = self.body.batches.n_rows(request.batch)
        (gradient,) = unpack_numbers(request.gradient, n_rows, [head.width], head.dtype)
        gradients = self.body.backward(request.batch, gradient)
        self.seconds += time.perf_counter() - started
        return CutGradients(payload=pack_numbers(gradients, head.dtype))


def host_body(request: SetupBody, plan: BottomPlan, party: str, policy: NetPolicy) -> HostedBody:
    """Make the body that is asked for, if it is within this party's limits.

    Raises
    ------
    Refusal
    """
    if request.width > policy.max_width:
        raise Refusal(
            Code.POLICY,
            f"width={request.width} of the body is above this party's {policy.max_width}",
        )
    most = MOST_BOTTOMS * policy.max_width
    if sum(request.widths) > most:
        raise Refusal(
            Code.POLICY, f"{sum(request.widths)} numbers enter the body, above this party's {most}"
        )
    head = BodyHead(
        widths=request.widths,
        width=request.width,
        architecture=request.architecture,
        dtype=plan.dtype,
    )
    try:
        with torch.device("meta"):
            measured = make_body(head, 0, torch.Generator())
        n_parameters = sum(parameter.numel() for parameter in measured.parameters())
        if n_parameters > policy.max_parameters:
            raise Refusal(
                Code.POLICY,
                "the body that is asked for is above this party's limit of "
                f"{policy.max_parameters} parameters",
            )
        # a batch goes through the body and back before the next one does
        check_batches_fit(_units_of(measured, head), plan, 1, policy)
        body = LocalBody(party, head, plan)
    except ConfigError as error:
        raise Refusal(Code.ARCHITECTURE, str(error)[:300]) from error
    log.info("this party computes the body of the top")
    return HostedBody(head, body)


def _units_of(body: nn.Module, head: BodyHead) -> int:
    """See `network.count_units`."""

    def run(n_rows: int) -> None:
        shapes = [(n_rows, width) for width in head.widths]
        body([torch.empty(shape, dtype=DTYPES[head.dtype], device="meta") for shape in shapes])

    return count_units(body, run, head.width)


class BodyScorer:
    """The body of a trained model.

    Parameters
    ----------
    model_id : str
    head : BodyHead
    weights : dict of str to tensor

    Raises
    ------
    secureboost.errors.ModelError
        If the weights are of another network.
    """

    def __init__(self, model_id: str, head: BodyHead, weights: Tensors) -> None:
        self.model_id = model_id
        self._head = head
        self._module = make_body(head, 0, torch.Generator())
        load_weights(self._module, weights, f"body of model {model_id}")

    def answer(self, request: PredictBody) -> Activations:
        """Send rows through the body.

        Raises
        ------
        Refusal
            If they are too many.
        PayloadError
            If they are no numbers.
        """
        head, n_rows = self._head, request.n_rows
        check_fits(n_rows, max(sum(head.widths), head.width))
        activations = unpack_numbers(request.activations, n_rows, head.widths, head.dtype)
        out = evaluate_body(self._module, activations)
        return Activations(n_rows=n_rows, payload=pack_numbers([out], head.dtype))
