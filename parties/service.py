"""What a trainer provides to answer questions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from parties.messages import Hello, Reply, Request

Transitions: TypeAlias = Mapping[str, Mapping[type[Request[Any]], str]]
"""State -> request type that is allowed there -> next state. States are plain words."""

START = "open"
"""The state after `Hello`."""


class Service(ABC):
    """Answers the requests of one session. It lives from `Hello` to the end of the session.

    Attributes
    ----------
    transitions : Transitions
        The whole conversation, as a table. The start state is ``"open"``. `Hello` and `Goodbye`
        belong to the session and do not stand in it; `MatchRows` and `UseAlignment` do.
    """

    transitions: ClassVar[Transitions]

    @abstractmethod
    def answer(self, request: Request[Any]) -> Reply:
        """Answer a request that the table allows.

        Raises
        ------
        parties.messages.Refusal
            To refuse. The state stays what it was before the request.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the session held; called exactly once."""


OpenService: TypeAlias = Callable[[Hello], Service]
"""Makes the service of a new session; it may raise `Refusal`."""
