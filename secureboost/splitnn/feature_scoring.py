"""A feature party's answer to `protocol.Predict`: what the bottom of a trained model gives."""

import logging

from parties.messages import Refusal
from secureboost.agreed_rows import AgreedRows
from secureboost.errors import ConfigError, DataError, ModelError
from secureboost.splitnn.feature_body import BodyScorer
from secureboost.splitnn.feature_limits import check_fits
from secureboost.splitnn.feature_masks import Masking
from secureboost.splitnn.feature_policy import check_head
from secureboost.splitnn.feature_training import spend_rows
from secureboost.splitnn.make import Scorer
from secureboost.splitnn.model import BottomHead, Tensors, decode_half, split_body
from secureboost.splitnn.payload import pack
from secureboost.splitnn.protocol import Activations, Code, Predict
from secureboost.splitnn.table import PartyTable
from secureboost.splitnn.terms import NetTerms

log = logging.getLogger(__name__)

_OTHER_COLUMNS = "this party's table has other columns than the model's"


def answer_predict(
    request: Predict,
    scorer: Scorer,
    agreed: AgreedRows,
    terms: NetTerms,
    masking: Masking | None,
) -> Activations:
    """Send rows through the bottom of a model; what it gives is masked if it was in training.

    Raises
    ------
    Refusal
        If the rows do not exist or the budget is spent.
    DivergedError
        If what the bottom gives is not finite.
    """
    head, n_rows = scorer.head, len(request.rows)
    rows = agreed.at(request.rows)
    check_fits(n_rows, head.width)
    spend_rows(terms, n_rows)
    arrays = scorer.evaluate(rows)
    if masking is not None:
        masking.predicts(request, rows, head.said)
        arrays = masking.masked(arrays)
    log.info("%d rows scored with model %s", n_rows, request.model_id)
    layout = scorer.codec.layout(n_rows, head.width, head.dtype)
    return Activations(n_rows=n_rows, payload=pack(arrays, layout))


def load_scorer(model_id: str, table: PartyTable, terms: NetTerms) -> Scorer:
    """The bottom of a model over this party's table.

    Raises
    ------
    Refusal
        If there is no half of that model, it is of other columns, or this party's rules do not
        allow such a network (any more).
    """
    try:
        head, tensors = _load(model_id, terms)
        weights, _ = split_body(tensors)
        if head.preparation.names != table.feature_names:
            log.warning("model %s was trained on other columns", model_id)
            raise Refusal(Code.MODEL, _OTHER_COLUMNS)
        check_head(head, terms.policy)
        return Scorer(head, weights, table)
    except (ModelError, ConfigError) as error:
        log.warning("%s", error)
        raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error
    except DataError as error:
        log.warning("model %s: %s", model_id, error)
        raise Refusal(Code.MODEL, _OTHER_COLUMNS) from error


def load_body(model_id: str, terms: NetTerms) -> BodyScorer:
    """The body of a model that this party computes.

    Raises
    ------
    Refusal
        If there is none.
    """
    try:
        head, tensors = _load(model_id, terms)
        if head.body is None:
            raise Refusal(Code.MODEL, f"this party has no body of model {model_id}")
        return BodyScorer(model_id, head.body, split_body(tensors)[1])
    except (ModelError, ConfigError) as error:
        log.warning("%s", error)
        raise Refusal(Code.MODEL, "this party's half of the model cannot be read") from error


def _load(model_id: str, terms: NetTerms) -> tuple[BottomHead, Tensors]:
    half = terms.store.load(model_id)
    if half is None:
        raise Refusal(Code.MODEL, f"this party has no half of model {model_id}")
    return decode_half(half, BottomHead, f"half {model_id}")
