"""What can go wrong between parties, drawn by whose fault it is.

::

    PartyError                      anything in this package; `party` says who it is about
    |
    +-- LocalError                  this side must change something; nothing was sent
    |   +-- PartyNameError          a party's name is malformed, or two parties share one
    |   +-- InvalidMessageError     our own message breaks its own declaration
    |   +-- CertificateError        our certificate, our key or the certificate we pinned
    |   +-- ListenError             we cannot listen on that address
    |   +-- SessionClosedError      we asked after we had closed the session
    |
    +-- PeerUnreachableError        network, or the other side's process: cannot connect, TLS
    |                               failed, connection lost
    +-- PeerTimeoutError            the other side is there but did not answer in time
    +-- PeerRefusedError            the other side answered `Failure`: its code says why
    +-- SessionRefusedError         this side answered `Failure`, and that ended the session
    |
    +-- ProtocolError               the other side sent what it must not send
        +-- FrameTooLargeError      more bytes than the limit
        +-- MalformedFrameError     bytes that are no message, or a message with wrong fields
        +-- UnknownMessageError     a message type outside the closed set
        +-- OutOfTurnError          a known request in the wrong state
        +-- VersionMismatchError    another version of the protocol
        +-- UnexpectedReplyError    a reply of another type than the request asks for

Every class takes positional arguments only and passes them on to `Exception`, so that errors can
be copied and pickled.
"""

DETAIL_LENGTH = 500
"""Most characters of a failure's detail."""


def printable(text: object, limit: int = 300) -> str:
    """Cut text that another party can choose to one short line without control characters."""
    line = "".join(c if c.isprintable() else "?" for c in str(text)[: limit + 1])
    return line if len(line) <= limit else line[:limit] + "..."


class PartyError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    party : str
        The party that the error is about; the empty string where it is about this machine only.
    problem : str
        What happened, the limit, and what to do. Never a data value, a label or a key.
    """

    def __init__(self, party: str, problem: str) -> None:
        super().__init__(party, problem)
        self.party = party
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.party}: {self.problem}" if self.party else self.problem


class LocalError(PartyError):
    """Something that this side must change."""


class PartyNameError(LocalError):
    """A party's name is malformed or not unique."""


class InvalidMessageError(LocalError):
    """A message that this side tried to send breaks its own declaration."""


class CertificateError(LocalError):
    """A certificate or key file of this side cannot be used; the text names file and reason."""


class ListenError(LocalError):
    """An address that this side cannot listen on."""


class SessionClosedError(LocalError):
    """A request was made after this side had closed the session."""


class PeerUnreachableError(PartyError):
    """No connection to the party, or the connection was lost."""


class PeerTimeoutError(PartyError):
    """The party did not answer in time.

    Parameters
    ----------
    party : str
    request : str
        Type of the request that was waited for.
    seconds : float
        The deadline that passed.
    """

    def __init__(self, party: str, request: str, seconds: float) -> None:
        Exception.__init__(self, party, request, seconds)
        self.party = party
        self.request = request
        self.seconds = seconds
        self.problem = (
            f"no answer to {request} within {seconds:g} seconds; "
            "the session is closed. Allow more time or ask the party what it is doing"
        )


class PeerRefusedError(PartyError):
    """The party answered `Failure`.

    Parameters
    ----------
    party : str
    code : str
        One of the closed set of failure codes.
    detail : str
        The party's own words.
    """

    def __init__(self, party: str, code: str, detail: str = "") -> None:
        Exception.__init__(self, party, code, detail)
        self.party = party
        self.code = code
        self.detail = printable(detail, DETAIL_LENGTH)
        self.problem = f"refused ({code})" + (f": {self.detail}" if detail else "")


class SessionRefusedError(PartyError):
    """What the party asked was refused by this side, and the session ended with that."""


class ProtocolError(PartyError):
    """The party sent something that the protocol does not allow."""


class FrameTooLargeError(ProtocolError):
    """A chunk, a frame or a part of it exceeds its limit."""


class MalformedFrameError(ProtocolError):
    """The bytes are no message, or its fields break the message's declaration."""


class UnknownMessageError(ProtocolError):
    """The message type is not in the closed set."""


class OutOfTurnError(ProtocolError):
    """A known request came in a state that does not allow it."""


class VersionMismatchError(ProtocolError):
    """The two sides speak different versions of the protocol."""


class UnexpectedReplyError(ProtocolError):
    """The reply is not the one that the request asks for."""
