"""The registry of methods: a new one is a file and a line here."""

from typing import Any

from parties.messages import Message, Request
from parties.service import Transitions
from secureboost.align.ecdh import Ecdh
from secureboost.align.join_protocol import JOIN_MESSAGES, JOIN_TRANSITIONS
from secureboost.align.method import Method
from secureboost.align.protocol import COMMON_MESSAGES, COMMON_TRANSITIONS
from secureboost.align.rsa import Rsa
from secureboost.errors import ConfigError, did_you_mean

METHODS: dict[str, Method] = {method.name: method for method in (Ecdh(), Rsa())}

MESSAGES: tuple[type[Message], ...] = (
    *COMMON_MESSAGES,
    *JOIN_MESSAGES,
    *(message for method in METHODS.values() for message in method.messages),
)
"""All that can be said."""


def get_method(name: str) -> Method:
    """Look a method up.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in METHODS:
        raise ConfigError(
            f"{name!r} is not a method; there is: {', '.join(METHODS)}."
            f"{did_you_mean(name, METHODS)}",
            "align.method",
        )
    return METHODS[name]


def _joined(*tables: Transitions) -> Transitions:
    joined: dict[str, dict[type[Request[Any]], str]] = {}
    for table in tables:
        for state, requests in table.items():
            joined.setdefault(state, {}).update(requests)
    return joined


TRANSITIONS: Transitions = _joined(
    COMMON_TRANSITIONS,
    JOIN_TRANSITIONS,
    *(method.transitions for method in METHODS.values()),
)
"""What may be asked in which state, over all methods; what is another method's is refused."""
