"""The feature party's role: answers what `splitnn.protocol` allows, by its own rules.

It holds columns and no label. Training is in `feature_training`, prediction in `feature_scoring`;
what it allows is in `policy`.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from parties.messages import Ack, MatchRows, Message, Refusal, Reply, Request, UseAlignment
from parties.service import Service
from secureboost.agreed_rows import AgreedRows, aligned_rows, matched_rows
from secureboost.splitnn.body_protocol import BackwardBody, ForwardBody, PredictBody, SetupBody
from secureboost.splitnn.errors import DivergedError, PayloadError, TurnError
from secureboost.splitnn.feature_body import BodyScorer, HostedBody
from secureboost.splitnn.feature_masks import FeatureMasks
from secureboost.splitnn.feature_scoring import answer_predict, load_body, load_scorer
from secureboost.splitnn.feature_start import begin_training
from secureboost.splitnn.feature_training import FeatureTraining
from secureboost.splitnn.make import Scorer
from secureboost.splitnn.masking_keys import MaskError
from secureboost.splitnn.masking_protocol import AgreeMasks, OfferMaskKey
from secureboost.splitnn.protocol import (
    Activations,
    BottomFinished,
    BottomReady,
    Code,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)
from secureboost.splitnn.table import PartyTable
from secureboost.splitnn.terms import terms_of
from secureboost.splitnn.threads import torch_threads
from secureboost.splitnn.transitions import TRANSITIONS

T = TypeVar("T")

log = logging.getLogger(__name__)


class FeatureSession(Service):
    """One session with a label party.

    Parameters
    ----------
    table : PartyTable
    """

    transitions = TRANSITIONS

    def __init__(self, table: PartyTable) -> None:
        self._table = table
        self._terms = terms_of(table)
        self._masks = FeatureMasks(table, self._terms.masks)
        self._agreed: AgreedRows | None = None
        self._training: FeatureTraining | None = None
        self._scorer: Scorer | None = None
        self._body: BodyScorer | None = None
        self._answers: Mapping[type[Message], Callable[[Any], Reply]] = {
            MatchRows: lambda request: self._count_in(matched_rows(request, self._table)),
            UseAlignment: lambda request: self._count_in(aligned_rows(request, self._table)),
            SetupBottom: self._setup,
            Exchange: lambda request: _not_none(self._training).exchange(request),
            Evaluate: lambda request: _not_none(self._training).evaluate(request),
            KeepBottom: lambda request: _not_none(self._training).keep(request),
            FinishBottom: self._finish,
            Predict: self._predict,
            SetupBody: lambda request: _not_none(self._training).host(request),
            ForwardBody: lambda request: self._hosted.forward(request),
            BackwardBody: lambda request: self._hosted.backward(request),
            PredictBody: self._predict_body,
            OfferMaskKey: self._masks.offer,
            AgreeMasks: self._masks.agree,
        }

    def answer(self, request: Request[Any]) -> Reply:
        """Answer a request that is in turn.

        Raises
        ------
        Refusal
            Where the request breaks a rule, the bottom's numbers are not finite any more, or the
            disk does not take what is to be kept.
        """
        try:
            with torch_threads(self._terms.threads):
                return self._answers[type(request)](request)
        except TurnError as error:
            raise Refusal(Code.EXCHANGE, str(error)) from error
        except PayloadError as error:
            raise Refusal(Code.GRADIENT, str(error)) from error
        except DivergedError as error:
            log.warning("%s", error)
            raise Refusal(
                Code.DIVERGED, f"the {error.what} of this party is not finite at step {error.step}"
            ) from error
        except MaskError as error:
            raise Refusal(Code.MASKS, str(error)[:300]) from error
        except OSError as error:
            log.error("nothing more can be kept: %s", error)
            raise Refusal(
                Code.DISK, f"this party's disk takes nothing more to be kept: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Forget what is in training and what scores."""
        self._training = self._scorer = self._body = None

    def _count_in(self, agreed: AgreedRows) -> Ack:
        self._agreed = agreed
        return Ack()

    def _setup(self, request: SetupBottom) -> BottomReady:
        agreed, masking = _not_none(self._agreed), self._masks.of(request.codec)
        self._training = begin_training(request, agreed, self._table, self._terms, masking)
        return self._training.ready()

    def _predict(self, request: Predict) -> Activations:
        if self._scorer is None or self._scorer.head.model_id != request.model_id:
            self._scorer = load_scorer(request.model_id, self._table, self._terms)
        agreed, masking = _not_none(self._agreed), self._masks.of(self._scorer.head.codec)
        return answer_predict(request, self._scorer, agreed, self._terms, masking)

    def _predict_body(self, request: PredictBody) -> Activations:
        if self._body is None or self._body.model_id != request.model_id:
            self._body = load_body(request.model_id, self._terms)
        return self._body.answer(request)

    @property
    def _hosted(self) -> HostedBody:
        training = _not_none(self._training)
        if training.body is None:  # the half was finished before, so there is nothing to learn
            raise Refusal(Code.RESUME, "the model is finished; begin a new one")
        return training.body

    def _finish(self, request: FinishBottom) -> BottomFinished:
        finished = _not_none(self._training).finish(request)
        self.close()
        return finished


def _not_none(value: T | None) -> T:
    """What the transition table guarantees to be there."""
    if value is None:
        raise RuntimeError("the transition table let a request pass before its time")
    return value
