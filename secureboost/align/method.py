"""What a method of finding common keys must offer: two halves that a session runs.

A new method is a file with a `Method`, its messages in a protocol, and its line in `methods`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from parties.messages import Message, Reply, Request
from parties.peer import Peer
from parties.service import Transitions
from secureboost.align.keys import Keys
from secureboost.align.listing import Pairs
from secureboost.align.options import AlignOptions
from secureboost.align.protocol import Agreed, Propose
from secureboost.align.state import State
from secureboost.align.table import AlignTable
from secureboost.align.transcript import Transcript

Report: TypeAlias = Callable[[str, int, int], None]
"""Called with a step of `aligned.STEPS`, the keys that are done and how many there are."""


@dataclass(frozen=True, repr=False)
class Asking:
    """What the label party's half works with.

    Attributes
    ----------
    peer : Peer
        The party, greeted; it has answered `proposal` with `agreed`.
    keys : Keys
        The label party's.
    options : AlignOptions
    proposal : Propose
    agreed : Agreed
    state : State
        Of this party's session; empty unless an interrupted one is gone on with.
    transcript : Transcript
        What was proposed and agreed is in it.
    n_jobs : int
        Threads.
    report : Report
    """

    peer: Peer
    keys: Keys
    options: AlignOptions
    proposal: Propose
    agreed: Agreed
    state: State
    transcript: Transcript
    n_jobs: int
    report: Report


@dataclass(frozen=True, repr=False)
class Answering:
    """What the feature party's half works with.

    Attributes
    ----------
    table : AlignTable
    asker : str
        Name of the label party.
    keys : Keys
        The feature party's.
    proposal : Propose
    agreed : Agreed
        Without ``received``, which the half knows.
    state : State
        Of this session; empty unless an interrupted one is gone on with.
    transcript : Transcript
        What was proposed and agreed is in it.
    n_jobs : int
        Threads.
    """

    table: AlignTable
    asker: str
    keys: Keys
    proposal: Propose
    agreed: Agreed
    state: State
    transcript: Transcript
    n_jobs: int


class AskingHalf(ABC):
    """The label party's side of one session."""

    @abstractmethod
    def compare(self) -> int:
        """Exchange what it takes, and return how many keys are common.

        Raises
        ------
        secureboost.errors.IntegrityError
            If the party sends what cannot be.
        parties.errors.PartyError
        """

    @abstractmethod
    def pairs(self) -> Pairs:
        """Return which keys are common; called after the party has agreed to go on.

        Raises
        ------
        secureboost.errors.IntegrityError, parties.errors.PartyError
        """


class AnsweringHalf(ABC):
    """The feature party's side of one session.

    Attributes
    ----------
    answers : mapping of type[Request] to callable
        What this half answers; a function takes the request, returns the reply and may raise
        `parties.messages.Refusal`.
    """

    answers: Mapping[type[Request[Any]], Callable[[Any], Reply]]

    @property
    @abstractmethod
    def received(self) -> int:
        """Chunks of the label party's keys that are there already."""

    @abstractmethod
    def compared(self) -> None:
        """Check that the label party has all that it takes to know the size.

        Raises
        ------
        parties.messages.Refusal
        """

    @abstractmethod
    def allow_telling(self) -> None:
        """Note that the size suffices: from now on this side tells which keys are common."""

    @abstractmethod
    def key_order(self) -> NDArray[np.int32]:
        """Return the positions of this side's keys in the order in which it told them.

        Raises
        ------
        parties.messages.Refusal
            If it has not told all that the label party needs to know which keys are common.
        """

    def close(self) -> None:  # noqa: B027 - not all hold something
        """Forget secrets; called exactly once, at the end of the session."""


class Method(ABC):
    """A way of finding common keys.

    Attributes
    ----------
    name : str
        As `AlignOptions.method` takes it.
    messages : tuple of type[Message]
        Those of this method alone.
    transitions : Transitions
        From ``agreed`` to ``comparing``, and from ``sized`` to ``ordering``.
    counts_keys : bool
        Whether each session is paid for (`AlignPolicy.max_probed_keys`) by the keys that the label
        party brings. False for a method that counts what it gives out by itself.
    """

    name: ClassVar[str]
    messages: ClassVar[tuple[type[Message], ...]]
    transitions: ClassVar[Transitions]
    counts_keys: ClassVar[bool] = True

    @abstractmethod
    def check_options(self, options: AlignOptions) -> None:
        """Refuse what this method does not offer.

        Raises
        ------
        secureboost.errors.ConfigError
        """

    @abstractmethod
    def groups(self, options: AlignOptions) -> tuple[str, ...]:
        """Name the groups that the label party proposes, best first; none if none is needed.

        Raises
        ------
        crypto.errors.CryptoError
            If the chosen group is unknown or cannot be used here.
        """

    @abstractmethod
    def choose_group(self, proposal: Propose, table: AlignTable) -> str:
        """Return the group that the feature party takes; empty if none is needed.

        Raises
        ------
        parties.messages.Refusal
            If none of those proposed can be used here, or the terms cannot be had with this method.
        """

    @abstractmethod
    def asking(self, context: Asking) -> AskingHalf:
        """Make the label party's half."""

    @abstractmethod
    def answering(self, context: Answering) -> AnsweringHalf:
        """Make the feature party's half."""
