"""What crossed to and from one party, counted per request type."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Counts of one party and request type.

    Attributes
    ----------
    messages : int
        Requests that were answered (a refusal is an answer).
    bytes_sent, bytes_received : int
        Sizes of the frames, without what the transport adds.
    seconds : float
        Wall time between sending a request and holding its reply.
    """

    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.messages + other.messages,
            self.bytes_sent + other.bytes_sent,
            self.bytes_received + other.bytes_received,
            self.seconds + other.seconds,
        )
