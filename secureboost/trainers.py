"""The registry of trainers: a new trainer is a folder and a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from parties.codec import Codec
from parties.messages import Message
from parties.service import Service
from secureboost.errors import ConfigError, did_you_mean
from secureboost.gbdt import protocol
from secureboost.gbdt.feature import FeatureSession


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
    """

    name: str
    messages: tuple[type[Message], ...]
    failure_codes: type[StrEnum]
    open_session: Callable[..., Service]

    def codec(self) -> Codec:
        """Encodes and decodes this trainer's messages."""
        return Codec(self.messages, [self.failure_codes])


TRAINERS: dict[str, Trainer] = {
    trainer.name: trainer
    for trainer in (Trainer(protocol.TRAINER, protocol.MESSAGES, protocol.Code, FeatureSession),)
}


def get_trainer(name: str) -> Trainer:
    """Look a trainer up.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in TRAINERS:
        known = ", ".join(TRAINERS)
        raise ConfigError(
            f"{name!r} is not a trainer; there is: {known}.{did_you_mean(name, TRAINERS)}",
            "trainer",
        )
    return TRAINERS[name]
