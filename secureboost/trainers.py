"""The registry of trainers: a new trainer is a folder and a line here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parties.codec import Codec
from parties.messages import Message, Refusal
from parties.service import Service
from secureboost.align import methods as align_methods
from secureboost.align import protocol as align_protocol
from secureboost.align.answerer import AlignSession
from secureboost.errors import ConfigError, did_you_mean
from secureboost.gbdt import protocol
from secureboost.gbdt.feature import FeatureSession
from secureboost.splitnn import protocol as net_protocol
from secureboost.splitnn import transitions as net_transitions
from secureboost.splitnn.errors import TorchMissingError, needing_torch


@dataclass(frozen=True)
class Trainer:
    """What the outside needs to know of a trainer.

    Attributes
    ----------
    name : str
        As it travels in `parties.messages.Hello` and as ``--trainer`` takes it.
    messages : tuple of type[Message]
    failure_codes : type[StrEnum]
    open_session : callable
        Makes the feature party's side of a session.
    kind : str
        Module of `secureboost.kinds` that runs its models; empty if it trains none.
    label_file : str
        File of the label party's half in the folder of a model.
    """

    name: str
    messages: tuple[type[Message], ...]
    failure_codes: type[StrEnum]
    open_session: Callable[..., Service]
    kind: str = ""
    label_file: str = ""

    def codec(self) -> Codec:
        """Encodes and decodes this trainer's messages."""
        return codec_of([self])


def _open_net_session(table: Any, **_of_ciphers: Any) -> Service:
    """A session about networks: torch is loaded by the first one, and keys are of no use to it."""
    try:
        with needing_torch():
            from secureboost.splitnn.feature import FeatureSession as NetSession
    except TorchMissingError as error:
        raise Refusal(net_protocol.Code.TORCH, str(error), ends_session=True) from error
    return NetSession(table)


GBDT_TRAINER = Trainer(
    protocol.TRAINER,
    protocol.MESSAGES,
    protocol.Code,
    FeatureSession,
    kind="secureboost.kinds.trees",
    label_file="label.json",
)
NET_TRAINER = Trainer(
    net_protocol.TRAINER,
    net_transitions.MESSAGES,
    net_protocol.Code,
    _open_net_session,
    kind="secureboost.kinds.nets",
    label_file="label.safetensors",
)
ALIGN_TRAINER = Trainer(
    align_protocol.TRAINER, align_methods.MESSAGES, align_protocol.Code, AlignSession
)
"""No trainer of models, but a conversation like theirs: it finds the rows that are common."""

TRAINERS: dict[str, Trainer] = {
    trainer.name: trainer for trainer in (GBDT_TRAINER, NET_TRAINER, ALIGN_TRAINER)
}
MODEL_TRAINERS: dict[str, Trainer] = {
    name: trainer for name, trainer in TRAINERS.items() if trainer.kind
}
"""Those that train models."""


def codec_of(trainers: Iterable[Trainer]) -> Codec:
    """Encodes and decodes the messages of several trainers, for a party that serves them all."""
    trainers = tuple(trainers)
    return Codec(
        [message for trainer in trainers for message in trainer.messages],
        [trainer.failure_codes for trainer in trainers],
    )


def get_trainer(name: str) -> Trainer:
    """Look a trainer up.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    return _look_up(name, TRAINERS)


def get_model_trainer(name: str) -> Trainer:
    """Look a trainer of models up.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    return _look_up(name, MODEL_TRAINERS)


def _look_up(name: str, known: Mapping[str, Trainer]) -> Trainer:
    if name not in known:
        raise ConfigError(
            f"{name!r} is not a trainer; there is: {', '.join(known)}.{did_you_mean(name, known)}",
            "trainer",
        )
    return known[name]
