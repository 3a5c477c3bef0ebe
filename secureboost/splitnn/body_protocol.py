"""What the label party may ask of the feature party that computes the body of the top (`body`)."""

from typing import Annotated

import msgspec

from parties.messages import Ack, Reply, Request
from secureboost.splitnn.options import Choice
from secureboost.splitnn.protocol import (
    Activations,
    BatchNumber,
    ModelId,
    Payload,
    Positive,
    Width,
)

MOST_BOTTOMS = 64
"""Bottoms that one body may lie over."""


class SetupBody(Request[Ack], frozen=True, kw_only=True):
    """Compute the body of the top, too; batches and optimiser are those of `SetupBottom`.

    Reveals: to the feature party, how many numbers each party's bottom gives, and what the body of
    the top is like.

    Attributes
    ----------
    widths : tuple of int
        Of what the bottoms give, in their order.
    width : int
        Numbers that the body gives for a row.
    architecture : Choice
        Whose top it is.
    """

    widths: Annotated[tuple[Width, ...], msgspec.Meta(min_length=1, max_length=MOST_BOTTOMS)]
    width: Width
    architecture: Choice


class ForwardBody(Request[Activations], frozen=True, kw_only=True):
    """Give what the body gives for these activations.

    Reveals: to the feature party, what every party's bottom gives for the rows of a batch. To the
    label party, what the body gives.

    Attributes
    ----------
    batch : int
        The next one; `NO_BATCH` to evaluate without learning.
    n_rows : int
    activations : array, uint8
        Those of all bottoms, one after the other.
    """

    batch: BatchNumber
    n_rows: Positive
    activations: Payload


class CutGradients(Reply, frozen=True, kw_only=True):
    """The gradients by what each bottom gave.

    Reveals: to the label party, what it hands on to each party (`Exchange.gradient`).

    Attributes
    ----------
    payload : array, uint8
        Those of all bottoms, one after the other.
    """

    payload: Payload


class BackwardBody(Request[CutGradients], frozen=True, kw_only=True):
    """Learn from the gradient of the batch that waits for it.

    Reveals: to the feature party, the gradient of the loss by each number that the body gave, row
    by row: of the labels as much as `Exchange.gradient` does without a body.

    Attributes
    ----------
    batch : int
    gradient : array, uint8
    """

    batch: BatchNumber
    gradient: Payload


class PredictBody(Request[Activations], frozen=True, kw_only=True):
    """Give what the body of a trained model gives for these activations.

    Reveals: to the feature party, what every party's bottom gives for rows that are scored.

    Attributes
    ----------
    model_id : str
    n_rows : int
    activations : array, uint8
        Those of all bottoms, one after the other.
    """

    model_id: ModelId
    n_rows: Positive
    activations: Payload
