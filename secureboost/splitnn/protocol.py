"""What the label party may ask of a feature party to train a split network.

What may be asked when is in `transitions`.

Rows are positions in the list of ids that both sides proved to share
(`parties.messages.MatchRows`), or in the rows that they agreed on before
(`parties.messages.UseAlignment`); within a training session, positions in `SetupBottom.rows`.
Batches have numbers, counted from 0 over all epochs; which rows a number stands for follows from
what `SetupBottom` said (`batches`), so rows travel once.

Numbers at the cut travel as bytes: the arrays that a codec makes of them, one after the other
(`payload`). What they are follows from the codec, the number of rows and the width, which both
sides know; nothing in a frame says how it is to be read.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from parties.messages import (
    Ack,
    Array,
    Bytes32,
    Count,
    Reply,
    Request,
    ShortText,
)
from secureboost.splitnn.options import Choice

TRAINER = "splitnn"

Payload = Annotated[NDArray[np.uint8], Array("uint8", 1)]
Int32Array = Annotated[NDArray[np.int32], Array("int32", 1)]
ModelId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
BatchNumber = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
Width = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0, le=1e30)]

NO_BATCH = -1
"""`Exchange.gradient_of` and `Exchange.forward` where there is none."""

MOST_IN_FLIGHT = 8
"""Batches that may have been forwarded and wait for their gradient."""


class Code(StrEnum):
    """Why a feature party does not answer."""

    TORCH = "torch_missing"
    POLICY = "policy"
    BUDGET = "budget_spent"
    ARCHITECTURE = "architecture_refused"
    CODEC = "codec_refused"
    PROTECTION = "protection_refused"
    EXCHANGE = "exchange_refused"
    GRADIENT = "gradient_refused"
    DIVERGED = "diverged"
    MODEL = "unknown_model"
    RESUME = "resume_refused"
    MASKS = "masks_refused"
    DISK = "cannot_be_kept"


class BottomReady(Reply, frozen=True, kw_only=True):
    """The feature party has made its bottom.

    Reveals: to the label party, which protections the feature party applies, its own included, and
    that the proposed network suits its columns and limits; a refusal, that it does not, and not
    why. An answer to one proposal is one bit: several can find how many columns there are, and test
    guesses of a name, until `max_refused_setups` were refused. To a party that states its own
    architecture only widths and batches can be proposed.

    Attributes
    ----------
    order : bytes
        A digest of the first epoch's batches (`batches.Batches.digest`): both sides draw alike.
    protections : tuple of str
        Names.
    """

    order: Bytes32
    protections: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=16)]


class SetupBottom(Request[BottomReady], frozen=True, kw_only=True):
    """Make a bottom of a new network, or go on with one.

    Reveals: to the feature party, the name of the model, which of the common rows are trained on
    and which only evaluated, in which order they will come (a drawn one, from which nobody can tell
    the label party's own unless `random_state` was stated and is guessed), the parameters that it
    has to consent to and the network that is proposed for it. To the label party itself a stated
    `initial_seed` reveals the bottom's weights before the first step, and every draw of its
    training; without one the feature party draws in secret.

    Attributes
    ----------
    model_id : str
    epoch : int
        Epochs that are done: 0 for a new network; above, the party goes on with what it kept
        after that epoch (`KeepBottom`).
    rows : array of shape (n_rows,), int32
        Distinct positions in the matched rows, in a drawn order.
    n_training : int
        The first so many of `rows` are trained on. Numbers are standardised, and categories
        counted, by them alone.
    batch_size, batch_seed : int
        Which batches there are, see `batches.Batches`.
    in_flight : int
        At most so many batches wait for their gradient.
    skips : bool
        Batches may be left out: the label party does not wait for this party longer than it
        wants.
    local_steps : int
        Steps of the optimiser for one gradient (FedBCD, Liu et al. 2019).
    width : int
        Numbers of a row at the cut.
    dtype : str
        In which the bottom computes.
    architecture : Choice
        Proposed; only the width is fixed.
    optimizer : str
    learning_rate, momentum, weight_decay : float
    max_norm : float or None
        To which the gradient of the bottom's weights is clipped.
    codec : str
        How numbers at the cut travel, see `codecs`.
    protections : tuple of Choice
        Asked for, see `protections`.
    initial_seed : int or None
    """

    model_id: ModelId
    epoch: Count
    rows: Int32Array
    n_training: Positive
    batch_size: Positive
    batch_seed: Count
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=MOST_IN_FLIGHT)]
    skips: bool
    local_steps: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    width: Width
    dtype: Literal["float32", "float64"]
    architecture: Choice
    optimizer: ShortText
    learning_rate: NotNegative
    momentum: NotNegative
    weight_decay: NotNegative
    max_norm: NotNegative | None
    codec: Annotated[str, msgspec.Meta(max_length=200)]
    protections: Annotated[tuple[Choice, ...], msgspec.Meta(max_length=16)]
    initial_seed: Count | None


class Activations(Reply, frozen=True, kw_only=True):
    """What the bottom gives for some rows.

    Reveals: to the label party, `width` numbers for each row, a function of the feature party's
    columns that training makes as telling of the label as it can. What can be read out of them is
    in SECURITY.md; protections and codecs lessen it. With the codec ``masked_sum``, uniform words,
    of which the label party can read the sum over all members.

    Attributes
    ----------
    n_rows : int
        0 where no batch was asked for.
    payload : array, uint8
    """

    n_rows: Count
    payload: Payload


class Exchange(Request[Activations], frozen=True, kw_only=True):
    """Learn from the gradient of the oldest batch in flight; forward the next one.

    Reveals: to the feature party, the gradient of the loss by each number that it sent, row by row:
    zeros where a row has weight 0. Without protections this tells much about each row's label:
    sign and size of a row's gradient follow from it. Zeros for a row say that the party was left
    out of it (`party_dropout`), which is drawn without regard to labels; a batch that is given up
    or left out, that it came too late.

    Attributes
    ----------
    gradient_of : int
        The batch whose gradient this is: the oldest in flight, or `NO_BATCH`. With
        `SetupBottom.skips` a later one, too: those before it are given up.
    forward : int
        The batch that is wanted: the next one, or `NO_BATCH`. With `SetupBottom.skips` a later one
        of the epoch or the first of the next, too.
    gradient : array, uint8
        Empty without a gradient; with `SetupBottom.skips` that gives the batch up.
    """

    gradient_of: BatchNumber
    forward: BatchNumber
    gradient: Payload


class Evaluate(Request[Activations], frozen=True, kw_only=True):
    """Give what the bottom gives for these rows, without learning.

    Reveals: to the feature party, which rows are evaluated, and when.

    Attributes
    ----------
    rows : array, int32
        Distinct positions in `SetupBottom.rows`.
    """

    rows: Int32Array


class Predict(Request[Activations], frozen=True, kw_only=True):
    """Give what the bottom of a trained model gives for these rows.

    Reveals: to the feature party, which rows are scored, and by which model.

    Attributes
    ----------
    model_id : str
    rows : array, int32
        Positions in the matched rows.
    """

    model_id: ModelId
    rows: Int32Array


class KeepBottom(Request[Ack], frozen=True, kw_only=True):
    """Keep your bottom as it is after this epoch; if you compute the body, that too.

    Reveals: to the feature party, the end of an epoch, and whether it was the best one so far.

    Attributes
    ----------
    epoch : int
        Epochs that are done, at least 1.
    best : bool
        The evaluation rows were scored best so far: remember these weights.
    durable : bool
        Write a checkpoint, so that training can go on after a crash of either side.
    """

    epoch: Count
    best: bool
    durable: bool


class BottomFinished(Reply, frozen=True, kw_only=True):
    """The bottom is kept.

    Reveals: to the label party, how long the feature party computed, and a hash of its half, which
    is salted so that it tells nothing of the content.

    Attributes
    ----------
    seconds : float
        Wall time of all answers of this training.
    digest : bytes
        `model.half_digest` of the half that was kept; empty if none was.
    """

    seconds: NotNegative
    digest: Annotated[bytes, msgspec.Meta(max_length=32)]


class FinishBottom(Request[BottomFinished], frozen=True, kw_only=True):
    """The network is trained; keep your bottom, or forget it.

    Reveals: to the feature party, the end of training and whether the model will be used.

    Attributes
    ----------
    keep : bool
        False: the model was made to be measured; nothing is kept of it.
    best : bool
        Keep the weights of the best epoch instead of the latest ones.
    """

    keep: bool
    best: bool
