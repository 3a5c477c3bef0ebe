"""How a feature party begins to train: its rules are checked, its bottom made or taken up again.

A run that was cut off goes on with what `protocol.KeepBottom` kept after the epoch that the label
party counts, and only over the very rows and values that it began with. If it was cut off between
`protocol.FinishBottom` and the label party's own last step, all that is left is to finish again.
"""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from parties.messages import Refusal, SessionCode
from secureboost.agreed_rows import AgreedRows
from secureboost.alignment import ABSENT
from secureboost.errors import ConfigError, ModelError
from secureboost.splitnn.architectures import get_architecture
from secureboost.splitnn.batches import Batches
from secureboost.splitnn.codecs import get_codec
from secureboost.splitnn.feature_limits import check_batches_fit, check_fits
from secureboost.splitnn.feature_masks import Masking
from secureboost.splitnn.feature_policy import check_cut, check_head, check_size, not_accepted
from secureboost.splitnn.feature_training import (
    BatchTerms,
    BottomCheckpoint,
    FeatureTraining,
    Made,
)
from secureboost.splitnn.inputs import content_digest, prepare
from secureboost.splitnn.make import make_bottom
from secureboost.splitnn.model import BottomHead, Tensors, decode_half, split_body
from secureboost.splitnn.optimisers import check_optimiser
from secureboost.splitnn.plan import BottomPlan
from secureboost.splitnn.policy import NetPolicy
from secureboost.splitnn.protections import feature_protections
from secureboost.splitnn.protocol import Code, SetupBottom
from secureboost.splitnn.randomness import new_seed
from secureboost.splitnn.table import PartyTable
from secureboost.splitnn.terms import NetTerms

log = logging.getLogger(__name__)

UNSUITABLE = (ConfigError, RuntimeError, ValueError, TypeError, LookupError)
"""What making a network raises that does not suit the columns: own modules raise what they like."""


def begin_training(
    request: SetupBottom,
    agreed: AgreedRows,
    table: PartyTable,
    terms: NetTerms,
    masking: Masking | None,
) -> FeatureTraining:
    """Make what answers a training; what it gives is masked if the codec says so.

    Raises
    ------
    Refusal
        If a rule forbids it; if architecture, codec or a protection is unknown here; or if there is
        nothing to go on with.
    """
    rows = agreed.at(request.rows)
    _check_rules(request, rows, terms.policy)
    try:
        begin = _go_on if request.epoch else _begin
        training = begin(request, rows, table, terms)
        if masking is not None:
            training.mask(masking, request)
    except ModelError as error:
        log.warning("%s", error)
        raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error
    log.info(
        "training begins: %d rows, batches of %d, model %s, epoch %d",
        request.n_training,
        request.batch_size,
        request.model_id,
        request.epoch,
    )
    return training


def _check_rules(request: SetupBottom, rows: NDArray[np.int32], policy: NetPolicy) -> None:
    if request.n_training > len(rows):
        raise Refusal(
            SessionCode.ROWS_REFUSED, f"n_training={request.n_training} of {len(rows)} rows"
        )
    if not (rows[: request.n_training] != ABSENT).any():
        raise Refusal(SessionCode.ROWS_REFUSED, "this party has none of the rows to train on")
    check_cut(request.codec, request.width, policy)
    check_fits(min(request.batch_size, request.n_training), request.width)
    smallest = Batches(request.n_training, request.batch_size, request.batch_seed).smallest
    if min(request.batch_size, request.n_training) > policy.max_batch_rows:
        raise Refusal(
            Code.POLICY,
            f"batch_size={request.batch_size} is above this party's {policy.max_batch_rows}",
        )
    if smallest < policy.min_batch_rows:
        raise Refusal(
            Code.POLICY,
            f"batch_size={request.batch_size} makes batches of {smallest} rows, below this "
            f"party's floor of {policy.min_batch_rows}",
        )


def _begin(
    request: SetupBottom, rows: NDArray[np.int32], table: PartyTable, terms: NetTerms
) -> FeatureTraining:
    if terms.store.load(request.model_id) is not None:
        raise Refusal(
            Code.MODEL, f"this party has a half of model {request.model_id}; take a new name"
        )
    seed = new_seed() if request.initial_seed is None else request.initial_seed
    plan = _plan(request, rows, terms, seed)
    _check_names(request, plan, terms)
    if not terms.budget.allows_refusal():
        raise _no_more_proposals(terms.policy)
    preparation = prepare(table, plan.rows[: plan.n_training])
    head = BottomHead(
        model_id=request.model_id,
        party=table.party,
        architecture=plan.architecture,
        width=plan.width,
        dtype=plan.dtype,
        codec=plan.codec,
        protections=plan.protections,
        preparation=preparation,
    )
    try:
        made = _made(head, plan, table, terms.policy)
    except UNSUITABLE as error:
        if not terms.budget.spend_refusal():
            raise _no_more_proposals(terms.policy) from error
        raise not_accepted(error) from error
    return FeatureTraining(made, table, terms)


def _go_on(
    request: SetupBottom, rows: NDArray[np.int32], table: PartyTable, terms: NetTerms
) -> FeatureTraining:
    model_id = request.model_id
    kept = terms.store.kept(model_id, request.epoch)
    if kept is None:
        finished = terms.store.load(model_id)
        if finished is None:
            raise Refusal(
                Code.RESUME,
                f"this party has kept nothing of model {model_id} after epoch {request.epoch}",
            )
        head, _ = decode_half(finished, BottomHead, f"half {model_id}")
        plan = _plan(request, rows, terms, 0)
        return FeatureTraining(_made_again(head, plan, table, terms), table, terms, finished)
    checkpoint, state = decode_half(kept, BottomCheckpoint, f"checkpoint {model_id}")
    if checkpoint.content != content_digest(table, rows):
        raise Refusal(
            Code.RESUME,
            f"training of model {model_id} was cut off over other rows or values of this party; "
            "begin a new model",
        )
    plan = _plan(request, rows, terms, checkpoint.seed)
    if checkpoint.batches != BatchTerms.of(plan):
        raise _another_run(model_id)
    made = _made_again(checkpoint.half, plan, table, terms)
    own, of_body = split_body(state)
    _restore(made, own, checkpoint.epoch)
    return FeatureTraining(replace(made, body=of_body), table, terms)


def _restore(made: Made, state: Tensors, epoch: int) -> None:
    try:
        made.learner.restore(state, epoch)
    except (ValueError, KeyError) as error:
        raise ModelError(f"checkpoint {made.head.model_id}: {error}") from error


def _plan(request: SetupBottom, rows: NDArray[np.int32], terms: NetTerms, seed: int) -> BottomPlan:
    return BottomPlan(
        rows=rows,
        n_training=request.n_training,
        batch_size=request.batch_size,
        batch_seed=request.batch_seed,
        in_flight=request.in_flight,
        skips=request.skips,
        local_steps=request.local_steps,
        width=request.width,
        dtype=request.dtype,
        architecture=terms.architecture or request.architecture,
        optimizer=request.optimizer,
        learning_rate=request.learning_rate,
        momentum=request.momentum,
        weight_decay=request.weight_decay,
        max_norm=request.max_norm,
        codec=request.codec,
        protections=(*request.protections, *terms.policy.protections),
        seed=seed,
    )


def _check_names(request: SetupBottom, plan: BottomPlan, terms: NetTerms) -> None:
    """Check what can be checked without the columns, so that the reason may be told."""
    try:
        get_codec(request.codec)
        feature_protections(request.protections)
        check_optimiser(plan)
        if terms.architecture is None:
            get_architecture(request.architecture.name).check_bottom(request.architecture.options)
    except ConfigError as error:
        code = _CODES.get(error.path, Code.ARCHITECTURE)
        raise Refusal(code, str(error)[:300]) from error


_CODES = {"codec": Code.CODEC, "protections": Code.PROTECTION}
"""By the setting that an error is about; the others are the architecture's."""


def _made(head: BottomHead, plan: BottomPlan, table: PartyTable, policy: NetPolicy) -> Made:
    """Make the network, if it is within this party's limits.

    Raises
    ------
    UNSUITABLE
        For the party's own log alone: the reason tells of the columns.
    """
    size = check_size(head, policy)
    check_batches_fit(size.units, plan, plan.in_flight, policy)
    return Made(head, plan, make_bottom(head, plan, table))


def _made_again(head: BottomHead, plan: BottomPlan, table: PartyTable, terms: NetTerms) -> Made:
    """Make the network of a run that goes on, if the run is the one that was cut off.

    Raises
    ------
    Refusal
        If it is another, or this party's rules do not allow it any more. Were the request not
        compared, what was trained under masks could be gone on with in the clear.
    """
    check_head(head, terms.policy)
    same = (
        head.codec == plan.codec
        and head.width == plan.width
        and head.dtype == plan.dtype
        and head.protections == plan.protections
        and head.architecture == plan.architecture
    )
    if not same:
        raise _another_run(head.model_id)
    try:
        return _made(head, plan, table, terms.policy)
    except UNSUITABLE as error:
        raise not_accepted(error) from error


def _another_run(model_id: str) -> Refusal:
    return Refusal(
        Code.RESUME,
        f"model {model_id} was begun with another codec, width, dtype, architecture, other "
        "protections or batches; go on with those, or begin a new model",
    )


def _no_more_proposals(policy: NetPolicy) -> Refusal:
    return Refusal(
        Code.BUDGET,
        f"{policy.max_refused_setups} networks were not accepted here; "
        "this data set takes no more proposals",
    )
